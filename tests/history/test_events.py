"""What sources say of events, and what becomes of it when answers come late, twice or side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import AmbiguousError, NotFoundError, RequestError
from mediajobs_dagster.history import EventChanges, EventFilter, History
from mediajobs_dagster.history.schema import videos
from mediajobs_dagster.models import EventStatus, NewEvent, new_id
from mediajobs_dagster.use_cases.references import References
from tests.history.factories import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERYTHING = {"since": NOON - 9 * DAY, "until": NOON + 9 * DAY}


def an_event(external_id: str = "1", **overrides: Any) -> NewEvent:
    values: dict[str, Any] = {
        "external_id": external_id,
        "title": "Löwen vs. Bären",
        "participants": ("Löwen", "Bären"),
        "starts_at": NOON,
        "ends_at": NOON + HOUR,
        "status": EventStatus.SCHEDULED,
        "raw": {"id": external_id, "score": [1, None]},
    }
    return NewEvent(**values | overrides)


def store(history: History, *found: NewEvent, source: str = "nba", after: timedelta = timedelta()) -> EventChanges:
    """Store the answer of a source that was asked so long after noon."""
    return history.events.upsert(source, found, asked_at=NOON + after)


def titles(history: History, **filter: Any) -> list[str]:
    return [event.title for event in history.events.list(EventFilter(**filter))]


def test_an_event_comes_back_as_it_was_told(history: History) -> None:
    """With the moment it was stored; and by its id, the beginning of that, or the id that its source gives it."""
    assert store(history, an_event()) == EventChanges(added=1)
    [stored] = history.events.list(EventFilter())
    assert {name: getattr(stored, name) for name in NewEvent.model_fields} == dict(an_event())
    assert (stored.source, stored.created_at, stored.seen_at, stored.removed_at) == ("nba", NOON, NOON, None)
    assert history.events.get(stored.id) == stored
    for name in (stored.id.upper(), stored.id[:9], "1", stored.title):
        assert References(history).event(name) == stored
    for unknown in ("x", stored.id + "0"):
        with pytest.raises(NotFoundError):
            References(history).event(unknown)
    with pytest.raises(RequestError, match="Nothing is given"):
        References(history).event("")


def test_what_is_told_again_changes_nothing(history: History) -> None:
    """Each event is counted once, as added, updated or unchanged."""
    store(history, an_event("1"), an_event("2"))
    moved = an_event("2", starts_at=NOON + DAY, ends_at=NOON + DAY + HOUR)
    changes = store(history, an_event("1"), moved, an_event("3"), after=HOUR)
    assert changes == EventChanges(added=1, updated=1, unchanged=1)
    found = {event.external_id: event for event in history.events.list(EventFilter())}
    assert (found["2"].starts_at, found["2"].updated_at, found["2"].created_at) == (NOON + DAY, NOON + HOUR, NOON)
    assert (found["1"].updated_at, found["1"].seen_at) == (NOON, NOON + HOUR)


def test_an_id_given_twice_is_one_event(history: History) -> None:
    """The last word counts. Another source may use the same id for another event."""
    assert store(history, an_event(title="first"), an_event(title="second")) == EventChanges(added=1)
    store(history, an_event(title="other"), source="calendar")
    assert sorted(titles(history)) == ["other", "second"]
    with pytest.raises(AmbiguousError):
        References(history).event("1")


def test_any_text_can_be_stored(history: History) -> None:
    """Also what no database takes, and telling it again is no change."""
    odd = an_event("\x00\ud800", title="a\x00b\udfff", raw={"title": "a\x00b"})
    store(history, odd)
    assert store(history, odd, after=HOUR) == EventChanges(unchanged=1)


def test_what_the_source_has_no_more_is_removed(history: History) -> None:
    """Of the time that was asked for, and of that source; and when it has it again, so have we."""
    far = an_event("far", starts_at=NOON + 30 * DAY, title="far")
    store(history, an_event("1"), an_event("2", title="gone"), an_event("3", title="broken"), far)
    store(history, an_event("a_b/1", title="repeated"), an_event("aXb/1", title="gone too"))
    store(history, an_event("1", title="other"), source="calendar")
    store(history, an_event("1"), after=HOUR)
    history.events.note_seen("nba", ["3"], series=["a_b"], asked_at=NOON + HOUR)
    assert history.events.remove_unseen("nba", asked_at=NOON + HOUR, **EVERYTHING) == 2
    assert sorted(titles(history)) == ["Löwen vs. Bären", "broken", "far", "other", "repeated"]
    assert "gone" in titles(history, with_removed=True)
    assert store(history, an_event("2", title="gone"), after=2 * HOUR) == EventChanges(updated=1)
    assert "gone" in titles(history)


def test_an_answer_that_comes_late_undoes_nothing(history: History) -> None:
    """What was asked for earlier and stored later neither changes nor removes what a later answer brought."""
    store(history, an_event("1", title="old"))
    store(history, an_event("1", title="new"), an_event("2", title="added since"), after=2 * HOUR)
    assert store(history, an_event("1", title="old"), after=HOUR) == EventChanges(unchanged=1)
    assert history.events.remove_unseen("nba", asked_at=NOON + HOUR, **EVERYTHING) == 0
    assert titles(history) == ["new", "added since"]


def test_several_may_sync_at_once(history: History) -> None:
    """Each event is stored once, and added once by all of them together."""
    found = [an_event(str(number)) for number in range(300)]
    with ThreadPoolExecutor(4) as pool:
        all_changes = list(pool.map(lambda turn: store(history, *found, after=turn * HOUR), range(4)))
    assert sum(changes.added for changes in all_changes) == 300
    assert {changes.added + changes.updated + changes.unchanged for changes in all_changes} == {300}
    assert len(history.events.list(EventFilter(), limit=1000)) == 300


def test_a_list_is_read_page_by_page(history: History) -> None:
    """In the order of time; several at the same moment too."""
    found = [an_event(str(number), starts_at=NOON + number // 3 * HOUR, title=f"{number}") for number in range(10)]
    store(history, *found)
    pages: list[list[str]] = []
    after = None
    while page := history.events.list(EventFilter(), limit=4, after=after):
        pages.append([event.external_id for event in page])
        after = page[-1].id
    assert [len(page) for page in pages] == [4, 4, 2]
    assert sorted(chain.from_iterable(pages), key=int) == [str(number) for number in range(10)]
    assert titles(history, since=NOON + HOUR, until=NOON + 2 * HOUR, title="4") == ["4"]


def test_a_list_shows_what_was_chosen(history: History) -> None:
    """By source, status and part of the title."""
    store(history, an_event("1", title="A 100%"), an_event("2", title="b", status=EventStatus.CANCELLED))
    store(history, an_event("1", title="c"), source="calendar")
    assert titles(history, source="calendar") == ["c"]
    assert titles(history, status=EventStatus.CANCELLED) == ["b"]
    assert titles(history, title="a 100%") == ["A 100%"]
    assert titles(history, title="a%0%") == []


def test_finished_events_without_a_video(history: History) -> None:
    """By the source's word, or because their end has passed; not what was called off, removed, or has a video."""
    told: dict[str, dict[str, Any]] = {
        "finished": {"status": EventStatus.FINISHED, "ends_at": None, "starts_at": NOON - HOUR},
        "ended": {"status": EventStatus.IN_PROGRESS, "ends_at": NOON, "starts_at": NOON - 2 * HOUR},
        "going on": {"status": EventStatus.IN_PROGRESS, "ends_at": NOON + HOUR},
        "without end": {"status": EventStatus.SCHEDULED, "ends_at": None, "starts_at": NOON - DAY},
        "cancelled": {"status": EventStatus.CANCELLED, "ends_at": NOON - DAY},
        "postponed": {"status": EventStatus.POSTPONED, "ends_at": NOON - DAY},
        "old": {"status": EventStatus.FINISHED, "starts_at": NOON - 8 * DAY},
        "filmed": {"status": EventStatus.FINISHED},
    }
    store(history, *(an_event(name, title=name, **values) for name, values in told.items()))
    put_video(history, References(history).event("filmed").id)
    found = history.events.finished_without_video(since=NOON - 7 * DAY, now=NOON)
    assert [event.title for event in found] == ["finished", "ended"]
    assert {event.title for event in history.events.list(EventFilter()) if event.is_over(NOON)} == {
        *("finished", "ended", "old", "filmed")
    }
    assert len(history.events.finished_without_video(since=NOON - 7 * DAY, now=NOON, limit=1)) == 1


def put_video(history: History, event_id: str) -> None:
    moments = {"created_at": NOON, "updated_at": NOON}
    texts = dict.fromkeys(("site", "external_id", "address", "title", "found_by", "found_in"), "x")
    with history._database.write() as connection:
        connection.execute(sa.insert(videos).values(id=new_id(), event_id=event_id, **texts, **moments))
