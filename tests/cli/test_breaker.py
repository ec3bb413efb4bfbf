"""Seeing, opening and closing breakers."""

from __future__ import annotations

import pytest

from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform


def test_a_breaker_opened_by_hand_is_told_wherever_jobs_wait(mediajobs: Call, clips: Clips, platform: Platform) -> None:
    """With the reason, after `add`, in the list, in status, doctor and work; closed again, the job is done."""
    mediajobs("add", clips.short(), "--type", Thumbnail.name)
    assert "open" in mediajobs("breaker", "open", "thumbnail", "--reason", "licence [x]").out
    again = ("add", clips.short(), "--type", Thumbnail.name, "--force")
    for command in (again, ("breaker", "list"), ("status",), ("jobs", "list"), ("doctor",)):
        assert "licence [x]" in mediajobs(*command).out, command
    held = mediajobs("work")
    assert held.code == 1
    assert "licence [x]" in held.out
    (listed,) = [each for each in mediajobs("breaker", "list", "--json").json if each["name"] == Thumbnail.name]
    assert (listed["scope"], listed["state"], listed["switch"]["reason"]) == ("job_type", "open", "licence [x]")
    assert mediajobs("breaker", "close", "thumbnail", "--json").json["state"] == "closed"
    platform.work()
    assert mediajobs("jobs", "list", "--json").json[0]["status"] == "completed"
    actions = [each["action"] for each in mediajobs("actions", "list", "--json").json]
    assert actions == ["breaker close", "add", "breaker open", "add"]
    assert mediajobs("breaker", "open", "nothing").code == 2


def test_a_quarantined_machine_is_told(mediajobs: Call, clips: Clips) -> None:
    """Opened by hand on this machine, which then works on nothing."""
    mediajobs("add", clips.short(), "--type", Thumbnail.name)
    mediajobs("breaker", "open", "render-1", "--host", "--reason", "new disk", hostname="render-1")
    for command in (("breaker", "list"), ("status",), ("doctor",), ("work",)):
        assert "new disk" in mediajobs(*command, hostname="render-1").out, command
    assert mediajobs("status", "--json").json["quarantined"][0]["host"] == "render-1"
    assert mediajobs("jobs", "list", "--json").json[0]["status"] == "queued"
    assert mediajobs("breaker", "close", "render-1", "--host").code == 0
    assert mediajobs("work").code == 0
    assert mediajobs("jobs", "list", "--json").json[0]["status"] == "completed"


def test_the_list_begins_with_what_is_stopped_and_says_why(
    mediajobs: Call, clips: Clips, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any width; one that opened by itself was set by nobody."""
    for clip in (clips.faststart(), clips.transport_stream(), clips.matroska()):
        platform.storage.delete(platform.add(clip, Thumbnail.name).storage_key)
    platform.work()
    mediajobs("breaker", "open", EditProxy.name, "--reason", "licence")
    listed = mediajobs("breaker", "list", "--json").json
    assert [each["state"] for each in listed[:3]] == ["open", "open", "closed"]
    head, _, *rows = mediajobs("breaker", "list").out.splitlines()
    by_hand, by_itself = rows[:2]
    assert by_itself[head.index("Set by hand") :].startswith("–")
    assert by_itself[head.index("Why") :].startswith(listed[1]["reason"])
    assert by_hand[head.index("Set by hand") :].startswith("open by ")
    assert "licence" in by_hand[head.index("Why") :]

    monkeypatch.setenv("COLUMNS", "80")
    shown = " ".join(mediajobs("breaker", "list").out.split())
    assert all(each["reason"] in shown for each in listed[:2])
