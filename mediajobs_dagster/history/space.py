"""How much room the database takes, and giving back what removed rows have left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import metadata

_FIRST_STEP, _LEAST_STEP, _LARGEST_STEP = 50, 5, 2_000
"""Pages of a SQLite file that are given back in one transaction. It takes as many as fit into `_STEP_S`."""
_STEP_S = 0.02
"""How long one transaction should take, seconds: nobody else can write meanwhile."""
_AFTER_A_BATCH_S = 0.06
"""How long to give back what one batch of a removal has left, seconds."""
_LONGEST_S = 600.0
"""How long a file is shrunk in the end, seconds.

For each page, SQLite looks through the list of free pages, which takes milliseconds where that has a million.
"""
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
        self._at_once = _FIRST_STEP

    def bytes(self) -> int:
        """The size of the database with its indexes, as the system has it."""
        if self._database.is_sqlite:
            return self._pragma("page_count") * self._pragma("page_size")
        with self._database.read() as connection:
            return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)

    def give_back_some(self) -> int:
        """Give back what a batch of a removal has left, in a moment; returns how many pages of the file.

        As long as few pages are free, that is quick. It does nothing on PostgreSQL, or to a file that cannot be shrunk.
        """
        if not self._can_shrink():
            return 0
        return self._shrink(until=time.monotonic() + _AFTER_A_BATCH_S)

    def give_back(self, pause: Callable[[], None] = lambda: None, *, given_back: int = 0) -> str:
        """Give room that is free inside the database back to the system, as far as that keeps nobody waiting.

        Returns what was done, in a sentence, with the pages that were `given_back` before. `pause` is called between
        two steps, and may raise to end it.
        """
        if not self._database.is_sqlite:
            return self._vacuum_tables()
        if not self._can_shrink():
            return self._rewrite()
        given_back += self._shrink(until=time.monotonic() + _LONGEST_S, pause=pause)
        self._checkpoint()
        left = self._pragma("freelist_count")
        rest = f" {left:,} stay free for new rows; the next clean-up gives back more." if left else ""
        return f"{given_back:,} free pages of the file were given back.{rest}"

    def _can_shrink(self) -> bool:
        return self._database.is_sqlite and self._pragma("auto_vacuum") == _INCREMENTAL

    def _shrink(self, *, until: float, pause: Callable[[], None] = lambda: None) -> int:
        free = left = self._pragma("freelist_count")
        while left and (began := time.monotonic()) < until:
            with self._driver() as driver:
                # As a script, because it has to be stepped to its end: `execute` makes one step, which is one page.
                driver.executescript(f"PRAGMA incremental_vacuum({self._at_once})")
            fitting = self._at_once * _STEP_S / max(0.001, time.monotonic() - began)
            self._at_once = round(min(_LARGEST_STEP, 2 * self._at_once, max(_LEAST_STEP, fitting)))
            now = self._pragma("freelist_count")
            if now >= left:
                break
            left = now
            pause()
        return free - left

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
