"""Schedules and sensors say which quota is short, and start no run for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

import dagster as dg

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.base import Schedule
from mediajobs_dagster.models import JobStatus, Tick, new_trace_id
from mediajobs_dagster.orchestration.build import build_definitions
from tests.orchestration.conftest import DagsterPlatform
from tests.seam.metered import Metered


class Scheduled(Metered):
    """A metered job type on a schedule."""

    name: ClassVar[str] = "scheduled_v1"
    asset: ClassVar[str] = "scheduled"
    schedule: ClassVar[Schedule | None] = Schedule("0 * * * *")


def test_schedule_and_sensor_say_what_is_short(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """Units left, units needed and the reset are in the SkipReason; the job of the tick ends as skipped."""
    platform = open_dagster(types=(Scheduled(),), youtube_search_limit=1)
    moment = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    definitions = build_definitions(platform.media, for_runs=True, clock=lambda: moment)
    schedule = definitions.resolve_schedule_def(f"schedule_{Scheduled.name}")
    context = dg.build_schedule_context(
        instance=platform.instance,
        scheduled_execution_time=moment,
        repository_def=definitions.get_repository_def(),
    )
    told = schedule.evaluate_tick(context)
    (job,) = platform.history.jobs.list(JobFilter(job_type=Scheduled.name))
    assert job.status is JobStatus.SKIPPED
    shortage = "Quota youtube.search: 1 of 1 calls left, 3 needed. It resets at "
    assert told.skip_message
    assert told.skip_message.startswith(f"Skipped job {job.id} of {Scheduled.name}. {shortage}")

    later = Tick(schedule=Scheduled.name, created_at=datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
    platform.history.jobs.enqueue([Scheduled().request(later, trace_id=new_trace_id())])
    answer = platform.tick(f"dispatch_{Scheduled.name}")
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message
    assert shortage in answer.skip_message
    assert platform.runs() == []

    platform.run_queue()  # by `mediajobs work` too
    statuses = {each.status for each in platform.history.jobs.list(JobFilter(job_type=Scheduled.name))}
    assert statuses == {JobStatus.SKIPPED}
