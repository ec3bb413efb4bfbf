"""The files of the zoo are what they are said to be."""

from __future__ import annotations

import pytest

from mediajobs_dagster.media.tools import Tools
from tests.zoo.cases import CASES
from tests.zoo.judging import plain_faults
from tests.zoo.making import Maker
from tests.zoo.sample import SAMPLE


@pytest.mark.parametrize("name", SAMPLE)
def test_a_file_is_what_its_truth_says(maker: Maker, tools: Tools, name: str) -> None:
    """As ffmpeg alone shows it, without anything of ours."""
    path, truth = maker.file(CASES[name])
    assert not truth.is_plain or plain_faults(path, truth, tools) == []


def test_the_zoo_is_large() -> None:
    """And every file of the sample is in it."""
    assert len(CASES) >= 200
    assert set(SAMPLE) <= CASES.keys()


def test_one_kind_has_one_promise() -> None:
    """docs/media.md has one line for each."""
    promised = {(case.group, case.kind, case.promise) for case in CASES.values()}
    assert len(promised) == len({(group, kind) for group, kind, _ in promised})
