"""What a worker of a cluster makes of runs that do not get as far as their jobs."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.orchestration.celery.execution import Executions
from tests.clips import Clips
from tests.orchestration.conftest import DagsterPlatform

THUMB = Thumbnail.name
SENSOR = f"dispatch_{THUMB}"


@pytest.fixture
def executions(open_dagster: Callable[..., DagsterPlatform], clips: Clips) -> tuple[DagsterPlatform, Executions]:
    """A worker whose definitions lack the job of the runs that it gets, and a job that waits."""
    platform = open_dagster()
    platform.add(clips.landscape(), THUMB)
    return platform, Executions(platform.media, dg.Definitions().get_repository_def())


def start(platform: DagsterPlatform, executions: Executions) -> dg.DagsterRun:
    """Dispatch the waiting jobs, and let the worker execute their run."""
    (request,) = platform.requests(SENSOR)
    job = platform.definitions.resolve_job_def(THUMB)
    run = platform.instance.create_run_for_job(job, tags=request.tags, status=dg.DagsterRunStatus.STARTING)
    executions.execute(run.run_id)
    return run


def test_runs_that_fail_before_they_claim_a_job_open_the_breaker(
    executions: tuple[DagsterPlatform, Executions],
) -> None:
    """Their jobs are free again at once. Without a count they would be dispatched again and again, without a pause."""
    platform, worker = executions
    runs: list[str] = []
    for _ in range(3):
        with pytest.raises(dg.DagsterInvariantViolationError):
            runs.append(start(platform, worker).run_id)
    (job,) = platform.history.jobs.list(JobFilter())
    assert (job.status, job.dispatch_id, job.attempts) == (JobStatus.QUEUED, None, 0)
    answer = platform.tick(SENSOR)
    assert isinstance(answer, dg.SkipReason)
    assert "breaker open since" in (answer.skip_message or "")
    assert "(RUN_FAILED)" in (answer.skip_message or "")
    rows = platform.history.attempts.list(AttemptFilter(error_code="RUN_FAILED"))
    assert [(row.job_id, row.job_name, row.status) for row in rows] == [(None, THUMB, AttemptStatus.FAILURE)] * 3


def test_a_worker_that_is_told_to_stop_counts_as_no_failure(executions: tuple[DagsterPlatform, Executions]) -> None:
    """Its runs end before they claim a job, and nothing is wrong with them."""
    platform, _ = executions
    worker = Executions(platform.media, platform.definitions.get_repository_def())
    worker.stop.set()
    for _ in range(3):
        start(platform, worker)
    assert platform.history.attempts.list(AttemptFilter(error_code="RUN_FAILED")) == []
    assert len(platform.requests(SENSOR)) == 1
