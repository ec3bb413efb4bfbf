"""Engines, transactions and the translation of the drivers' errors, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from mediajobs_dagster.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    DiskFullError,
    MediaJobsError,
    SettingsError,
)
from mediajobs_dagster.history.packing import compact_json

_WRITES = "mediajobs_writes"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PG_BUSY = frozenset(
    {
        "55P03",  # lock_not_available: lock_timeout ran out
        "57014",  # query_canceled: statement_timeout ran out
        "40P01",  # deadlock_detected
        "40001",  # serialization_failure
        "53300",  # too_many_connections
    }
)
_PG_DISK_FULL = "53100"
_PG_GONE = ("08", "57P")  # connection exceptions; operator intervention (shutdown, crash, starting up)
_SQLITE_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SQLITE_REFUSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


class Database:
    """A pool of connections to one database.

    A pool must not be used on both sides of a fork: open it in the process that uses it. Threads may share it.
    """

    def __init__(self, url: str, *, timeout_s: float, is_traced: bool = False) -> None:
        """Prepare the pool; nothing is connected yet. `timeout_s` bounds each wait for a lock, statement or server.

        `is_traced`: what ends is noted for a collector of traces.
        """
        self.url = _parse(url)
        self.is_traced = is_traced
        self._timeout_s = timeout_s
        self.engine = _sqlite_engine(self.url, timeout_s) if self.is_sqlite else _postgres_engine(self.url, timeout_s)
        self._writer = self.engine.execution_options(**{_WRITES: True})
        isolation = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._snapshots = self.engine.execution_options(**isolation)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The SQLite file."""
        return Path(self.url.database or "")

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Generator[sa.Connection, None, None]:
        """A transaction that only reads. On SQLite it never waits for a writer.

        With `snapshot`, all statements see the database at the same moment. On SQLite they always do.
        """
        engine = self._snapshots if snapshot else self.engine
        with self.errors_translated(), engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Generator[sa.Connection, None, None]:
        """A transaction that writes: committed at the end, rolled back by an exception.

        On SQLite it takes the write lock when it begins. So nobody can write between its reads and its writes, and it
        cannot fail half-way because another holds the lock.
        """
        with self.errors_translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def errors_translated(self) -> Generator[None, None, None]:
        """Raise errors of the error tree for a database that is busy, gone or full. Other errors are bugs and pass."""
        try:
            yield
        except PoolTimeoutError as error:
            raise DatabaseBusyError(self._busy_message("every pooled connection is in use")) from error
        except (DBAPIError, sqlite3.Error) as error:
            fault = error.orig if isinstance(error, DBAPIError) else error
            if is_busy(fault):
                raise DatabaseBusyError(self._busy_message(str(fault).strip())) from error
            if (told := fault_of(fault, f"history database {self.shown}")) is None:
                raise
            raise told from error

    @property
    def shown(self) -> str:
        """The address for people: without password, and without a query, which may hold one too."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    def _busy_message(self, said: str) -> str:
        return (
            f"The history database {self.shown} did not answer within {self._timeout_s:g} s ({said}). Try again, find "
            "who holds a lock on it, or raise MEDIAJOBS_DATABASE_TIMEOUT_S."
        )

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def insert_or_ignore(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that skips rows that would violate a unique constraint."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def insert_new(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    *,
    also: Mapping[str, Any] | None = None,
) -> None:
    """Insert rows; skip those that would violate a unique constraint. `also`: values of columns that all rows share."""
    statement = insert_or_ignore(connection, table)
    _insert_all(connection, statement.values(**also) if also else statement, rows)


def insert_or_add(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; where a row has the same primary key, add the other columns to its columns."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    sums = {column.name: column + statement.excluded[column.name] for column in table.c if not column.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)
    _insert_all(connection, upsert, rows)


def _insert_all(
    connection: sa.Connection, statement: postgresql.Insert | sqlite.Insert, rows: Sequence[dict[str, Any]]
) -> None:
    # SQLAlchemy sends a thousand rows at a time only if the statement returns something; otherwise each row costs a
    # round trip. SQLite has no round trips.
    is_remote = connection.dialect.name != "sqlite"
    connection.execute(statement.returning(sa.literal(1)) if is_remote else statement, rows)


def is_busy(fault: BaseException | None) -> bool:
    """Whether the driver's error means that the database is busy: a lock, a timeout or too many connections."""
    if isinstance(fault, sqlite3.Error):
        return _sqlite_code(fault) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(fault, psycopg2.Error) and fault.pgcode in _PG_BUSY


def fault_of(fault: BaseException | None, what: str) -> MediaJobsError | None:
    """The error for a driver's error that says that a database is full, gone, damaged or not ours to write; else None.

    `what` names the database, as in "The disk of the history database is full".
    """
    said = " ".join(str(fault).split())
    if _is_disk_full(fault):
        return DiskFullError(f"The disk of the {what} is full ({said}). Free some space.")
    if isinstance(fault, sqlite3.Error):
        return _fault_of_file(_sqlite_code(fault), said, what)
    if _is_gone(fault):
        return DatabaseUnavailableError(
            f"The {what} cannot be reached ({said}). Check MEDIAJOBS_DATABASE_URL and that the server runs."
        )
    return None


def fault_in_library(error: BaseException, what: str) -> MediaJobsError | None:
    """As `fault_of`, for what a library raises that keeps a database of its own; also for one that is busy."""
    if not isinstance(error, DBAPIError):
        return None
    if is_busy(error.orig):
        return DatabaseBusyError(f"The {what} did not answer in time ({error.orig}). Try again.")
    return fault_of(error.orig, what)


def _fault_of_file(code: int, said: str, what: str) -> DatabaseUnavailableError | None:
    if code in _SQLITE_DAMAGED:
        return DatabaseUnavailableError(
            f"The {what} is damaged, or is no SQLite database ({said}). Stop mediajobs and put a backup in its place, "
            "or save what can be read: sqlite3 OLD.db .recover | sqlite3 NEW.db."
        )
    if code in _SQLITE_REFUSED:
        return DatabaseUnavailableError(
            f"The {what} cannot be opened or written to ({said}). Check its disk, and that this user has access to the "
            "file and its folder; or point MEDIAJOBS_HOME, or MEDIAJOBS_DATABASE_URL, elsewhere."
        )
    return None


def _is_disk_full(fault: BaseException | None) -> bool:
    if isinstance(fault, sqlite3.Error):
        return _sqlite_code(fault) == sqlite3.SQLITE_FULL
    return isinstance(fault, psycopg2.Error) and fault.pgcode == _PG_DISK_FULL


def _is_gone(fault: BaseException | None) -> bool:
    if isinstance(fault, psycopg2.Error) and fault.pgcode:
        return fault.pgcode.startswith(_PG_GONE)
    # Without a code there was no answer: connection refused, name not resolved, or connection lost.
    return isinstance(fault, psycopg2.OperationalError | psycopg2.InterfaceError)


def _sqlite_code(fault: sqlite3.Error) -> int:
    # The low byte is the primary code, https://www.sqlite.org/rescode.html; the driver's own errors have none.
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        # Not as its cause, which may quote the address with its password.
        raise SettingsError(
            "MEDIAJOBS_DATABASE_URL is not a database URL. Use sqlite:///… or postgresql://user@host:port/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise SettingsError(f"MEDIAJOBS_DATABASE_URL names {backend}. Use sqlite:///… or postgresql://….")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingsError(
            "MEDIAJOBS_DATABASE_URL names no file. Processes share the database: use sqlite:////path.db."
        )
    return parsed.set(drivername="postgresql+psycopg2") if backend == "postgresql" else parsed


def _sqlite_engine(url: sa.URL, timeout_s: float) -> sa.Engine:
    engine = sa.create_engine(
        url, connect_args={"timeout": timeout_s}, pool_timeout=timeout_s, json_serializer=compact_json
    )

    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # The driver would begin transactions late, and deferred; `on_begin` begins them instead.
        connection.isolation_level = None
        # One statement each; the journal mode is a property of the file, set when it is made.
        # The cache, 16 MB, holds the upper pages of every index of a million rows; lower pages are read anyway.
        for pragma in ("foreign_keys = ON", "synchronous = NORMAL", "cache_size = -16000"):
            connection.cursor().execute(f"PRAGMA {pragma}")

    def on_begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def _postgres_engine(url: sa.URL, timeout_s: float) -> sa.Engine:
    milliseconds = math.ceil(timeout_s * 1000)
    session = {
        "lock_timeout": milliseconds,
        "statement_timeout": milliseconds,
        "timezone": "UTC",
        # There is an index for every query. By default PostgreSQL assumes spinning disks: it would rather scan whole
        # tables, with parallel workers, which takes longer than the query.
        "random_page_cost": 1.1,
        "max_parallel_workers_per_gather": 0,
    }
    settings: dict[str, Any] = {
        "connect_timeout": max(2, math.ceil(timeout_s)),  # libpq takes whole seconds, and reads 1 as 2
        "tcp_user_timeout": milliseconds,  # notices a server that vanished without closing the connection
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        "application_name": "mediajobs",
    }
    return sa.create_engine(
        url, connect_args=settings, pool_pre_ping=True, pool_timeout=timeout_s, json_serializer=compact_json
    )
