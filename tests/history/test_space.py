"""Room that removed rows leave is given back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mediajobs_dagster.history import History
from tests.history.test_removing import OLD, clean, make, removed


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
