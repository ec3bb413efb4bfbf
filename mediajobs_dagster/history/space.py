"""How much room the database takes, and giving back what removed rows have left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import metadata

_PAGES_AT_ONCE = 500
"""Pages of a SQLite file that are given back in one transaction, 2 MB: nobody waits for it noticeably."""
_LARGEST_REWRITE = 256 << 20
"""The largest SQLite file that is rewritten, bytes. Nobody can write meanwhile, and it takes a second or two."""
_WORTH_IT = 0.1
"""Share of a file that has to be free before it is rewritten."""
_INCREMENTAL = 2


class Space:
    """The room of a database on its disk."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def bytes(self) -> int:
        """The size of the database with its indexes, as the system has it."""
        if self._database.is_sqlite:
            return self._pragma("page_count") * self._pragma("page_size")
        with self._database.read() as connection:
            return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)

    def give_back(self, pause: Callable[[], None] = lambda: None) -> str:
        """Give room that is free inside the database back to the system, as far as that keeps nobody waiting.

        Returns what was done, in a sentence. `pause` is called between two steps, and may raise to end it.
        """
        if not self._database.is_sqlite:
            return self._vacuum_tables()
        if self._pragma("auto_vacuum") == _INCREMENTAL:
            return self._shrink(pause)
        return self._rewrite()

    def _shrink(self, pause: Callable[[], None]) -> str:
        free = self._pragma("freelist_count")
        left = free
        while left:
            with self._driver() as driver:
                # As a script, because it has to be stepped to its end: `execute` makes one step, which is one page.
                driver.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            now = self._pragma("freelist_count")
            if now >= left:
                break
            left = now
            pause()
        self._checkpoint()
        return f"{free - left:,} free pages of the file were given back."

    def _rewrite(self) -> str:
        size, free = self.bytes(), self._pragma("freelist_count") * self._pragma("page_size")
        room = shutil.disk_usage(self._database.sqlite_path.parent).free
        if free < _WORTH_IT * size:
            return "Little of the file is free, so it was left as it is."
        if size > _LARGEST_REWRITE or room < 2 * size:
            return (
                f"{free:,} bytes of the file are free for new rows. It was made by an earlier version, so giving them "
                "back takes a rewrite: stop mediajobs and call sqlite3 FILE 'PRAGMA auto_vacuum = 2; VACUUM'."
            )
        with self._driver() as driver:
            driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
            driver.execute("VACUUM")
        self._checkpoint()
        return "The file was rewritten; from now on it is shrunk step by step."

    def _checkpoint(self) -> None:
        with self._driver() as driver:
            # While somebody reads it does less, and says so in its answer, which is as good.
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _vacuum_tables(self) -> str:
        tables = ", ".join(sorted(metadata.tables))
        with self._database.errors_translated(), self._database.engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            alone.exec_driver_sql("SET statement_timeout = 0")
            try:
                alone.exec_driver_sql(f"VACUUM (SKIP_LOCKED, ANALYZE) {tables}")
            finally:
                alone.exec_driver_sql("RESET statement_timeout")
        return "The tables were vacuumed: their room is free for new rows, and what lay at their ends was given back."

    def _pragma(self, name: str) -> int:
        with self._database.read() as connection:
            return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)

    @contextmanager
    def _driver(self) -> Generator[Any]:
        """A connection of the driver, outside of any transaction: SQLite wants that for some of its commands."""
        with self._database.errors_translated(), self._database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # a fresh connection has one
            yield driver
