"""Every job on media of every kind makes what a viewer sees and hears of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.platform import Platform
from tests.zoo.cases import CASES
from tests.zoo.known import read_known, surprises
from tests.zoo.making import Maker
from tests.zoo.sample import SAMPLE
from tests.zoo.trial import SETTINGS, Trial
from tests.zoo.truth import JOBS


@pytest.fixture(scope="module")
def trial(maker: Maker, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """One platform for all files."""
    settings = Settings.load(_env_file=None, home=tmp_path_factory.mktemp("home"), **SETTINGS)
    with MediaJobs(settings) as media:
        yield Trial(Platform(media), maker, tools)


@pytest.mark.parametrize("name", SAMPLE)
def test_jobs_make_what_a_viewer_gets(trial: Trial, name: str) -> None:
    """Frame by frame and beep by beep; what is known to be wrong still is, or its mark has to go."""
    verdicts = list(trial.take([CASES[name]]))
    assert {verdict.job for verdict in verdicts} == set(JOBS)
    told = "\n".join(f"{each.job}: {fault}" for each in verdicts for fault in each.faults)
    known = read_known()
    assert [surprise for verdict in verdicts for surprise in surprises(known, verdict)] == [], told


def test_nothing_unheard_of_is_known() -> None:
    """A file that was taken out of the zoo leaves no mark."""
    assert {name for names in read_known().values() for name in names} <= CASES.keys()
