"""Quotas of outside services: what is left, what a call takes, and when it would run out.

A quota is a set of named buckets with a limit a day. What is used is kept in the history, so every process sees the
same, and it survives restarts. A call is charged before it is made, and corrected when it took more or nothing. Where
the service itself says that its quota is used up, the bucket is empty until its reset, whatever was counted here.

All moments are the database's, so the clocks of the machines need not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mediajobs_dagster.errors import QuotaExhaustedError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.quota import Period, Used
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.settings import Settings

YOUTUBE_SEARCH = "youtube.search"
"""The bucket of `search.list`: calls a day."""
YOUTUBE_UNITS = "youtube.default"
"""The bucket of all other methods of the YouTube Data API: units a day."""

QUOTA_EXHAUSTED = "quota_exhausted"
"""Why an attempt was skipped, in its result."""

_LEAST_HISTORY = timedelta(hours=1)
"""A rate is not read off less than this: the first minutes of a job say nothing about a day."""


@dataclass(frozen=True)
class Bucket:
    """One quota of a service, which is full again at midnight in its time zone."""

    name: str
    limit: int
    """Units a day."""
    unit: str
    """What is counted, in the plural."""
    setting: str
    """The variable that has the limit."""
    timezone: str = "America/Los_Angeles"

    def period(self, now: datetime) -> Period:
        """The period that `now` lies in. It ends at the next midnight, so it has 23 or 25 hours twice a year."""
        zone = ZoneInfo(self.timezone)
        tomorrow = now.astimezone(zone).date() + timedelta(days=1)
        return Period(self.name, self.limit, datetime.combine(tomorrow, time(), zone).astimezone(UTC))


def buckets_of(settings: Settings) -> tuple[Bucket, ...]:
    """Every bucket that is counted."""
    return (
        Bucket(YOUTUBE_SEARCH, settings.youtube_search_limit, "calls", "MEDIAJOBS_YOUTUBE_SEARCH_LIMIT"),
        Bucket(YOUTUBE_UNITS, settings.youtube_unit_limit, "units", "MEDIAJOBS_YOUTUBE_UNIT_LIMIT"),
    )


@dataclass(frozen=True)
class BucketStanding:
    """How a bucket stands at one moment."""

    bucket: Bucket
    used: Used
    at: datetime
    resets_at: datetime

    @property
    def left(self) -> int:
        """Units that may still be used; none once the service itself says so."""
        return 0 if self.used.exhausted_at else max(0, self.bucket.limit - self.used.units)

    @property
    def an_hour(self) -> float:
        """Units an hour since the first call of the period; at least an hour is counted."""
        if self.used.first_at is None:
            return 0.0
        return self.used.units / (max(_LEAST_HISTORY, self.at - self.used.first_at) / timedelta(hours=1))

    @property
    def runs_out_at(self) -> datetime | None:
        """When nothing is left at the present rate; a moment that has passed: it has run out. None: it lasts."""
        if not self.left:
            return self.used.exhausted_at or self.at
        if not self.an_hour:
            return None
        hours = self.left / self.an_hour
        return self.at + timedelta(hours=hours) if hours < (self.resets_at - self.at) / timedelta(hours=1) else None

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        runs_out_at, exhausted_at = self.runs_out_at, self.used.exhausted_at
        return {
            "bucket": self.bucket.name,
            "unit": self.bucket.unit,
            "limit": self.bucket.limit,
            "used": self.used.units,
            "left": self.left,
            "calls": self.used.calls,
            "anHour": round(self.an_hour, 2),
            "resetsAt": self.resets_at.isoformat(),
            "runsOutAt": runs_out_at.isoformat() if runs_out_at else None,
            "exhaustedAt": exhausted_at.isoformat() if exhausted_at else None,
        }


@dataclass(frozen=True)
class Charge:
    """Units that were used up for a call, before it was made."""

    period: Period
    units: int


@dataclass(frozen=True)
class Quota:
    """Charges calls, and says what is left."""

    history: History
    buckets: tuple[Bucket, ...]
    now: Callable[[], datetime]

    @classmethod
    def of(cls, history: History, settings: Settings) -> Quota:
        """The quotas that the settings limit, by the database's clock."""
        return cls(history, buckets_of(settings), history.now)

    def standings(self) -> tuple[BucketStanding, ...]:
        """How every bucket stands now."""
        now = self.now()
        periods = [bucket.period(now) for bucket in self.buckets]
        used = self.history.quota.used(periods)
        return tuple(
            BucketStanding(bucket, each, now, period.resets_at)
            for bucket, period, each in zip(self.buckets, periods, used, strict=True)
        )

    def require(self, needed: Mapping[str, int]) -> None:
        """Raise QuotaExhaustedError if a bucket, by its name, has fewer units left than are needed of it."""
        if not needed:
            return
        for standing in self.standings():
            units = needed.get(standing.bucket.name, 0)
            if units > standing.left:
                raise _exhausted(standing, units)

    def left(self, name: str) -> int:
        """Units that are left in a bucket."""
        return self._standing(name).left

    def charge(self, name: str, units: int) -> Charge:
        """Use up units for a call that is about to be made. Raises QuotaExhaustedError if they are not left."""
        bucket, now = self._bucket(name), self.now()
        period = bucket.period(now)
        if not self.history.quota.charge(period, units, now=now):
            raise _exhausted(self._standing(name), units)
        return Charge(period, units)

    def correct(self, charge: Charge, taken: int, *, calls: int = 1) -> None:
        """Set right what a charged call took: `taken` units in `calls` requests, in the period that was charged."""
        if (taken, calls) != (charge.units, 1):
            more = taken - charge.units
            self.history.quota.correct(charge.period, more, calls=calls - 1, now=self.now())

    def exhaust(self, charge: Charge) -> QuotaExhaustedError:
        """Empty the bucket of a call to which the service said that nothing is left; returns the error to raise."""
        self.history.quota.exhaust(charge.period, now=self.now())
        return _exhausted(self._standing(charge.period.bucket), charge.units)

    def _bucket(self, name: str) -> Bucket:
        return next(bucket for bucket in self.buckets if bucket.name == name)

    def _standing(self, name: str) -> BucketStanding:
        return next(standing for standing in self.standings() if standing.bucket.name == name)


def skipped_result(error: QuotaExhaustedError) -> JsonObject:
    """The result of an attempt that was not made for want of quota."""
    return {
        "skipped": QUOTA_EXHAUSTED,
        "bucket": error.bucket,
        "unitsLeft": error.left,
        "unitsNeeded": error.needed,
        "resetsAt": error.resets_at.isoformat() if error.resets_at else None,
    }


def _exhausted(standing: BucketStanding, needed: int) -> QuotaExhaustedError:
    bucket, resets_at = standing.bucket, standing.resets_at
    # What the service itself says holds until the reset, whatever the setting is raised to.
    is_told = standing.used.exhausted_at is not None
    said = " (the service says so)" if is_told else ""
    otherwise = "" if is_told else f", or have the quota raised and set {bucket.setting}"
    return QuotaExhaustedError(
        f"Quota {bucket.name}: {standing.left:,} of {bucket.limit:,} {bucket.unit} left{said}, {needed:,} needed. It "
        f"resets at {resets_at:%Y-%m-%d %H:%M} UTC. Wait for that{otherwise}.",
        bucket=bucket.name,
        left=standing.left,
        needed=needed,
        resets_at=resets_at,
    )
