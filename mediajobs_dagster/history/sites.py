"""How often the sites that videos are fetched from may be asked, by all workers together: one row a site.

It is a token bucket, kept as the moment at which it would be full again (the generic cell rate algorithm of ITU-T
I.371): each request moves that moment on by the time that a request is worth. All moments are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from mediajobs_dagster.history.clock import db_now
from mediajobs_dagster.history.database import Database, insert_new
from mediajobs_dagster.history.schema import site_pace

_MOST_DOUBLINGS = 6
"""The longest pause is the first one times two to this."""
_LONGEST = timedelta(days=1)
"""No pause is longer, whatever a site asks for: one wrong answer must not keep all workers off for years.

A moment that lies further ahead is of a clock that was wrong, and counts for nothing.
"""


@dataclass(frozen=True)
class Turn:
    """When a site may be asked."""

    wait_s: float
    """Seconds until then; 0: now."""
    is_given: bool
    """Whether the turn is the caller's, who only has to wait. If not, ask again after `wait_s`."""
    reason: str | None = None
    """Why the site is paused; None: it is not."""


class Sites:
    """Reads and writes the site_pace table."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def take(self, site: str, *, every_s: float, burst: int, longest_s: float) -> Turn:
        """Take a turn at a site that may be asked every `every_s` seconds, and `burst` times at once after a rest.

        A turn that would come only after `longest_s`, or while the site is paused, is not given.
        """
        with self._database.write() as connection:
            now, row = _locked(connection, site)
            paused_until = row.paused_until or now
            if now < paused_until <= now + _LONGEST:
                return Turn((paused_until - now).total_seconds(), False, row.reason or "")
            every = timedelta(seconds=every_s)
            next_at = row.next_at if row.next_at <= now + _LONGEST else now
            turn_at = max(now, next_at - (burst - 1) * every)
            wait_s = (turn_at - now).total_seconds()
            if wait_s > longest_s:
                return Turn(wait_s, False)
            _change(connection, site, next_at=max(now, next_at) + every)
            return Turn(wait_s, True)

    def pause(self, site: str, seconds: float, reason: str) -> float:
        """Have nobody ask a site for `seconds`, twice as long as the time before if it never answered in between.

        No pause is longer than a day, and one under way that is longer stays. Returns how many seconds are left of it.
        """
        with self._database.write() as connection:
            now, row = _locked(connection, site)
            paused_until = min(row.paused_until or now, now + _LONGEST)
            # Several workers meet the same refusal at once: that is one.
            strikes = row.strikes if paused_until > now else row.strikes + 1
            doublings = min(max(0, strikes - 1), _MOST_DOUBLINGS)
            wanted = timedelta(seconds=min(_LONGEST.total_seconds(), seconds * 2.0**doublings))
            until = max(paused_until, now + wanted)
            _change(connection, site, paused_until=until, reason=reason, strikes=strikes)
            return (until - now).total_seconds()

    def answered(self, site: str) -> None:
        """Note that a site has answered: the next pause is a short one again."""
        is_struck = sa.and_(site_pace.c.site == site, site_pace.c.strikes > 0)
        with self._database.read() as connection:
            if connection.scalar(sa.select(site_pace.c.site).where(is_struck)) is None:
                return
        with self._database.write() as connection:
            connection.execute(sa.update(site_pace).where(is_struck).values(strikes=0, reason=None, paused_until=None))


@dataclass(frozen=True)
class _Row:
    next_at: datetime
    paused_until: datetime | None
    reason: str | None
    strikes: int


def _locked(connection: sa.Connection, site: str) -> tuple[datetime, _Row]:
    """The present moment, and the row of a site, which nobody else changes until the transaction ends."""
    insert_new(connection, site_pace, [{"site": site, "next_at": _now(connection), "strikes": 0}])
    columns = site_pace.c
    wanted = sa.select(columns.next_at, columns.paused_until, columns.reason, columns.strikes)
    found = connection.execute(wanted.where(columns.site == site).with_for_update()).one()
    return _now(connection), _Row(found.next_at, found.paused_until, found.reason, found.strikes)


def _now(connection: sa.Connection) -> datetime:
    return connection.execute(sa.select(db_now())).scalar_one()


def _change(connection: sa.Connection, site: str, **values: object) -> None:
    connection.execute(sa.update(site_pace).where(site_pace.c.site == site).values(**values))
