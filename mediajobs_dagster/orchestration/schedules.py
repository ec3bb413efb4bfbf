"""Schedules: at each of its moments, a schedule enqueues a job whose subject is that `Tick`, and starts the run.

A sensor looks every minute whether one was overlooked, because Dagster gives a moment up when its evaluation failed.
"""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType, Schedule
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration.dispatching import run_request_of, take_next
from mediajobs_dagster.orchestration.moments import schedule_name, schedules_of, switches_of
from mediajobs_dagster.orchestration.redacted_errors import redacted_errors
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.schedules import Switch

Clock = Callable[[], datetime]


def schedule_of(
    job_type: JobType, schedule: Schedule, media: MediaJobs, clock: Clock = utc_now
) -> dg.ScheduleDefinition:
    """Enqueues one job of that type at each moment of `schedule`, never two for the same moment."""
    status = dg.DefaultScheduleStatus.RUNNING if schedule.is_on else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=schedule_name(job_type),
        job_name=job_type.name,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=status,
        description=f"Enqueues {job_type.name}: {job_type.summary}",
    )
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with redacted_errors():
            return _asked(context, job_type, schedule, media, clock())

    return ask


def _asked(
    context: dg.ScheduleEvaluationContext, job_type: JobType, schedule: Schedule, media: MediaJobs, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    moment = context.scheduled_execution_time.astimezone(UTC)
    switch, schedules = switches_of(context.instance).get(job_type.name), schedules_of(media)
    on_since = switch and switch.since
    if held := media.breakers.passed_over(job_type.name):
        schedules.pass_over(job_type, schedule, now=now, moment=moment, on_since=on_since)
        return dg.SkipReason(f"No job is asked for, because one waits already. {held.reason}")
    asked = schedules.ask(job_type, schedule, now=now, moment=moment, on_since=on_since)
    if asked.job is None:
        return dg.SkipReason(asked.reason)
    found = take_next(media, context.instance, job_type)
    if isinstance(found, Dispatch):
        return run_request_of(found, job_type, media)
    is_over = media.history.jobs.get(asked.job.id).status.is_final
    return dg.SkipReason(found.reason if is_over else f"{asked.reason} It waits: {found.reason}")


def overlooked_sensor(media: MediaJobs, clock: Clock = utc_now) -> dg.SensorDefinition:
    """Makes up for moments of schedules that Dagster has not evaluated, once for all that a schedule missed."""

    @dg.sensor(
        name="overlooked_schedules",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes up, once, for moments of schedules that were missed: while nothing was running, or because "
        "the database could not be reached.",
    )
    def overlooked_schedules(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        with redacted_errors():
            made_up = make_up(media, switches_of(context.instance), clock())
        return dg.SkipReason(" ".join(made_up) or "No schedule was overlooked.")

    return overlooked_schedules


def make_up(media: MediaJobs, switches: Mapping[str, Switch], now: datetime) -> list[str]:
    """Ask for what was overlooked of the schedules that are on; returns what was made up for, a sentence each."""
    schedules, made_up = schedules_of(media), list[str]()
    for job_type, schedule in media.registry.schedules(media.settings).items():
        switch = switches.get(job_type.name)
        if switch is None or not switch.is_on:
            continue
        if media.breakers.passed_over(job_type.name):
            schedules.pass_over(job_type, schedule, now=now, on_since=switch.since)
            continue
        asked = schedules.ask(job_type, schedule, now=now, on_since=switch.since)
        if asked.job:
            made_up.append(asked.reason)
    return made_up
