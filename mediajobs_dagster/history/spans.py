"""How the totals group attempts: by spans of time, and by classes of duration.

Spans have four lengths, each a multiple of the one before, and are counted from 1970-01-01 UTC. Every attempt counts in
one span of each length. So a period of any length is a few long spans with shorter ones at its ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

SPANS_S = (3_600, 86_400, 8 * 86_400, 64 * 86_400)
"""An hour, a day, 8 and 64 days: the lengths of the spans, seconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)

UNTIMED = -1
"""The class of attempts without a duration."""
_GROWTH = 1.1
_LOG_GROWTH = math.log(_GROWTH)
CLASS_ERROR = (_GROWTH - 1) / (_GROWTH + 1)
"""How much a duration can differ from the one that represents its class: 4.8 % of it."""


@dataclass(frozen=True)
class Spans:
    """The spans of one length that start at `since` or later and before `until`; None: no bound."""

    span_s: int
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class Cover:
    """A period, split into whole spans and the rest at its ends."""

    whole: tuple[Spans, ...]
    """Whole spans; together they last from `since` to `until`."""
    since: datetime | None
    until: datetime | None
    cut: tuple[tuple[datetime, datetime], ...]
    """The rest at each end, shorter than the shortest span: from a moment until before another."""


def start_of(moment: datetime, span_s: int) -> datetime:
    """The start of the span of `span_s` seconds that contains `moment`."""
    return _moment(_floor(_microseconds(moment), span_s))


def cover(since: datetime | None, until: datetime | None) -> Cover:
    """Split the period from `since` until before `until`, timezone-aware, into as few spans as possible.

    None: no bound.
    """
    first = None if since is None else _ceil(_microseconds(since), SPANS_S[0])
    last = None if until is None else _floor(_microseconds(until), SPANS_S[0])
    if since is not None and until is not None and first is not None and last is not None and first >= last:
        return Cover((), since, since, ((since, until),) if since < until else ())
    inner_since, inner_until = _some_moment(first), _some_moment(last)
    ends = ((since, inner_since), (inner_until, until))
    cut = [(start, end) for start, end in ends if start is not None and end is not None and start < end]
    return Cover(tuple(_whole(first, last)), inner_since, inner_until, tuple(cut))


def by_hours(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A period in parts, none of which reaches over the end of an hour (of the shortest span)."""
    while since < until:
        end = min(until, start_of(since, SPANS_S[0]) + timedelta(seconds=SPANS_S[0]))
        yield since, end
        since = end


def _whole(first: int | None, last: int | None) -> list[Spans]:
    found: list[Spans] = []
    for span_s, longer_s in pairwise(SPANS_S):
        rise = None if first is None else _ceil(first, longer_s)
        fall = None if last is None else _floor(last, longer_s)
        if rise is not None and fall is not None and rise >= fall:
            return [*found, Spans(span_s, _some_moment(first), _some_moment(last))]
        ends = ((first, rise), (fall, last))
        found += [Spans(span_s, _some_moment(start), _some_moment(end)) for start, end in ends if start != end]
        first, last = rise, fall
    return [*found, Spans(SPANS_S[-1], _some_moment(first), _some_moment(last))]


def class_of(duration_ms: int | None) -> int:
    """The class of a duration: 0 below a millisecond, then one for every 10 %; `UNTIMED` for None."""
    if duration_ms is None:
        return UNTIMED
    return 0 if duration_ms < 1 else 1 + math.floor(math.log(duration_ms) / _LOG_GROWTH)


def duration_of(duration_class: int) -> float | None:
    """The duration that represents a class, milliseconds. Its relative error is the same at both ends of the class.

    This is the formula of DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
    Relative-Error Guarantees", VLDB 2019).
    """
    if duration_class == UNTIMED:
        return None
    return 0.0 if duration_class == 0 else 2 * _GROWTH**duration_class / (_GROWTH + 1)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _floor(microseconds: int, span_s: int) -> int:
    return microseconds // (span_s * 1_000_000) * (span_s * 1_000_000)


def _ceil(microseconds: int, span_s: int) -> int:
    return -_floor(-microseconds, span_s)


def _moment(microseconds: int) -> datetime:
    # Python's calendar has ends: a moment beyond is moved to the end, where no attempt is.
    try:
        return _EPOCH + microseconds * _MICROSECOND
    except OverflowError:
        return _LAST if microseconds > 0 else _FIRST


def _some_moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _moment(microseconds)
