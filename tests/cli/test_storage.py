"""`mediajobs storage`, as people and scripts see it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediajobs_dagster.cli.display import growth, size
from tests.cli.conftest import Call


def an_old_file(tmp_path: Path, key: str) -> Path:
    """A file in the storage folder that was written nine days ago."""
    path = tmp_path / "home/objects" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("12345")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 9 * 86_400))
    return path


def test_a_report_is_made_and_shown_again(mediajobs: Call, tmp_path: Path) -> None:
    """Without one, it says how to make one; it names the prefixes that the map lacks."""
    assert mediajobs("storage", "report").code == 2
    an_old_file(tmp_path, "backups/a")
    made = mediajobs("storage", "report", "--now", "--json", storage_price_gb_month=1)
    assert (made.json["objects"], made.json["bytes"], made.json["missing"]) == (1, 5, 0)
    assert mediajobs("storage", "report", "--json").json == made.json
    assert "Not in the storage map: backups/." in mediajobs("storage", "report").out


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(
    mediajobs: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Neither the map nor a report with something odd in it."""
    monkeypatch.setenv("COLUMNS", str(columns))
    an_old_file(tmp_path, "thumbs/odd")
    mediajobs("storage", "report", "--now")
    for words in (("map",), ("report",)):
        lines = mediajobs("storage", *words).out.splitlines()
        assert max(map(len, lines)) <= columns or words == ("report",)
        assert max(map(len, lines[1:])) <= columns  # the first line of a report is an address


def test_gc_says_what_would_go_removes_it_and_brings_it_back(mediajobs: Call, tmp_path: Path) -> None:
    """Dry by default; the answer names the command that undoes it."""
    probe = an_old_file(tmp_path, ".doctor/probe")
    dry = mediajobs("storage", "gc")
    assert "1 object (5 B) would be removed" in dry.out
    assert probe.exists()
    done = mediajobs("storage", "gc", "--delete", "--json").json
    assert (done["gone"]["objects"], done["undo"]) == (1, "trash")
    assert not probe.exists()
    assert mediajobs("storage", "gc", "--restore", done["removalId"]).out == "1 object back in place.\n"
    assert probe.read_text() == "12345"


@pytest.mark.parametrize("age", ["5", "1h", "0d", "d", "1y"])
def test_an_age_has_a_unit_and_is_a_day_at_least(mediajobs: Call, age: str) -> None:
    """What is refused is refused before anything is looked at."""
    assert mediajobs("storage", "gc", "--older-than", age).code == 2


def test_gigantic_sizes_stay_readable() -> None:
    """Up to the largest number that a database holds, and shrinking too."""
    assert (size(5 << 50), size(2**63), growth(-(3 << 40)), growth(0)) == ("5.0 PiB", "8.0 EiB", "-3.0 TiB", "±0")
