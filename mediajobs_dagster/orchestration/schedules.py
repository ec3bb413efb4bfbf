"""Schedules: each asks for a job on the moment that it stands for, a `Tick`, and starts its run."""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from datetime import UTC

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType, Schedule
from mediajobs_dagster.models import Tick, new_trace_id
from mediajobs_dagster.orchestration.dispatching import run_request_of, take_next
from mediajobs_dagster.records import JobQueued
from mediajobs_dagster.system import MediaJobs


def schedule_of(job_type: JobType, schedule: Schedule, media: MediaJobs) -> dg.ScheduleDefinition:
    """Asks for one job of that type at each moment of `schedule`; the same moment is never asked for twice."""
    status = dg.DefaultScheduleStatus.RUNNING if schedule.is_on else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=f"schedule_{job_type.name}",
        job_name=job_type.name,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=status,
        description=f"Asks for {job_type.name}: {job_type.summary}",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = context.scheduled_execution_time.astimezone(UTC)
        tick = Tick(schedule=job_type.name, created_at=moment)
        request = job_type.request(tick, trace_id=new_trace_id(), max_attempts=media.settings.max_attempts)
        (enqueued,) = media.history.jobs.enqueue([request])
        if not enqueued.created:
            return dg.SkipReason(f"Job {enqueued.job.id} was asked for at this moment before.")
        media.listeners.tell(JobQueued(job=enqueued.job))
        found = take_next(media, context.instance, job_type)
        if isinstance(found, Dispatch):
            return run_request_of(found, job_type)
        return dg.SkipReason(f"Job {enqueued.job.id} waits: {found.reason}")

    return ask
