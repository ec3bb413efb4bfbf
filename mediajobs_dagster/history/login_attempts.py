"""How often a password was wrong, for all processes that take logins: they share the pauses that follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import login_attempts

WINDOW = timedelta(minutes=15)
"""Attempts count until there was none for so long."""
_AT_ONCE = 100
"""How many that do not count any more a new one clears away."""


@dataclass(frozen=True)
class Limit:
    """How many wrong passwords are free, and which pauses follow: a first one, doubled each time, up to a longest."""

    free: int
    longest_s: float
    first_s: float = 1.0

    def pause_s(self, failures: int) -> float:
        """How long to wait after so many, seconds."""
        beyond = failures - self.free
        return 0.0 if beyond < 0 else min(self.longest_s, self.first_s * 2.0 ** min(beyond, 30))


class LoginAttempts:
    """Reads and writes the table of attempts: a row for each name, and for each address that they come from."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def begin(self, limits: Iterable[tuple[str, Limit]]) -> float | None:
        """Count an attempt for each of these keys before the password is looked at; `forget` it if it was right.

        None: look at it. Else it must not be: so many seconds have to pass first, and this attempt does not count. Of
        several that come at once, in whichever processes, no more are let through than one after the other.
        """
        limits = sorted(limits, key=lambda each: each[0])
        if (wait_s := self._wait_s([key for key, _ in limits])) > 0:
            return wait_s  # whoever only hammers at the door keeps nobody from writing
        with self._database.write() as connection:
            self._clear(connection)
            # Always in one order, so that two that share some keys wait for each other and not crosswise.
            found: list[tuple[str, Limit, int]] = []
            for key, limit in limits:
                row = _locked(connection, key)
                if row.wait_s > 0:
                    return row.wait_s
                found.append((key, limit, row.failures + 1))
            for key, limit, failures in found:
                values = {"failures": failures, "last_at": db_now(), "free_at": db_time_in(limit.pause_s(failures))}
                connection.execute(sa.update(login_attempts).where(login_attempts.c.key == key).values(values))
        return None

    def forget(self, keys: Iterable[str]) -> None:
        """Count nothing for these keys any more: the password was right."""
        with self._database.write() as connection:
            connection.execute(sa.delete(login_attempts).where(login_attempts.c.key.in_(sorted(keys))))

    def give_back(self, key: str) -> None:
        """Do not count the latest attempt for this key, but those before it."""
        values = {"failures": login_attempts.c.failures - 1, "free_at": db_now()}
        with self._database.write() as connection:
            connection.execute(sa.update(login_attempts).where(login_attempts.c.key == key).values(values))

    def _wait_s(self, keys: Sequence[str]) -> float:
        statement = sa.select(sa.func.max(login_attempts.c.free_at), db_now()).where(login_attempts.c.key.in_(keys))
        with self._database.read() as connection:
            free_at, now = connection.execute(statement).one()
        return (free_at - now).total_seconds() if free_at else 0.0

    @staticmethod
    def _clear(connection: sa.Connection) -> None:
        is_old = login_attempts.c.last_at < db_time_in(-2 * WINDOW.total_seconds())
        old = sa.select(login_attempts.c.key).where(is_old).order_by(login_attempts.c.key).limit(_AT_ONCE)
        connection.execute(sa.delete(login_attempts).where(login_attempts.c.key.in_(old)))


@dataclass(frozen=True)
class _Row:
    failures: int
    wait_s: float


def _locked(connection: sa.Connection, key: str) -> _Row:
    """The row of that key, which nobody else changes until the transaction ends."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = {"key": key, "failures": 0, "last_at": db_now(), "free_at": db_now()}
    same = {"key": login_attempts.c.key}  # an update that changes nothing locks the row that is there
    statement = dialect.insert(login_attempts).values(new)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=same))
    is_old = login_attempts.c.last_at < db_time_in(-WINDOW.total_seconds())
    columns = (
        sa.case((is_old, 0), else_=login_attempts.c.failures).label("failures"),
        login_attempts.c.free_at,
        db_now().label("now"),
    )
    found = connection.execute(sa.select(*columns).where(login_attempts.c.key == key)).one()
    return _Row(found.failures, (found.free_at - found.now).total_seconds())
