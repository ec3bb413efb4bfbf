"""What Dagster tells of runs, lanes and daemons."""

from __future__ import annotations

import time

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.signs import DagsterSigns
from mediajobs_dagster.use_cases.why import RunStage
from tests.clips import Clips
from tests.orchestration.conftest import DagsterPlatform
from tests.orchestration.test_turns import ORIGIN

LANE = {tags.LANE: "light"}


@pytest.fixture
def signs(dagster_platform: DagsterPlatform) -> DagsterSigns:
    return DagsterSigns(dagster_platform.instance, lambda: None)


def a_run(platform: DagsterPlatform, dispatch: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    run = dg.DagsterRun(
        job_name=Thumbnail.name,
        status=status,
        tags={**LANE, tags.DISPATCH: dispatch, tags.FILE: "talk.mp4"},
        remote_job_origin=ORIGIN,
    )
    return platform.instance.add_run(run)


def test_the_run_of_a_batch_and_how_far_it_is(dagster_platform: DagsterPlatform, signs: DagsterSigns) -> None:
    assert signs.run_of("one") is None
    run = a_run(dagster_platform, "one", dg.DagsterRunStatus.QUEUED)
    found = signs.run_of("one")
    assert found is not None
    assert (found.run_id, found.stage, found.about, found.queue) == (run.run_id, RunStage.QUEUED, "talk.mp4", None)
    assert found.since is not None
    for status, stage in (
        (dg.DagsterRunStatus.STARTED, RunStage.STARTED),
        (dg.DagsterRunStatus.FAILURE, RunStage.OVER),
    ):
        a_run(dagster_platform, status.value, status)
        found = signs.run_of(status.value)
        assert found is not None
        assert found.stage is stage


def test_a_lane_is_full_when_its_slots_are_taken(dagster_platform: DagsterPlatform, signs: DagsterSigns) -> None:
    """As dagster.yaml limits it: two light runs at once."""
    a_run(dagster_platform, "one", dg.DagsterRunStatus.STARTED)
    a_run(dagster_platform, "two", dg.DagsterRunStatus.QUEUED)
    use = signs.lane("light")
    assert (use.limit, len(use.at_work), use.waiting, use.is_full) == (2, 1, 1, False)
    a_run(dagster_platform, "three", dg.DagsterRunStatus.STARTING)
    assert signs.lane("light").is_full
    assert not signs.lane("heavy").is_full


def test_who_starts_runs(dagster_platform: DagsterPlatform, signs: DagsterSigns) -> None:
    """`mediajobs up`, or a daemon that was heard of within a minute."""
    instance = dagster_platform.instance
    assert signs.starter() is None
    assert DagsterSigns(instance, lambda: "process 42").starter() == "mediajobs up (process 42)"
    for age, said in ((120, None), (5, "Dagster's daemon")):
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, "SENSOR", "id", []))
        assert signs.starter() == said


def test_a_waiting_job_is_explained(dagster_platform: DagsterPlatform, signs: DagsterSigns, clips: Clips) -> None:
    """From the history and from Dagster together."""
    upload = dagster_platform.add(clips.short(), Thumbnail.name)
    job = dagster_platform.job(upload, Thumbnail.name)
    assert [cause.kind for cause in dagster_platform.media.why(job.id, signs).causes] == ["nobody"]
    assert [cause.kind for cause in dagster_platform.media.why(job.id).causes] == ["starting"]
