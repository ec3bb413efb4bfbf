"""How every kind of job stands: its last run, what came before, its breaker, its schedule; and the quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.models import Attempt, JsonObject
from mediajobs_dagster.resilience.quota import BucketStanding
from mediajobs_dagster.use_cases.breakers import BreakerStanding
from mediajobs_dagster.use_cases.schedules import ScheduleStanding

RECENT = 5
"""How many of the latest attempts are shown of each type."""


@dataclass(frozen=True)
class TypeStatus:
    """How one job type stands."""

    name: str
    recent: tuple[Attempt, ...]
    """Its latest attempts, newest first, without manifests."""
    breaker: BreakerStanding
    schedule: ScheduleStanding | None
    """None: it has none, or it is not known here."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        recent = [each.to_json() for each in self.recent]
        return {
            "lastRun": recent[0] if recent else None,
            "recentHistory": recent,
            "breaker": self.breaker.to_json(),
            "schedule": self.schedule.to_json() if self.schedule else None,
        }


@dataclass(frozen=True)
class JobStatuses:
    """How every job type and every quota stands."""

    types: tuple[TypeStatus, ...]
    quota: tuple[BucketStanding, ...]

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "jobs": {each.name: each.to_json() for each in self.types},
            "quota": {each.bucket.name: each.to_json() for each in self.quota},
        }


@dataclass(frozen=True)
class JobHistory:
    """The latest attempts of one job type."""

    name: str
    attempts: tuple[Attempt, ...]
    """Newest first, without manifests."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"jobName": self.name, "history": [each.to_json() for each in self.attempts]}


def job_statuses(
    history: History,
    breakers: Sequence[BreakerStanding],
    quota: Sequence[BucketStanding],
    schedules: Sequence[ScheduleStanding],
) -> JobStatuses:
    """Read it: a look into an index for each type. `breakers` are those of job types."""
    scheduled = {each.name: each for each in schedules}
    types = tuple(
        TypeStatus(each.name, _recent(history, each.name, RECENT), each, scheduled.get(each.name)) for each in breakers
    )
    return JobStatuses(types, tuple(quota))


def job_history(history: History, name: str, *, limit: int) -> JobHistory:
    """The latest attempts of a job type."""
    return JobHistory(name, _recent(history, name, limit))


def _recent(history: History, name: str, limit: int) -> tuple[Attempt, ...]:
    return tuple(history.attempts.list(AttemptFilter(job_name=name), limit=limit))
