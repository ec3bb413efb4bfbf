"""What attempts took of the machines: sums over attempts that cost alike, and sums by the hour.

The machine time of an attempt is its duration, divided by how many attempts at that job type its worker makes side by
side: each of them has a part of the machine. A running attempt does not count yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import job_history, uploads
from mediajobs_dagster.models import AttemptStatus, UploadRole

PICTURES = (480, 720, 1080, 1440, 2160)
"""The classes of pictures: the short edge is at most so many pixels, and larger than that of the class before."""
LARGER = 0
"""The class of pictures beyond the largest of `PICTURES`."""
_HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW = job_history.c
_WASTE = tuple(status for status in AttemptStatus if status.is_waste)


class CohortSums(NamedTuple):
    """Attempts of one job type on one type of machine, with pictures of one class, added up."""

    job_name: str
    instance_type: str | None
    picture: int | None
    """One of `PICTURES`, or `LARGER`; None: there was no picture."""
    attempts: int
    wasted: int
    """Attempts that failed, were lost or cancelled."""
    media_seconds: float
    """Media seconds of the successful attempts."""
    machine_ms: float
    wasted_ms: float
    """The machine time of those that were wasted."""
    cpu_seconds: float
    """CPU time of their commands."""
    max_rss_mb: float | None
    """The most memory that a command took, MiB."""

    def plus(self, other: CohortSums) -> CohortSums:
        """Both together; they are of one job type and machine, and the picture is that of the first."""
        peaks = [each for each in (self.max_rss_mb, other.max_rss_mb) if each is not None]
        return CohortSums(
            *(self.job_name, self.instance_type, self.picture),
            *(self.attempts + other.attempts, self.wasted + other.wasted, self.media_seconds + other.media_seconds),
            *(self.machine_ms + other.machine_ms, self.wasted_ms + other.wasted_ms),
            *(self.cpu_seconds + other.cpu_seconds, max(peaks, default=None)),
        )


class MachineTime(NamedTuple):
    """What attempts of one job type took of one type of machine within one hour."""

    job_name: str
    instance_type: str | None
    hour: datetime
    """When the hour began."""
    machine_ms: float


class Measurements(NamedTuple):
    """What was done in a period, all as of one moment."""

    first_at: datetime | None
    """When the first upload came in or the first attempt began; None: there was neither."""
    sums: Sequence[CohortSums]
    """Of the attempts that began in the period."""
    by_hour: Sequence[MachineTime]
    """Of the same attempts, until the end of the period."""
    uploaded_seconds: float
    """Media seconds of the sources that came in, and are still there."""


class Cohorts:
    """Reads them from the rows of attempts; an attempt whose row was removed is not counted."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def measure(self, since: datetime, until: datetime) -> Measurements:
        """What was done from `since` until before `until`; both lie after 1970."""
        # One snapshot: an attempt that ends meanwhile is in all figures or in none.
        with self._database.read(snapshot=True) as connection:
            came_in = uploads.c.role == UploadRole.SOURCE, uploads.c.created_at >= since, uploads.c.created_at < until
            uploaded = sa.select(sa.func.min(uploads.c.created_at), sa.func.sum(uploads.c.media_ms)).where(*came_in)
            first_upload, media_ms = connection.execute(uploaded).one()
            began = sa.select(sa.func.min(_ROW.created_at)).where(*_of_period(since, until))
            firsts = [each for each in (first_upload, connection.scalar(began)) if each is not None]
            return Measurements(
                min(firsts, default=None),
                _sums(connection, since, until),
                _by_hour(connection, since, until),
                float(media_ms or 0) / 1000,
            )


def _sums(connection: sa.Connection, since: datetime, until: datetime) -> list[CohortSums]:
    is_wasted = _ROW.status.in_(_WASTE)
    machine_ms = _ROW.duration_ms * 1.0 / _side_by_side()
    each = sa.select(
        _ROW.job_name,
        _instance_type().label("instance_type"),
        _picture().label("picture"),
        sa.case((is_wasted, 1), else_=0).label("wasted"),
        sa.case((_ROW.status == AttemptStatus.SUCCESS, _ROW.media_seconds), else_=0.0).label("media_seconds"),
        machine_ms.label("machine_ms"),
        sa.case((is_wasted, machine_ms), else_=0.0).label("wasted_ms"),
        _ROW.cpu_seconds,
        _ROW.max_rss_mb,
    ).where(*_of_period(since, until))
    found = each.subquery().c
    keys = (found.job_name, found.instance_type, found.picture)
    added = (found.wasted, found.media_seconds, found.machine_ms, found.wasted_ms, found.cpu_seconds)
    sums = [sa.func.coalesce(sa.func.sum(column), 0) for column in added]
    statement = sa.select(*keys, sa.func.count(), *sums, sa.func.max(found.max_rss_mb)).group_by(*keys)
    return [
        CohortSums(
            *(name, machine, picture, int(attempts), int(wasted)),
            *(float(media), float(machine_ms), float(wasted_ms), float(cpu), memory),
        )
        for name, machine, picture, attempts, wasted, media, machine_ms, wasted_ms, cpu, memory in connection.execute(
            statement
        )
    ]


def _by_hour(connection: sa.Connection, since: datetime, until: datetime) -> list[MachineTime]:
    """The machine time in each hour: an attempt counts in all the hours in which it was under way."""
    until_ms = (until - _EPOCH) // timedelta(milliseconds=1)
    # Milliseconds, because PostgreSQL rounds what it casts, and seconds would be rounded into the next hour.
    start_ms = sa.cast(sa.extract("epoch", _ROW.created_at) * 1000, sa.BigInteger)
    begun = sa.select(
        _ROW.job_name,
        _instance_type().label("instance_type"),
        start_ms.label("start_ms"),
        (start_ms // _HOUR_MS).label("hour"),
        sa.case((_ROW.duration_ms > until_ms - start_ms, until_ms - start_ms), else_=_ROW.duration_ms).label("took_ms"),
        _side_by_side().label("side_by_side"),
    ).where(*_of_period(since, until))
    each = begun.subquery().c
    keys = each.job_name, each.instance_type
    found: defaultdict[tuple[str, str | None, int], float] = defaultdict(float)

    # Those of an hour at most, which lie in two hours at most, are added up by the database.
    left_ms = (each.hour + 1) * _HOUR_MS - each.start_ms
    first_ms = sa.case((each.took_ms > left_ms, left_ms), else_=each.took_ms)
    parts = (sa.func.sum(part * 1.0 / each.side_by_side) for part in (first_ms, each.took_ms - first_ms))
    short = sa.select(*keys, each.hour, *parts).where(each.took_ms <= _HOUR_MS).group_by(*keys, each.hour)
    for name, machine, hour, first, rest in connection.execute(short):
        found[name, machine, int(hour)] += float(first)
        found[name, machine, int(hour) + 1] += float(rest)
    long = sa.select(*keys, each.start_ms, each.took_ms, each.side_by_side).where(each.took_ms > _HOUR_MS)
    for name, machine, start, took, side_by_side in connection.execute(long):
        for hour, part in _hours_of(int(start), int(took)):
            found[name, machine, hour] += part / int(side_by_side)
    return [
        MachineTime(name, machine, _EPOCH + hour * timedelta(hours=1), machine_ms)
        for (name, machine, hour), machine_ms in found.items()
        if machine_ms
    ]


def _hours_of(start_ms: int, took_ms: int) -> Iterator[tuple[int, int]]:
    """The hours in which something was under way, counted from 1970, and for how many milliseconds of each."""
    end_ms = start_ms + took_ms
    while start_ms < end_ms:
        hour = start_ms // _HOUR_MS
        next_ms = min(end_ms, (hour + 1) * _HOUR_MS)
        yield hour, next_ms - start_ms
        start_ms = next_ms


def _of_period(since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    has_ended = _ROW.status != AttemptStatus.RUNNING
    return _ROW.created_at >= since, _ROW.created_at < until, has_ended, _ROW.duration_ms >= 0


def _instance_type() -> sa.ColumnElement[Any]:
    return sa.func.nullif(_ROW.instance_type, "")


def _side_by_side() -> sa.ColumnElement[Any]:
    return sa.case((_ROW.side_by_side > 0, _ROW.side_by_side), else_=1)


def _picture() -> sa.ColumnElement[Any]:
    short_edge = sa.case((_ROW.width < _ROW.height, _ROW.width), else_=_ROW.height)
    classes = [(short_edge <= limit, limit) for limit in PICTURES]
    return sa.case((_ROW.width.is_(None) | _ROW.height.is_(None), None), *classes, else_=LARGER)
