"""Schedules: at each of its moments, a schedule enqueues a job whose subject is that `Tick`, and starts the run."""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from datetime import UTC

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType, Schedule
from mediajobs_dagster.models import Tick, new_trace_id
from mediajobs_dagster.orchestration.dispatching import run_request_of, take_next
from mediajobs_dagster.orchestration.redacted_errors import redacted_errors
from mediajobs_dagster.records import JobQueued
from mediajobs_dagster.system import MediaJobs


def schedule_of(job_type: JobType, schedule: Schedule, media: MediaJobs) -> dg.ScheduleDefinition:
    """Enqueues one job of that type at each moment of `schedule`, never two for the same moment."""
    status = dg.DefaultScheduleStatus.RUNNING if schedule.is_on else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=f"schedule_{job_type.name}",
        job_name=job_type.name,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=status,
        description=f"Enqueues {job_type.name}: {job_type.summary}",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with redacted_errors():
            return _asked(context, job_type, media)

    return ask


def _asked(context: dg.ScheduleEvaluationContext, job_type: JobType, media: MediaJobs) -> dg.RunRequest | dg.SkipReason:
    if held := media.breakers.passed_over(job_type.name):
        return dg.SkipReason(f"No job is asked for, because one waits already. {held.reason}")
    moment = context.scheduled_execution_time.astimezone(UTC)
    tick = Tick(schedule=job_type.name, created_at=moment)
    request = job_type.request(tick, trace_id=new_trace_id(), max_attempts=media.settings.max_attempts)
    (enqueued,) = media.history.jobs.enqueue([request])
    if not enqueued.created:
        return dg.SkipReason(f"Job {enqueued.job.id} was already enqueued for this moment.")
    media.listeners.tell(JobQueued(job=enqueued.job))
    found = take_next(media, context.instance, job_type)
    if isinstance(found, Dispatch):
        return run_request_of(found, job_type, media)
    return dg.SkipReason(f"Job {enqueued.job.id} waits: {found.reason}")
