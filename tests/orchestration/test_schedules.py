"""A schedule asks for a job on its tick, which goes the way of all jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import JobStatus
from tests.orchestration.conftest import DagsterPlatform
from tests.seam.nightly import Nightly


def test_a_schedule_asks_for_a_job_on_its_tick(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """The moment of the schedule is the subject; the run makes the attempt, and the moment is never asked for twice."""
    platform = open_dagster(types=(Nightly(),))
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

    def tick() -> list[dg.RunRequest]:
        schedule = platform.definitions.resolve_schedule_def(f"schedule_{Nightly.name}")
        context = dg.build_schedule_context(
            instance=platform.instance,
            scheduled_execution_time=moment,
            repository_def=platform.definitions.get_repository_def(),
        )
        return list(schedule.evaluate_tick(context).run_requests or [])

    (request,) = tick()
    assert platform.execute(Nightly.name, request).success
    assert tick() == []
    (job,) = platform.history.jobs.list(JobFilter(job_type=Nightly.name))
    assert (job.subject_id, job.status) == ("nightly_v1@2026-03-29T00:30:00Z", JobStatus.COMPLETED)
    (attempt,) = platform.history.attempts.of_job(job.id)
    assert attempt.result is not None
    assert attempt.result["figures"] == {"files": 0, "asked_at": "2026-03-29 00:30 UTC"}
    assert platform.runs(traceId=job.trace_id)[0].status is dg.DagsterRunStatus.SUCCESS
