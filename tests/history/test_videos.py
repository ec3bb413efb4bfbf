"""Videos, their links and their matches, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import History, VideoFilter
from mediajobs_dagster.history.videos import VideoChanges
from mediajobs_dagster.models import (
    Event,
    EventStatus,
    FoundVideo,
    LinkedBy,
    MatchReason,
    NewEvent,
    Video,
    VideoMatch,
)
from tests.history.factories import NOON, TRACE


def found(external_id: str = "one", **more: Any) -> FoundVideo:
    values: dict[str, Any] = {
        "external_id": external_id,
        "address": f"https://v/{external_id}",
        "title": f"Video {external_id} 試合\x00",
        "published_at": NOON,
        "found_by": "feed",
        "found_in": "UCone",
    }
    return FoundVideo(**values | more)


def stored(history: History, *videos: FoundVideo, **more: Any) -> VideoChanges:
    return history.videos.store(videos, **{"trace_id": TRACE, "now": NOON, **more})


def only(history: History, **conditions: Any) -> Video:
    (video,) = history.videos.list(VideoFilter(**conditions))
    return video


def events(history: History, number: int) -> list[Event]:
    """So many events, in their order."""
    new = [
        NewEvent(external_id=str(each), title=f"Event {each}", starts_at=NOON, status=EventStatus.FINISHED)
        for each in range(number)
    ]
    history.events.upsert("games", new, asked_at=NOON)
    return [history.naming.events(str(each), limit=1)[0] for each in range(number)]


def test_what_was_found_is_stored_once(history: History) -> None:
    """New, then as it was, then changed; what is not told stays, and so does how it was found first."""
    assert stored(history, found(), found()) == VideoChanges(("one",))
    assert stored(history, found()) == VideoChanges()
    later = NOON + timedelta(hours=1)
    changed = found(title="Better", published_at=None, duration_seconds=60.0, found_by="playlist")
    assert stored(history, changed, found("two"), now=later) == VideoChanges(("two",), ("one",))
    video = only(history, title="BETTER")
    assert (video.title, video.duration_seconds, video.published_at) == ("Better", 60.0, NOON)
    assert (video.found_by, video.created_at, video.updated_at, video.trace_id) == ("feed", NOON, later, TRACE)
    with pytest.raises(NotFoundError):
        history.videos.get("nowhere")


def test_two_that_store_the_same_count_each_video_once(history: History) -> None:
    """However they interleave."""
    several = [found(f"video{number}") for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        changes = list(pool.map(lambda _: stored(history, *several), range(4)))
    assert sorted(each for change in changes for each in change.new) == sorted(each.external_id for each in several)
    assert all(not change.updated for change in changes)
    assert len(history.videos.list(VideoFilter(), limit=100)) == 40


def test_pages_and_filters(history: History) -> None:
    """The newest found first."""
    (event,) = events(history, 1)
    for number in range(5):
        stored(history, found(str(number), channel_id=f"UC{number % 2}"), now=NOON + timedelta(minutes=number))
    first = history.videos.list(VideoFilter(), limit=3)
    second = history.videos.list(VideoFilter(), limit=3, after=first[-1].id)
    assert [each.external_id for each in (*first, *second)] == ["4", "3", "2", "1", "0"]
    history.videos.decide(first[0].id, event.id, now=NOON)
    assert only(history, linked=True).external_id == only(history, event_id=event.id).external_id == "4"
    assert len(history.videos.list(VideoFilter(linked=False))) == 4
    assert [each.external_id for each in history.videos.list(VideoFilter(channel="UC1"))] == ["3", "1"]
    assert history.videos.list(VideoFilter(title="%")) == []


def test_an_event_gets_one_video_by_matching(history: History) -> None:
    """Many link at once: one is linked. A video is linked once, and what a person has decided stays."""
    one, other = events(history, 2)
    stored(history, *(found(str(number)) for number in range(6)))
    ids = [video.id for video in history.videos.list(VideoFilter())]
    with ThreadPoolExecutor(6) as pool:
        linked = list(pool.map(lambda each: history.videos.link_match(each, one.id, now=NOON), ids))
    assert sum(linked) == 1
    winner = only(history, linked=True)
    assert (winner.event_id, winner.linked_by, winner.linked_at) == (one.id, LinkedBy.MATCHING, NOON)
    assert not history.videos.link_match(winner.id, other.id, now=NOON)
    loser = next(each for each in ids if each != winner.id)
    decided = history.videos.decide(loser, None, now=NOON)
    assert (decided.event_id, decided.linked_by) == (None, LinkedBy.PERSON)
    assert not history.videos.link_match(loser, other.id, now=NOON)
    assert loser not in {each.id for each in history.videos.undecided(since=NOON, limit=10)}


def test_what_is_gone_is_free_again(history: History) -> None:
    """Unless a person linked it. Found again, it is there again."""
    one, other = events(history, 2)
    stored(history, found("a"), found("b"))
    a, b = (history.videos.known("youtube", [each])[each] for each in "ab")
    history.videos.link_match(a.id, one.id, now=NOON)
    history.videos.decide(b.id, other.id, now=NOON)
    assert history.videos.note_removed([a.id, b.id], now=NOON) == 2
    assert history.videos.note_removed([a.id, b.id], now=NOON) == 0
    assert history.videos.list(VideoFilter()) == []
    assert (history.videos.get(a.id).event_id, history.videos.get(b.id).event_id) == (None, other.id)
    assert stored(history, found("a")) == VideoChanges((), ("a",))
    assert history.videos.get(a.id).removed_at is None


def test_the_undecided_are_those_of_the_time(history: History) -> None:
    """By their publication, or where that is not known by when they were found; the newest first."""
    old, new = NOON - timedelta(days=2), NOON + timedelta(days=1)
    stored(history, found("old", published_at=old), found("new", published_at=new), found("none", published_at=None))
    assert [each.external_id for each in history.videos.undecided(since=NOON, limit=10)] == ["new", "none"]
    assert [each.external_id for each in history.videos.undecided(since=old, limit=10)] == ["new", "none", "old"]
    assert len(history.videos.undecided(since=old, limit=2)) == 2


def test_matches_are_kept_with_their_reasons(history: History) -> None:
    """Of each pair the latest; the best first, of a video and of an event. They go with their video."""
    one, other = events(history, 2)
    stored(history, found())
    video = only(history)
    reasons = (MatchReason(feature="title", score=0.5, weight=3.0, said="1 of 2 words: “試合” \x00"),)

    def a_match(event: Event, score: float) -> VideoMatch:
        return VideoMatch(video_id=video.id, event_id=event.id, score=score, reasons=reasons, scored_at=NOON)

    history.videos.keep_matches([a_match(one, 0.2), a_match(other, 0.4)])
    history.videos.keep_matches([a_match(one, 0.9)])
    assert history.videos.matches(video_id=video.id) == [a_match(one, 0.9), a_match(other, 0.4)]
    assert history.videos.matches(event_id=other.id) == [a_match(other, 0.4)]
    history.videos.keep_matches([])


def test_searches_are_counted(history: History) -> None:
    (event,) = events(history, 1)
    assert history.videos.searches([event.id]) == {}
    history.videos.note_search(event.id, now=NOON)
    history.videos.note_search(event.id, now=NOON + timedelta(hours=1))
    assert history.videos.searches([event.id]) == {event.id: (2, NOON + timedelta(hours=1))}
