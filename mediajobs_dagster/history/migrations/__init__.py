"""Brings a database to the schema of this code. Safe to run from many processes at once."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from mediajobs_dagster.errors import DatabaseUnavailableError
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import SCHEMA_VERSION, metadata

_ADVISORY_LOCK = 0x6D656469616A6F62  # "mediajob" in ASCII; only has to differ from other programs' locks
_VERSION = "alembic_version"
_FIRST_TABLES = ("uploads", "jobs", "job_history")
"""Tables that every schema of ours has had."""
_SHOWN = 5
"""How many tables of another program are named."""
_PATIENCE = "3600s"
"""An upgrade of millions of attempts takes minutes, and every other process that opens the database waits for it."""


def migrate(database: Database) -> None:
    """Bring the database to the newest schema, from whatever older one it has, or from nothing.

    Raises DatabaseUnavailableError when its schema is newer than this code.
    """
    if database.is_sqlite:
        _make_folder(database.sqlite_path.parent)
    if schema_version(database) == SCHEMA_VERSION:
        return
    _check_that_it_is_ours(database)
    with _alone(database) as connection:
        _upgrade(connection)


def _check_that_it_is_ours(database: Database) -> None:
    """Raise DatabaseUnavailableError if another program made the database; nothing of it is changed then.

    A file belongs to one program. On a server, another program's tables are no harm unless they have names of ours.
    """
    with database.read() as connection:
        found = set(sa.inspect(connection).get_table_names())
    ours = {table.name for table in metadata.sorted_tables}
    if not found or ({_VERSION, *_FIRST_TABLES} <= found):
        return
    foreign = found if database.is_sqlite else found & {_VERSION, *ours}
    if foreign:
        named = ", ".join(sorted(foreign)[:_SHOWN])
        raise DatabaseUnavailableError(
            f"The database {database.shown} belongs to another program: it has tables of its own ({named}). Point "
            "MEDIAJOBS_DATABASE_URL at a database for mediajobs alone, or MEDIAJOBS_HOME at another folder."
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailableError(
            f"The folder {folder} of the history database cannot be made: {error.strerror}. Point MEDIAJOBS_HOME, or "
            "MEDIAJOBS_DATABASE_URL, at a folder that this user may write to."
        ) from error


def schema_version(database: Database) -> str | None:
    """The schema the database has; None when it is empty."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table(_VERSION):
            return None
        return connection.scalar(sa.text(f"SELECT version_num FROM {_VERSION}"))


@contextmanager
def _alone(database: Database) -> Generator[sa.Connection, None, None]:
    if not database.is_sqlite:
        with database.write() as connection:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{_PATIENCE}'"))
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection
        return
    # A lock of its own beside the file: the change to WAL cannot be part of a transaction, and SQLite does not wait
    # when two connections try it at once.
    with _lock_beside(database.sqlite_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with database.errors_translated(), database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # a fresh connection has one
            # Of a new file only: room that removed rows leave can be given back step by step.
            driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
            driver.execute("PRAGMA journal_mode = WAL")
        with database.write() as connection:
            yield connection


def _lock_beside(path: Path) -> TextIO:
    try:
        return Path(f"{path}.migrate-lock").open("w")
    except OSError as error:
        raise DatabaseUnavailableError(
            f"The history database {path} cannot be set up: {error.strerror} in its folder. Give this user access to "
            "the folder, or point MEDIAJOBS_HOME, or MEDIAJOBS_DATABASE_URL, elsewhere."
        ) from error


def _upgrade(connection: sa.Connection) -> None:
    # Imported here: most processes find the schema in place and need no Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseUnavailableError(
            f"The history database has a schema that this mediajobs, which knows {SCHEMA_VERSION}, does not: {error}. "
            "Install the mediajobs that made it, or a newer one."
        ) from error
