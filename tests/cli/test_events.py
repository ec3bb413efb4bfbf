"""`mediajobs events`: what people and scripts see of scheduled events."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mediajobs_dagster.cli.main import commands
from mediajobs_dagster.models import EventStatus, NewEvent, utc_now
from mediajobs_dagster.system import MediaJobs


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDIAJOBS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, columns: str = "160") -> str:
    result = CliRunner().invoke(commands, ["events", *arguments], catch_exceptions=False, env={"COLUMNS": columns})
    assert result.exit_code == 0, result.output
    return result.output


def store(home: Path) -> None:
    now = utc_now()
    told = {"Lions vs. Bears": (2, EventStatus.SCHEDULED), "Old game": (-9, EventStatus.FINISHED)}
    found = [
        NewEvent(external_id=title[:3], title=title, starts_at=now + timedelta(days=days), status=status)
        for title, (days, status) in told.items()
    ]
    with MediaJobs.open(home=home) as media:
        media.history.events.upsert("league", found, asked_at=now)


def test_events_are_listed_and_shown(home: Path) -> None:
    """Those to come; all of them if asked for; one by its title."""
    store(home)
    assert "Lions vs. Bears" in (listed := run("list"))
    assert "Old game" not in listed
    assert [each["title"] for each in json.loads(run("list", "--all", "--json"))] == ["Old game", "Lions vs. Bears"]
    assert "Old game" not in run("list", "lions", "--all", "--status", "scheduled", "--source", "league")
    assert "finished" in run("show", "Old game")
    assert json.loads(run("show", "Lio", "--json"))["source"] == "league"


def test_an_empty_list_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a source, have it read, see why that failed, or look further."""
    assert "MEDIAJOBS_CALENDARS" in run("list")
    monkeypatch.setenv("MEDIAJOBS_CALENDARS", "team=https://example.com/x.ics")
    assert "`mediajobs run schedule_sync`" in run("list")
    store(home)
    assert "--all" in run("list", "Nobody")


def test_a_narrow_list_has_titles_states_and_a_word_on_earlier_events(home: Path) -> None:
    """Ids are shown by beginnings that commands take; a part of a title names an event that alone has it."""
    store(home)
    listed = run("list", columns="80")
    assert "Lions vs. Bears" in listed
    assert "scheduled" in listed
    assert "1 earlier: add --all" in listed
    (event,) = json.loads(run("list", "--json"))
    shown = next(line.split()[0] for line in listed.splitlines() if "Lions" in line)
    assert len(shown) < len(event["id"])
    assert json.loads(run("show", shown, "--json"))["id"] == event["id"]
    assert json.loads(run("show", "lions", "--json"))["id"] == event["id"]
