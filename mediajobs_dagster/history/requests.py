"""What was answered to requests that carry an idempotency key, so that one that is sent again changes nothing again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from mediajobs_dagster.errors import KeyBusyError, KeyReusedError
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database, insert_or_ignore
from mediajobs_dagster.history.schema import requests

KEPT = timedelta(hours=24)
"""How long an answer is kept."""
PATIENCE = timedelta(minutes=2)
"""A request without an answer for so long has lost its process, and may be made again."""
_AT_ONCE = 100
"""How many old ones a new one clears away."""


@dataclass(frozen=True)
class Answered:
    """What was answered."""

    status: int
    body: str


class Requests:
    """Reads and writes the table of requests."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def begin(self, key: str, asked: str) -> Answered | None:
        """Claim a key for what is asked; None: do it, then call `end`, or `forget` if it comes to nothing.

        Else what was answered when the same was asked before. `asked` stands for the whole request. Raises
        KeyReusedError when the key came with another request, and KeyBusyError when that request is still at work.
        """
        with self._database.write() as connection:
            self._clear(connection)
            row = {"key": key, "asked": asked, "at": db_now(), "status": None, "answer": None}
            if connection.execute(insert_or_ignore(connection, requests).values(row)).rowcount == 1:
                return None
            # Another process may clear it away before it is read; then it is asked for anew by the client.
            found = connection.execute(sa.select(requests).where(requests.c.key == key)).one_or_none()
            if found is None:
                raise KeyBusyError(_busy(key))
            if found.asked != asked:
                raise KeyReusedError(
                    f"The idempotency key {key!r} came with another request before. Use a new key for each request."
                )
            if found.status is not None:
                return Answered(found.status, found.answer)
            is_dead = requests.c.at < db_time_in(-PATIENCE.total_seconds())
            taken = sa.update(requests).where(requests.c.key == key, requests.c.status.is_(None), is_dead)
            if connection.execute(taken.values(at=db_now())).rowcount == 1:
                return None
            raise KeyBusyError(_busy(key))

    def end(self, key: str, answered: Answered) -> None:
        """Keep what was answered."""
        values = {"status": answered.status, "answer": answered.body}
        with self._database.write() as connection:
            connection.execute(sa.update(requests).where(requests.c.key == key).values(values))

    def forget(self, key: str) -> None:
        """Let the key be used again: nothing was done."""
        with self._database.write() as connection:
            connection.execute(sa.delete(requests).where(requests.c.key == key, requests.c.status.is_(None)))

    @staticmethod
    def _clear(connection: sa.Connection) -> None:
        old = sa.select(requests.c.key).where(requests.c.at < db_time_in(-KEPT.total_seconds())).limit(_AT_ONCE)
        connection.execute(sa.delete(requests).where(requests.c.key.in_(old)))


def _busy(key: str) -> str:
    return f"The request with the idempotency key {key!r} is still at work. Send it again in a moment."
