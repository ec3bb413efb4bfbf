"""What was answered to requests that carry an idempotency key, so that one that is sent again changes nothing again."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from mediajobs_dagster.errors import KeyBusyError, KeyReusedError, MediaJobsError
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database, insert_or_ignore
from mediajobs_dagster.history.schema import requests

KEPT = timedelta(hours=24)
"""How long an answer is kept."""
PATIENCE = timedelta(minutes=2)
"""A request that gives no sign of life for so long has lost its process, and may be made again."""
_AT_ONCE = 100
"""How many old ones a new one clears away."""


@dataclass(frozen=True)
class Answered:
    """What was answered."""

    status: int
    body: str


class Claim:
    """The right to carry a request out. It is known by its latest sign of life, so an old claim can end nothing."""

    def __init__(self, database: Database, key: str, at: datetime) -> None:
        """Made by `Requests.begin`."""
        self._database, self._key, self._at = database, key, at

    @contextmanager
    def kept(self, every_s: float = PATIENCE.total_seconds() / 4) -> Generator[None]:
        """Give signs of life while the block works, so that nobody else does the same."""
        is_over = threading.Event()

        def renew() -> None:
            while not is_over.wait(every_s):
                try:
                    self.renew()
                except MediaJobsError:  # an outage: the next sign may come through in time
                    continue

        thread = threading.Thread(target=renew, name="mediajobs-request", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def renew(self) -> None:
        """Give a sign of life. It does nothing once the claim is lost."""
        renewed = sa.update(requests).where(*self._mine()).values(at=db_now()).returning(requests.c.at)
        with self._database.write() as connection:
            found = connection.execute(renewed).scalar_one_or_none()
        self._at = found or self._at

    def end(self, answered: Answered) -> None:
        """Keep what was answered."""
        with self._database.write() as connection:
            values = {"status": answered.status, "answer": answered.body}
            connection.execute(sa.update(requests).where(*self._mine()).values(values))

    def forget(self) -> None:
        """Let the key be used again: nothing was done."""
        with self._database.write() as connection:
            connection.execute(sa.delete(requests).where(*self._mine()))

    def _mine(self) -> Sequence[sa.ColumnElement[bool]]:
        return requests.c.key == self._key, requests.c.at == self._at, requests.c.status.is_(None)


class Requests:
    """Reads and writes the table of requests."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def begin(self, key: str, asked: str) -> Answered | Claim:
        """Claim a key for what is asked, or return what was answered when the same was asked before.

        With a claim: do it, then call its `end`, or `forget` if it comes to nothing. `asked` stands for the whole
        request. Raises KeyReusedError when the key came with another request, and KeyBusyError when that request is
        still at work.
        """
        with self._database.write() as connection:
            self._clear(connection)
            row = {"key": key, "asked": asked, "at": db_now(), "status": None, "answer": None}
            is_new = connection.execute(insert_or_ignore(connection, requests).values(row)).rowcount == 1
            # Another process may clear it away before it is read; then it is asked for anew by the client.
            found = connection.execute(sa.select(requests).where(requests.c.key == key)).one_or_none()
            if found is None:
                raise KeyBusyError(_busy(key))
            if is_new:
                return Claim(self._database, key, found.at)
            if found.asked != asked:
                raise KeyReusedError(
                    f"The idempotency key {key!r} came with another request before. Use a new key for each request."
                )
            if found.status is not None:
                return Answered(found.status, found.answer)
            is_dead = requests.c.at < db_time_in(-PATIENCE.total_seconds())
            taken = sa.update(requests).where(requests.c.key == key, requests.c.status.is_(None), is_dead)
            at = connection.execute(taken.values(at=db_now()).returning(requests.c.at)).scalar_one_or_none()
            if at is not None:
                return Claim(self._database, key, at)
            raise KeyBusyError(_busy(key))

    @staticmethod
    def _clear(connection: sa.Connection) -> None:
        old = sa.select(requests.c.key).where(requests.c.at < db_time_in(-KEPT.total_seconds())).limit(_AT_ONCE)
        connection.execute(sa.delete(requests).where(requests.c.key.in_(old)))


def _busy(key: str) -> str:
    return f"The request with the idempotency key {key!r} is still at work. Send it again in a moment."
