"""The moments of schedules, as Dagster works them out, and how schedules are switched in its UI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.job_types.base import JobType, Schedule
from mediajobs_dagster.orchestration.internals.schedules import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    schedule_execution_time_iterator,
)
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.schedules import Schedules, Switch

_PREFIX = "schedule_"


def schedule_name(job_type: JobType) -> str:
    """The name of its schedule in Dagster."""
    return f"{_PREFIX}{job_type.name}"


def schedules_of(media: MediaJobs) -> Schedules:
    """The schedules, with Dagster's idea of their moments: both have to agree on them to the second."""
    return Schedules(media.settings, media.registry, media.history, media.listeners, DagsterMoments())


def switches_of(instance: dg.DagsterInstance) -> dict[str, Switch]:
    """How the schedules are switched that a daemon or a person has seen or touched, by job type."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return {
        state.instigator_name.removeprefix(_PREFIX): _switch(state)
        for state in states
        if state.instigator_name.startswith(_PREFIX)
    }


def _switch(state: InstigatorState) -> Switch:
    data = state.instigator_data
    start = data.start_timestamp if isinstance(data, ScheduleInstigatorData) else None
    since = datetime.fromtimestamp(start, UTC) if start else None
    return Switch(is_on=state.status is not InstigatorStatus.STOPPED, since=since)


@dataclass(frozen=True)
class DagsterMoments:
    """The moments at which Dagster evaluates a schedule.

    A moment in the hour that daylight saving skips comes at the end of that hour; one in the hour that is repeated
    comes once, the second time.
    """

    def since(self, schedule: Schedule, moment: datetime, /) -> Iterator[datetime]:
        """Those at or after a moment, the first one first, without end."""
        return self._moments(schedule, moment, ascending=True)

    def until(self, schedule: Schedule, moment: datetime, /) -> Iterator[datetime]:
        """Those at or before a moment, the last one first."""
        return self._moments(schedule, moment, ascending=False)

    def _moments(self, schedule: Schedule, moment: datetime, *, ascending: bool) -> Iterator[datetime]:
        found = schedule_execution_time_iterator(
            moment.timestamp(), schedule.cron, schedule.timezone, ascending=ascending
        )
        return (each.astimezone(UTC) for each in found)
