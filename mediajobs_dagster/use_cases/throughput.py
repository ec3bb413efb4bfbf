"""How much was done over a range of time: by span, by job type, and by error, in one look at the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mediajobs_dagster.history import History
from mediajobs_dagster.history.spans import SPANS_S, start_of
from mediajobs_dagster.history.statistics import SpanFigures
from mediajobs_dagster.models import AttemptStatus, JsonObject

_HOUR_S, _DAY_S = SPANS_S[:2]
_HOURLY_UP_TO = timedelta(days=2)


@dataclass(frozen=True)
class Slot:
    """What was begun in one span of time, and has ended."""

    start: datetime
    good: int
    bad: int
    """Failed or lost."""
    other: int
    """Skipped or cancelled."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"start": self.start.isoformat(), "good": self.good, "bad": self.bad, "other": self.other}


@dataclass(frozen=True)
class TypeFigures:
    """The same of one job type, over the whole range."""

    job_type: str
    attempts: int
    success_rate: float | None
    """Successes / (successes, failures and lost attempts); None: there were none of these."""
    rtf: float | None
    """Media seconds / processing seconds."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "jobType": self.job_type,
            "attempts": self.attempts,
            "successRate": self.success_rate,
            "rtf": self.rtf,
        }


@dataclass(frozen=True)
class Throughput:
    """How much was done."""

    since: datetime
    """Where counting began: at the start of a span."""
    span_s: int
    slots: tuple[Slot, ...]
    """Every span from then until now, the empty ones too."""
    types: tuple[TypeFigures, ...]
    """By name."""
    errors: dict[str, int]
    """Attempts by error code, the most frequent first."""
    hosts: dict[str, int]
    """Attempts by machine, the busiest first."""

    @property
    def attempts(self) -> int:
        """All that have ended."""
        return sum(each.attempts for each in self.types)

    @property
    def success_rate(self) -> float | None:
        """Successes / (successes, failures and lost attempts); None: there were none of these."""
        good, bad = sum(each.good for each in self.slots), sum(each.bad for each in self.slots)
        return good / (good + bad) if good + bad else None

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "since": self.since.isoformat(),
            "spanSeconds": self.span_s,
            "attempts": self.attempts,
            "successRate": self.success_rate,
            "slots": [each.to_json() for each in self.slots],
            "types": [each.to_json() for each in self.types],
            "errors": self.errors,
            "hosts": self.hosts,
        }


def throughput_of(history: History, length: timedelta) -> Throughput:
    """What has ended of what was begun in the last `length`; by the hour up to two days, else by the day."""
    now = history.now()
    span_s = _HOUR_S if length <= _HOURLY_UP_TO else _DAY_S
    since = start_of(now - length, span_s) + timedelta(seconds=span_s)
    found = history.statistics.by_span(since, span_s)
    names = sorted({each.job_name for each in found})
    errors: Counter[str] = Counter()
    for each in found:
        errors.update(each.errors)
    return Throughput(
        since,
        span_s,
        tuple(_slots(found, since, now, span_s)),
        tuple(_of_type(name, [each for each in found if each.job_name == name]) for name in names),
        dict(errors.most_common()),
        history.statistics.by_host(since, span_s),
    )


def _slots(found: Sequence[SpanFigures], since: datetime, now: datetime, span_s: int) -> list[Slot]:
    counts: dict[datetime, Counter[AttemptStatus]] = {}
    for each in found:
        counts.setdefault(each.start, Counter()).update(each.by_status)
    slots: list[Slot] = []
    while since <= now:
        good, bad, other = _sorted_out(counts.get(since, Counter()))
        slots.append(Slot(since, good, bad, other))
        since += timedelta(seconds=span_s)
    return slots


def _of_type(name: str, found: Sequence[SpanFigures]) -> TypeFigures:
    counts: Counter[AttemptStatus] = Counter()
    for each in found:
        counts.update(each.by_status)
    good, bad, _ = _sorted_out(counts)
    media_ms, duration_ms = sum(each.rtf_media_ms for each in found), sum(each.rtf_duration_ms for each in found)
    return TypeFigures(
        name,
        counts.total(),
        good / (good + bad) if good + bad else None,
        media_ms / duration_ms if duration_ms else None,
    )


def _sorted_out(counts: Counter[AttemptStatus]) -> tuple[int, int, int]:
    good = counts[AttemptStatus.SUCCESS]
    bad = counts[AttemptStatus.FAILURE] + counts[AttemptStatus.LOST]
    return good, bad, counts[AttemptStatus.SKIPPED] + counts[AttemptStatus.CANCELLED]
