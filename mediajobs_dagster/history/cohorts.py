"""What attempts took of the machines: sums over attempts that cost alike, and sums by the hour.

The machine time of an attempt is its duration, divided by how many attempts at that job type its worker makes side by
side: each of them has a part of the machine. A running attempt does not count yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import job_history, uploads
from mediajobs_dagster.models import AttemptStatus, UploadRole

PICTURES = (480, 720, 1080, 1440, 2160)
"""The classes of pictures: the short edge is at most so many pixels, and larger than that of the class before."""
LARGER = 0
"""The class of pictures beyond the largest of `PICTURES`."""
_HOUR_S = 3600
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


def added(one: CohortSums, other: CohortSums) -> CohortSums:
    """Both together; they are of one job type and machine, and the picture is that of the first."""
    peaks = [each for each in (one.max_rss_mb, other.max_rss_mb) if each is not None]
    return CohortSums(
        *(one.job_name, one.instance_type, one.picture),
        *(one.attempts + other.attempts, one.wasted + other.wasted, one.media_seconds + other.media_seconds),
        *(one.machine_ms + other.machine_ms, one.wasted_ms + other.wasted_ms, one.cpu_seconds + other.cpu_seconds),
        max(peaks, default=None),
    )


class MachineTime(NamedTuple):
    """What attempts of one job type took on one type of machine, beginning in one hour."""

    job_name: str
    instance_type: str | None
    hour: datetime
    """When the hour began."""
    duration_ms: int
    """Of a single attempt that took longer than an hour, how long; else 0."""
    machine_ms: float


class Cohorts:
    """Reads them from the rows of attempts; an attempt whose row was removed is not counted."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def first_at(self, since: datetime, until: datetime) -> datetime | None:
        """When the first attempt of the period began; None: there was none."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(sa.func.min(_ROW.created_at)).where(*_of_period(since, until)))

    def sums(self, since: datetime, until: datetime) -> Sequence[CohortSums]:
        """The sums of the attempts that began in the period, by job type, machine and picture."""
        is_wasted = _ROW.status.in_(_WASTE)
        each = sa.select(
            _ROW.job_name,
            _ROW.instance_type,
            _picture().label("picture"),
            sa.case((is_wasted, 1), else_=0).label("wasted"),
            sa.case((_ROW.status == AttemptStatus.SUCCESS, _ROW.media_seconds), else_=0.0).label("media_seconds"),
            _machine_ms().label("machine_ms"),
            sa.case((is_wasted, _machine_ms()), else_=0.0).label("wasted_ms"),
            _ROW.cpu_seconds,
            _ROW.max_rss_mb,
        ).where(*_of_period(since, until))
        found = each.subquery().c
        keys = (found.job_name, found.instance_type, found.picture)
        added = (found.wasted, found.media_seconds, found.machine_ms, found.wasted_ms, found.cpu_seconds)
        sums = [sa.func.coalesce(sa.func.sum(column), 0) for column in added]
        statement = sa.select(*keys, sa.func.count(), *sums, sa.func.max(found.max_rss_mb)).group_by(*keys)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [
            CohortSums(
                *(name, machine, picture, int(attempts), int(wasted)),
                *(float(media), float(machine_ms), float(wasted_ms), float(cpu), memory),
            )
            for name, machine, picture, attempts, wasted, media, machine_ms, wasted_ms, cpu, memory in rows
        ]

    def by_hour(self, since: datetime, until: datetime) -> Sequence[MachineTime]:
        """The same attempts by the hour in which each began. One that took longer than an hour comes by itself."""
        is_long = _ROW.duration_ms > _HOUR_S * 1000
        each = sa.select(
            _ROW.job_name,
            _ROW.instance_type,
            (sa.cast(sa.extract("epoch", _ROW.created_at), sa.BigInteger) // _HOUR_S).label("hour"),
            sa.case((is_long, _ROW.duration_ms), else_=0).label("long_ms"),
            sa.case((is_long, _ROW.id), else_="").label("long_id"),
            _machine_ms().label("machine_ms"),
        ).where(*_of_period(since, until))
        found = each.subquery().c
        keys = (found.job_name, found.instance_type, found.hour, found.long_ms, found.long_id)
        statement = sa.select(*keys[:4], sa.func.sum(found.machine_ms)).group_by(*keys)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [
            MachineTime(name, machine, datetime.fromtimestamp(int(hour) * _HOUR_S, UTC), int(long_ms), float(total))
            for name, machine, hour, long_ms, total in rows
        ]

    def uploaded_seconds(self, since: datetime, until: datetime) -> float:
        """Media seconds of the sources that came in, in the period, and are still there."""
        columns = uploads.c
        came_in = (columns.role == UploadRole.SOURCE, columns.created_at >= since, columns.created_at < until)
        statement = sa.select(sa.func.coalesce(sa.func.sum(columns.media_ms), 0)).where(*came_in)
        with self._database.read() as connection:
            return float(connection.scalar(statement) or 0) / 1000


def _of_period(since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    has_ended = _ROW.status != AttemptStatus.RUNNING
    return _ROW.created_at >= since, _ROW.created_at < until, has_ended, _ROW.duration_ms.is_not(None)


def _machine_ms() -> sa.ColumnElement[Any]:
    return _ROW.duration_ms * 1.0 / sa.func.coalesce(sa.func.nullif(_ROW.side_by_side, 0), 1)


def _picture() -> sa.ColumnElement[Any]:
    short_edge = sa.case((_ROW.width < _ROW.height, _ROW.width), else_=_ROW.height)
    classes = [(short_edge <= limit, limit) for limit in PICTURES]
    return sa.case((short_edge.is_(None), None), *classes, else_=LARGER)
