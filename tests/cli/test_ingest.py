"""Asking for videos on the command line."""

from __future__ import annotations

from mediajobs_dagster.history import JobFilter
from tests.cli.conftest import Call
from tests.platform import Platform

FILE = "https://media.example.com/talks/On%20paths.mp4"


def test_an_address_is_asked_for_once(mediajobs: Call, platform: Platform) -> None:
    """The second time it is known; both times it is told what becomes of it."""
    planned = mediajobs("ingest", FILE, "--dry-run", "--json").json
    assert (planned["dryRun"], planned["created"], planned["videos"][0]["job"]) == (True, 1, None)
    assert platform.history.jobs.list(JobFilter()) == []
    asked = mediajobs("ingest", FILE, "--priority", "3", "--json").json
    (video,) = asked["videos"]
    assert (video["new"], video["job"]["priority"], video["video"]["title"]) == (True, 3, "On paths.mp4")
    assert video["job"]["traceId"] == asked["traceId"]
    again = mediajobs("ingest", FILE)
    assert "On paths.mp4" in again.out
    assert "asked for before: 1" in again.out
    assert mediajobs("why", "On paths.mp4", "--json").json["jobId"] == video["job"]["id"]
    assert [each.action for each in platform.history.actions.list()].count("ingest") == 1


def test_what_is_no_address_is_refused(mediajobs: Call) -> None:
    """Alone it ends the command; beside others it is listed."""
    for address, code in (
        ("/tmp/talk.mp4", "REQUEST_INVALID"),
        ("ftp://media.example.com/talk.mp4", "REQUEST_INVALID"),
        ("https://bob:hunter2@media.example.com/talk.mp4", "REQUEST_INVALID"),
        ("s3://bucket/", "REQUEST_INVALID"),
        ("http://169.254.169.254/talk.mp4", "ADDRESS_REFUSED"),
    ):
        refused = mediajobs("ingest", address)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.startswith(f"{code}: ")
        assert "hunter2" not in refused.err
    mixed = mediajobs("ingest", FILE, "/tmp/talk.mp4", "--json")
    assert mixed.code == 0
    assert (mixed.json["created"], mixed.json["refused"][0]["code"]) == (1, "REQUEST_INVALID")


def test_force_asks_anew(mediajobs: Call) -> None:
    """In its own trace."""
    mediajobs("ingest", FILE)
    forced = mediajobs("ingest", FILE, "--force", "--json").json
    assert forced["created"] == 1
    assert forced["videos"][0]["job"]["force"] is True
