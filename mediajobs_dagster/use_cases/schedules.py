"""How a schedule asks for its job at its moments, and what becomes of moments that nobody asked for.

Dagster decides when a schedule is evaluated. Whatever it does, one rule holds here. Of all moments since the one that
was asked for last, the latest gets its job, once; the others are passed over. A moment that was asked for late counts
as missed: the history says so in a row, and listeners are told. What lay before the schedule was switched on, or before
its times were changed, was not missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from pydantic import Field

from mediajobs_dagster.errors import ScheduleMissedError
from mediajobs_dagster.history import Action, History, JobFilter
from mediajobs_dagster.history.schedules import ScheduleRow
from mediajobs_dagster.job_types.base import JobType, Schedule
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    Callback,
    Job,
    JobStatus,
    Tick,
    Value,
    new_id,
    new_trace_id,
)
from mediajobs_dagster.records import JobQueued, ScheduleMissed
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.trace_context import within_trace

PATIENCE = timedelta(minutes=5)
"""How late a moment may be asked for without being missed: Dagster looks every minute, and restarts take a while."""
_CLOCK_STEP = timedelta(hours=1)
"""How far the clock may be set back without the schedule beginning anew."""
_INSTANT = timedelta(microseconds=1)
_MOST = 10_000
"""The most missed moments that are counted."""


class Moments(Protocol):
    """Works out the moments of schedules, across daylight saving."""

    def since(self, schedule: Schedule, moment: datetime, /) -> Iterator[datetime]:
        """Those at or after a moment, the first one first, without end."""
        ...

    def until(self, schedule: Schedule, moment: datetime, /) -> Iterator[datetime]:
        """Those at or before a moment, the last one first."""
        ...


@dataclass(frozen=True)
class Switch:
    """How a schedule is switched in Dagster."""

    is_on: bool
    since: datetime | None = None
    """Since when; None: unknown."""


@dataclass(frozen=True)
class Asked:
    """What came of a look at a schedule."""

    reason: str
    """In a sentence."""
    job: Job | None = None
    """The job of the latest moment, if it was put into the queue now."""


class ScheduleStanding(Value):
    """A schedule, and how far it has come."""

    name: str = Field(description="The job type that it asks for.")
    cron: str = Field(description="Minute, hour, day of the month, month and day of the week.")
    timezone: str = Field(description="Where these are meant.")
    is_on: bool = Field(description="Whether it asks for jobs.")
    last_moment: datetime | None = Field(
        description="The latest moment that was asked for or passed over; null: it was not seen yet."
    )
    next_moment: datetime | None = Field(description="Its next moment; null: it is off.")
    missed_at: datetime | None = Field(description="When moments were last found to be missed; null: never.")
    missed: int = Field(description="How many were missed then.")
    missed_in_all: int = Field(description="How many were missed altogether.")


@dataclass(frozen=True)
class Schedules:
    """The schedules of an installation."""

    settings: Settings
    registry: Registry
    history: History
    listeners: Listeners
    moments: Moments

    def ask(
        self,
        job_type: JobType,
        schedule: Schedule,
        *,
        now: datetime,
        moment: datetime | None = None,
        on_since: datetime | None = None,
    ) -> Asked:
        """Ask for the job of the latest moment that is due, if nobody has, and note what was missed before it.

        `moment` is the one for which Dagster evaluates the schedule. None: it is looked whether Dagster overlooked one,
        and nothing is done before `PATIENCE` is over.
        """
        now = max(now, moment or now)
        row = self._row(job_type, schedule, now=now, moment=moment, on_since=on_since)
        due = self._due(row, schedule, now=now, on_since=on_since)
        if not due or (moment is not None and moment < due[-1]):
            return Asked(f"{job_type.name} was asked for already, or a later moment is due.")
        if moment is None and now - due[0] < PATIENCE:
            return Asked(f"{job_type.name} is due since {due[0]:%H:%M} UTC: Dagster asks for it.")
        return self._asked(job_type, row, due, now)

    def pass_over(
        self,
        job_type: JobType,
        schedule: Schedule,
        *,
        now: datetime,
        moment: datetime | None = None,
        on_since: datetime | None = None,
    ) -> None:
        """Ask for no job at the moments that are due, because one waits already. They do not count as missed."""
        now = max(now, moment or now)
        row = self._row(job_type, schedule, now=now, moment=moment, on_since=on_since)
        if due := self._due(row, schedule, now=now, on_since=on_since):
            self.history.schedules.advance(row, due[-1], at=now)

    def _due(self, row: ScheduleRow, schedule: Schedule, *, now: datetime, on_since: datetime | None) -> list[datetime]:
        """The moments until now that nobody has asked for."""
        # Switched on while the clock was ahead, it would be silent until then.
        is_known = on_since is not None and on_since <= now
        since = max(row.last_moment, on_since - _INSTANT) if on_since and is_known else row.last_moment
        due = list(islice(_after(since, until=now, moments=self.moments.since(schedule, since)), _MOST))
        if len(due) == _MOST:  # those beyond are not counted
            due[-1] = next(self.moments.until(schedule, now))
        return due

    def _row(
        self,
        job_type: JobType,
        schedule: Schedule,
        *,
        now: datetime,
        moment: datetime | None,
        on_since: datetime | None,
    ) -> ScheduleRow:
        times = f"{schedule.cron} {schedule.timezone}"
        row = self.history.schedules.get(job_type.name)
        if row and row.times == times and row.last_moment <= now + _CLOCK_STEP:
            return row
        # It is new, or has other times, or the clock was wrong: nothing was missed, but what is due now counts.
        begins = moment - _INSTANT if moment else now
        if row is None and on_since and on_since < begins:
            begins = on_since
        self.history.schedules.begin(job_type.name, times, begins)
        return self.history.schedules.get(job_type.name) or ScheduleRow(job_type.name, times, begins, None, 0, 0)

    def _asked(self, job_type: JobType, row: ScheduleRow, due: list[datetime], now: datetime) -> Asked:
        latest = due[-1]
        tick = Tick(schedule=job_type.name, created_at=latest)
        request = job_type.request(tick, trace_id=new_trace_id(), max_attempts=self.settings.max_attempts)
        (enqueued,) = self.history.jobs.enqueue([request])
        job = enqueued.job
        is_late = now - latest >= PATIENCE and enqueued.created
        missed = due if is_late else due[:-1]
        reason = _missed(job, missed) if missed else f"Job {job.id} was already queued for this moment."
        entry = _entry(job, missed, latest, reason, now) if missed else None
        if self.history.schedules.advance(row, latest, missed=len(missed), at=now, entry=entry) and missed:
            self.listeners.tell(
                ScheduleMissed(
                    job_type=job.job_type, missed=len(missed), first=missed[0], last=missed[-1], job=job, reason=reason
                )
            )
        if not enqueued.created:
            return Asked(f"Job {job.id} was already queued for this moment.")
        self.listeners.tell(JobQueued(job=job))
        return Asked(reason if missed else f"Job {job.id} was queued.", job)

    def run(self, job_type: JobType, *, now: datetime, callback: Callback | None = None) -> Job:
        """Put a job of that type into the queue by hand, on the tick of this moment.

        One that is in the queue already and was not tried yet is the answer: a second one would do the same.
        `callback`, which has to be checked before, is told what becomes of it.
        """
        queued = self.history.jobs.list(JobFilter(job_type=job_type.name, statuses=(JobStatus.QUEUED,)), limit=1)
        if queued and not queued[0].attempts:
            if callback:
                self.history.webhook_events.follow(callback, queued)
            return queued[0]
        tick = Tick(schedule=job_type.name, created_at=now.replace(microsecond=0))
        with within_trace(None) as trace_id:
            request = job_type.request(tick, trace_id=trace_id, max_attempts=self.settings.max_attempts)
            if callback:
                self.history.webhook_events.subscribe(callback, trace_id)
            (enqueued,) = self.history.jobs.enqueue([request])
        if callback and not enqueued.created:
            self.history.webhook_events.follow(callback, [enqueued.job])
        if enqueued.created:
            self.listeners.tell(JobQueued(job=enqueued.job))
            details = {"job": enqueued.job.id}
            self.history.actions.record(Action(action="schedule run", target=job_type.name, count=1, details=details))
        return enqueued.job

    def list(self, switches: Mapping[str, Switch], *, now: datetime) -> list[ScheduleStanding]:
        """Every schedule. `switches` has those that Dagster has seen, by job type."""
        rows = self.history.schedules.all()
        found = self.registry.schedules(self.settings).items()
        return [self._standing(each, schedule, rows.get(each.name), switches, now) for each, schedule in found]

    def _standing(
        self,
        job_type: JobType,
        schedule: Schedule,
        row: ScheduleRow | None,
        switches: Mapping[str, Switch],
        now: datetime,
    ) -> ScheduleStanding:
        switch = switches.get(job_type.name)
        is_on = switch.is_on if switch else schedule.is_on
        later = (each for each in self.moments.since(schedule, now) if each > now)
        return ScheduleStanding(
            name=job_type.name,
            cron=schedule.cron,
            timezone=schedule.timezone,
            is_on=is_on,
            last_moment=row and self._seen(schedule, row.last_moment),
            next_moment=next(later) if is_on else None,
            missed_at=row and row.missed_at,
            missed=row.missed if row else 0,
            missed_in_all=row.missed_in_all if row else 0,
        )

    def _seen(self, schedule: Schedule, latest: datetime) -> datetime | None:
        """The latest moment that has come; None: `latest` is when the schedule began, which is none of its moments."""
        return latest if next(self.moments.since(schedule, latest)) == latest else None


def _after(since: datetime, *, until: datetime, moments: Iterator[datetime]) -> Iterator[datetime]:
    for each in moments:
        if each > until:
            return
        if each > since:
            yield each


def _missed(job: Job, missed: list[datetime]) -> str:
    when = f"at {missed[0]:%Y-%m-%d %H:%M}"
    if len(missed) > 1:
        when = f"{len(missed):,} times, from {missed[0]:%Y-%m-%d %H:%M} to {missed[-1]:%Y-%m-%d %H:%M}"
    return (
        f"{job.job_type} was due {when} UTC, and no daemon was there to ask for it. Job {job.id} makes up for "
        f"{'it' if len(missed) == 1 else 'all of them'}."
    )


def _entry(job: Job, missed: list[datetime], latest: datetime, reason: str, now: datetime) -> Attempt:
    """The row of the history that tells of missed moments."""
    error = ScheduleMissedError(reason)
    figures = {
        "missed": len(missed),
        "first": missed[0].isoformat(),
        "last": missed[-1].isoformat(),
        "madeUpForBy": job.id,
        "madeUpForAs": latest.isoformat(),
    }
    return Attempt(
        id=new_id(),
        job_id=None,
        job_name=job.job_type,
        attempt=0,
        run_id=None,
        trace_id=job.trace_id,
        status=AttemptStatus.SKIPPED,
        started_at=now,
        completed_at=now,
        duration_ms=0,
        error_code=error.code,
        blame=error.blame,
        error=error.message,
        result={"outputs": [], "figures": figures},
        created_at=now,
    )
