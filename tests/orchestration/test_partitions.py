"""Where the days begin, and what becomes of a subject of an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from mediajobs_dagster.history import DayStanding
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import JobStatus, SubjectKind, utc_now
from mediajobs_dagster.orchestration.partitions import EARLIEST, days_of
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.orchestration.conftest import DagsterPlatform

THUMB = Thumbnail.name


def keys_of(media: MediaJobs) -> list[str]:
    """The partitions as Dagster would load them now."""
    return list(days_of(media).get_partition_keys())


def test_the_first_day_is_that_of_the_first_upload(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """On an empty database it is the present one; with an older upload that comes in, it is that upload's."""
    today = utc_now().date().isoformat()
    assert keys_of(dagster_platform.media) == [today]
    dagster_platform.register(clips.landscape())
    assert keys_of(dagster_platform.media) == [today]
    dagster_platform.register(clips.no_audio(), created_at=datetime(2026, 3, 2, 23, 59, tzinfo=UTC))
    found = keys_of(dagster_platform.media)
    assert (found[0], found[-1]) == ("2026-03-02", today)


def test_a_setting_may_let_the_days_begin_earlier(open_dagster: Callable[..., DagsterPlatform], clips: Clips) -> None:
    """Never later: the day of an upload stays a partition."""
    platform = open_dagster(first_day="2026-04-01")
    assert keys_of(platform.media)[0] == "2026-04-01"
    platform.register(clips.landscape(), created_at=datetime(2026, 3, 2, tzinfo=UTC))
    assert keys_of(platform.media)[0] == "2026-03-02"


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:9/none", "mysql://somewhere", "sqlite:////"])
def test_without_an_answer_the_days_begin_before_any_upload(tmp_path: Path, url: str) -> None:
    """The definitions load; what is wrong with the database is told by whoever needs it."""
    settings = Settings.load(_env_file=None, home=tmp_path, database_url=url, database_timeout_s=1)
    with MediaJobs(settings) as media:
        assert date.fromisoformat(keys_of(media)[0]) == EARLIEST


def test_a_subject_of_an_earlier_day_gets_its_runs(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """By dispatch, on its own day, which Dagster did not know when it loaded the definitions."""
    platform = dagster_platform
    upload = platform.register(clips.landscape(), created_at=datetime(2026, 3, 2, 12, tzinfo=UTC))
    platform.history.jobs.enqueue([platform.registry[THUMB].request(upload, trace_id="a" * 32)])
    (request,) = platform.requests(f"dispatch_{THUMB}")
    assert request.tags["dagster/partition"] == "2026-03-02"
    assert platform.execute(THUMB, request).success
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED
    assert platform.instance.get_materialized_partitions(dg.AssetKey("thumbnail")) == {"2026-03-02"}
    standing = platform.history.days.standing(THUMB, SubjectKind.UPLOAD, date(2026, 3, 2))
    assert (standing.subjects, standing.made) == (1, 1)
    assert platform.history.days.standing(THUMB, SubjectKind.UPLOAD, date(2026, 3, 3)) == DayStanding()
