"""Looking at videos, and correcting what they are linked to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mediajobs_dagster.models import (
    Event,
    EventStatus,
    FoundVideo,
    MatchReason,
    NewEvent,
    VideoMatch,
    utc_now,
)
from tests.cli.conftest import Call
from tests.platform import Platform

TITLE = "Lakers vs Celtics [full] \x1b[31mgame"


@pytest.fixture
def event(platform: Platform) -> Event:
    """An event with one candidate that is not linked to it."""
    history, now = platform.history, utc_now()
    new = NewEvent(external_id="g1", title="Lakers vs Celtics", starts_at=now, status=EventStatus.FINISHED)
    history.events.upsert("games", [new], asked_at=now)
    found = FoundVideo(
        external_id="abc123",
        address="https://v/abc123",
        title=TITLE,
        channel="League",
        channel_id="UC1",
        published_at=now,
        found_by="feed",
        found_in="UC1",
        duration_seconds=7384.0,
    )
    history.videos.store([found], trace_id=None, now=now)
    (event,) = history.naming.events("g1", limit=1)
    (video,) = history.naming.videos("abc123", limit=1)
    reason = MatchReason(feature="title", score=0.5, weight=3.0, said="1 of 2 words")
    history.videos.keep_matches(
        [VideoMatch(video_id=video.id, event_id=event.id, score=0.5, reasons=(reason,), scored_at=now)]
    )
    return event


def test_list_show_link_and_unlink(mediajobs: Call, event: Event, platform: Platform) -> None:
    """By id, id at the site, page or title; what a person decides is shown as such."""
    (listed,) = mediajobs("videos", "list", "LAKERS", "--json").json
    assert (listed["externalId"], listed["eventTitle"], listed["linkedBy"]) == ("abc123", None, None)
    shown = mediajobs("videos", "show", listed["id"][:13], columns="80").out
    assert "0.50 for Lakers vs Celtics" in shown
    assert "1 of 2 words" in shown
    assert "2:03:04" in shown
    assert "\x1b[31m" not in shown
    assert mediajobs("videos", "list", "--linked", "--json").json == []

    linked = mediajobs("videos", "link", "https://v/abc123", "g1", "--json").json
    assert (linked["video"]["eventId"], linked["video"]["linkedBy"]) == (event.id, "person")
    assert [each["eventTitle"] for each in linked["candidates"]] == ["Lakers vs Celtics"]
    assert mediajobs("videos", "list", "--event", "g1", "--json").json[0]["id"] == listed["id"]
    assert "by a person at" in mediajobs("videos", "show", "abc123").out

    assert "to no event, by a person at" in mediajobs("videos", "unlink", TITLE).out
    video = platform.media.videos.show("abc123").found.video
    assert (video.event_id, video.linked_by) == (None, "person")
    assert not platform.history.videos.link_match(video.id, event.id, now=utc_now() + timedelta(seconds=1))


def test_the_candidates_of_an_event(mediajobs: Call, event: Event) -> None:
    """With their scores, so that it can be seen why none was linked."""
    (candidate,) = mediajobs("videos", "list", "--for", event.id, "--json").json
    assert (candidate["score"], candidate["reasons"][0]["feature"]) == (0.5, "title")
    shown = mediajobs("videos", "list", "--for", "g1").out
    assert "Candidates for Lakers vs Celtics" in shown
    assert "title 0.50" in shown


def test_what_is_not_there_is_refused(mediajobs: Call, platform: Platform) -> None:
    """With a sentence, and exit code 2; an empty list says how to get some."""
    assert "video_discovery" in mediajobs("videos", "list").out
    for arguments in (("show", "nothing"), ("link", "nothing", "g1"), ("unlink", "nothing"), ("list", "--for", "x")):
        answer = mediajobs("videos", *arguments)
        assert (answer.code, answer.err.startswith("NOT_FOUND: ")) == (2, True)


def test_a_narrow_list_gives_titles_room(mediajobs: Call, event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other columns are left out before; a part of a title names what alone has it."""
    monkeypatch.setenv("COLUMNS", "80")
    assert "Lakers vs Celtics [full]" in mediajobs("videos", "list").out
    linked = mediajobs("videos", "link", "abc123", "celtics", "--json").json
    assert linked["video"]["eventId"] == event.id
