"""Which video is of which event: scores, their reasons, and what is clear enough to be linked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediajobs_dagster.job_types.video_discovery.matching import Rules, clear_matches, match
from mediajobs_dagster.job_types.video_discovery.words import dates, plain, words
from mediajobs_dagster.models import Event, EventStatus, Video, VideoMatch
from mediajobs_dagster.settings import Settings

BEGAN = datetime(2026, 11, 25, 19, 30, tzinfo=UTC)
ENDED = BEGAN + timedelta(hours=2.5)
NOW = ENDED + timedelta(days=1)
RULES = Rules.of(Settings.load(_env_file=None), ["UCleague"])


def an_event(title: str = "Lakers vs Celtics", *names: str, **more: Any) -> Event:
    values: dict[str, Any] = {
        "id": title,
        "external_id": title,
        "source": "games",
        "title": title,
        "status": EventStatus.FINISHED,
        "participants": names or ("Los Angeles Lakers", "Boston Celtics"),
        "starts_at": BEGAN,
        "ends_at": ENDED,
        **dict.fromkeys(("created_at", "updated_at", "seen_at"), BEGAN),
    }
    return Event(**values | more)


def a_video(title: str, **more: Any) -> Video:
    values: dict[str, Any] = {
        "id": title,
        "external_id": title,
        "address": "https://v/",
        "title": title,
        "found_by": "feed",
        "found_in": "UCleague",
        "channel_id": "UCleague",
        "channel": "League",
        "published_at": ENDED,
        "duration_seconds": 9000.0,
        "created_at": ENDED,
        "updated_at": ENDED,
    }
    return Video(**values | more)


def score(title: str, event: Event | None = None, **more: Any) -> float:
    """How well a video of that title fits."""
    found = match(a_video(title, **more), event or an_event(), RULES, now=NOW)
    return found.score if found else 0.0


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ATLÉTICO  de Madrid!", "atletico de madrid"),
        ("Bodø/Glimt", "bodo glimt"),
        ("Łódź – Đà Nẵng", "lodz da nang"),
        ("Straße", "STRASSE"),
        ("ｆｕｌｌ－ｗｉｄｔｈ", "full width"),
        ("Йошкар-Ола", "йошкар ола"),
        ("مُحَمَّد", "محمد"),
        ("𝐁𝐨𝐥𝐝", "bold"),
        ("ﬁnal", "final"),
    ],
)
def test_letter_case_accents_and_punctuation_do_not_count(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_marks_that_are_letters_stay() -> None:
    """In Hindi and Thai a mark tells one word from another."""
    assert plain("कि") != plain("क")
    assert plain("ปี่") != plain("ป")
    assert plain("が") != plain("か")


def test_scripts_without_spaces_are_compared_by_pairs() -> None:
    assert words("大谷") <= words("【MLB】大谷翔平が今季40号")
    assert not words("大谷") & words("阪神タイガース")


@settings(max_examples=80, deadline=None, database=None)
@given(st.text(max_size=60))
def test_any_title_is_taken(title: str) -> None:
    """Whatever it is made of, and plain words stay as they are."""
    assert plain(plain(title)) == plain(title)
    words(title)
    dates(title)


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Game 2026-11-25", {date(2026, 11, 25)}),
        ("2026.11.25 試合", {date(2026, 11, 25)}),
        ("Highlights | November 25, 2026", {date(2026, 11, 25)}),
        ("25th Nov 2026", {date(2026, 11, 25)}),
        ("11/25/2026", {date(2026, 11, 25)}),
        ("25.11.2026", {date(2026, 11, 25)}),
        ("03/04/2026", {date(2026, 3, 4), date(2026, 4, 3)}),
        ("Season 2025-26", set()),
        ("99/99/2026", set()),
        ("May the 4th", set()),
    ],
)
def test_days_in_titles(title: str, found: set[date]) -> None:
    assert dates(title) == found


# --- scores ----------------------------------------------------------------------------------------------------------


def test_what_fits_in_everything_is_certain() -> None:
    """And says why, in words."""
    found = match(a_video("Los Angeles Lakers vs Boston Celtics"), an_event(), RULES, now=NOW)
    assert found
    assert found.score == 1.0
    assert [(each.feature, each.score, each.weight) for each in found.reasons] == [
        *(("title", 1.0, 3.0), ("participants", 1.0, 4.0), ("date", 1.0, 3.0)),
        *(("duration", 1.0, 1.0), ("channel", 1.0, 1.0)),
    ]
    assert found.reasons[1].said == "Los Angeles Lakers, Boston Celtics named"


@pytest.mark.parametrize(
    "title",
    [
        "Lakers at Warriors | full game",
        "Lakers vs Celtics | October 3, 2025",
        "Celtics locker room",
    ],
)
def test_what_is_of_another_game_is_not_linked(title: str) -> None:
    """One of two teams, or another day."""
    assert 0 < score(title) < RULES.threshold


def test_nothing_in_the_title_is_no_candidate() -> None:
    """However well the rest fits."""
    assert match(a_video("Cooking with gas"), an_event(), RULES, now=NOW) is None


def test_an_unnamed_event_is_matched_by_its_title() -> None:
    """What is not known is not judged."""
    bare = an_event("Town hall meeting", participants=(), ends_at=None)
    found = match(a_video("Town Hall Meeting: full recording", channel=None, channel_id=None), bare, RULES, now=NOW)
    assert found
    assert [each.feature for each in found.reasons] == ["title", "date"]
    assert found.score == 1.0


def test_time_and_length_count() -> None:
    """A video is from about the event's end, and about as long."""
    title = "Lakers vs Celtics"
    late, early = ENDED + timedelta(days=4), BEGAN - timedelta(days=3)
    assert score(title) > score(title, published_at=late) > score(title, published_at=early)
    assert score(title) > score(title, duration_seconds=600.0) > score(title, duration_seconds=15.0)
    assert score(title, published_at=None) > RULES.threshold
    short = replace(RULES, duration_s=600.0)
    found = match(a_video(title, duration_seconds=600.0), an_event(), short, now=NOW)
    assert found
    assert found.reasons[3].score == 1.0


def test_channels_of_settings_and_participants_count() -> None:
    """A stranger's do not."""
    title = "Lakers vs Celtics"
    stranger = score(title, channel="Some fan", channel_id="UCfan")
    assert score(title, channel="Boston Celtics", channel_id="UCceltics") == score(title) > stranger


def test_weights_are_settings() -> None:
    """What weighs nothing is left out."""
    only = Rules.of(Settings.load(_env_file=None, match_weights="title=1"), [])
    found = match(a_video("Lakers"), an_event(), only, now=NOW)
    assert found
    assert ([each.feature for each in found.reasons], found.score) == (["title"], 0.5)


# --- what is clear ---------------------------------------------------------------------------------------------------


def a_match(video: str, event: str, score: float) -> VideoMatch:
    return VideoMatch(video_id=video, event_id=event, score=score, scored_at=NOW)


def linked(*matches: VideoMatch) -> list[tuple[str, str]]:
    return [(each.video_id, each.event_id) for each in clear_matches(matches, RULES)]


def test_the_best_is_linked_if_it_is_clearly_ahead() -> None:
    """Of every other video for the event, and of every other event for the video."""
    assert linked(a_match("a", "1", 0.9)) == [("a", "1")]
    assert linked(a_match("a", "1", 0.69)) == []
    assert linked(a_match("a", "1", 0.9), a_match("b", "1", 0.8)) == [("a", "1")]
    assert linked(a_match("a", "1", 0.9), a_match("b", "1", 0.85)) == []
    assert linked(a_match("a", "1", 0.9), a_match("b", "1", 0.9)) == []
    assert linked(a_match("a", "1", 0.9), a_match("a", "2", 0.85)) == []
    assert linked(a_match("a", "1", 0.9), a_match("a", "2", 0.5), a_match("b", "2", 0.8)) == [("a", "1"), ("b", "2")]


SCORES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("1234"), st.floats(0, 1)), max_size=16)


@settings(max_examples=100, deadline=None, database=None)
@given(SCORES)
def test_no_video_and_no_event_is_linked_twice(pairs: list[tuple[str, str, float]]) -> None:
    """Whatever the scores, and never below the threshold."""
    by_pair = {(video, event): a_match(video, event, value) for video, event, value in pairs}
    found = clear_matches(list(by_pair.values()), RULES)
    assert len({each.video_id for each in found}) == len({each.event_id for each in found}) == len(found)
    assert all(each.score >= RULES.threshold for each in found)
