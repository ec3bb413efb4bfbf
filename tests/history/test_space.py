"""Room that removed rows leave is given back."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import History, space
from mediajobs_dagster.history import schema as tables
from tests.history.test_removing import OLD, clean, execute, make, removed


def filled(history: History, number: int = 60) -> None:
    """Old jobs with attempts."""
    for _ in range(number):
        make(history, at=OLD, attempts=3)


def test_the_database_tells_its_size_and_gives_room_back(history: History) -> None:
    """After a clean-up; on SQLite the file gets smaller."""
    empty = history.space.bytes()
    assert empty > 10_000
    filled(history)
    done = clean(history)
    assert removed(done) == {"attempts": 180, "jobs": 60}
    assert done.bytes_before >= empty
    if history.file is not None:
        assert done.bytes_after < done.bytes_before
        assert history.file.stat().st_size == done.bytes_after
        assert "given back" in done.space
        with sqlite3.connect(history.file) as connection:
            assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        connection.close()
    else:
        assert "vacuumed" in done.space
    assert clean(history).space == "Nothing to give back."


def test_a_clean_up_that_removes_nothing_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """Free pages that others left are used up by new rows."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        filled(history)
        clean(history)
        filled(history)
        execute(history, sa.delete(tables.job_history))
        for done in (clean(history, dry_run=True), clean(history, retention_days=0)):
            assert done.bytes_after == done.bytes_before
            assert done.space == "Nothing to give back."
        assert history.space._pragma("freelist_count") > 10  # pyright: ignore[reportPrivateUsage]


def test_a_file_is_shrunk_while_rows_go(tmp_path: Path) -> None:
    """SQLite takes milliseconds for each page where a million of them are free, so they never become many."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        filled(history, 150)
        free: list[int] = []
        done = clean(history, at_once=20, check=lambda: free.append(history.space._pragma("freelist_count")))  # pyright: ignore[reportPrivateUsage]
        pages = (done.bytes_before - done.bytes_after) // history.space._pragma("page_size")  # pyright: ignore[reportPrivateUsage]
    assert pages > 80
    assert done.space.startswith(f"{pages:,} free pages of the file were given back.")
    assert max(free) < pages / 4


def test_a_file_with_very_many_free_pages_stays_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into the time stays for new rows, is told, and goes with the next clean-up."""
    monkeypatch.setattr(space, "_LONGEST_S", 0.0)
    monkeypatch.setattr(space, "_AFTER_A_BATCH_S", 0.0)
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        filled(history)
        done = clean(history)
        assert re.fullmatch(
            r"0 free pages .*\. \d+ stay free for new rows; the next clean-up gives back more\.", done.space
        )
        assert done.bytes_after >= done.bytes_before
        monkeypatch.undo()
        filled(history, 1)
        assert clean(history).bytes_after < done.bytes_after


def test_a_file_of_an_earlier_version_is_rewritten_once(tmp_path: Path) -> None:
    """It cannot be shrunk step by step; small as it is, it is rewritten, and then it can."""
    path = tmp_path / "old.db"
    History.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    connection.close()
    with History.open(f"sqlite:///{path}") as history:
        filled(history)
        done = clean(history)
        assert "rewritten" in done.space
        assert done.bytes_after < done.bytes_before
        filled(history)
        assert "given back" in clean(history).space
