"""What a calendar says, and what of it is taken: repeated events, time zones, whole days, and what is broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mediajobs_dagster.errors import ServiceAnswerError
from mediajobs_dagster.models import EventStatus, NewEvent
from mediajobs_dagster.services.events.base import Asking, Found, SourceSettings, Window
from mediajobs_dagster.services.events.calendars import CalendarFeed
from tests.services.conftest import OpenBench, open_bench
from tests.services.events.feeds import calendar, entry
from tests.services.server import serving

__all__ = ["open_bench"]  # a fixture

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
WEEKLY = "RRULE:FREQ=WEEKLY"


def ask(open_bench: OpenBench, home: Path, feed: bytes, content_type: str = "text/calendar", ahead: int = 30) -> Found:
    """What a source takes from a feed around noon of 4 March 2026, a Wednesday."""
    settings = SourceSettings("team", BERLIN, timedelta(days=3), timedelta(days=ahead))
    with serving(lambda exchange: exchange.answer(feed, headers={"Content-Type": content_type})) as server:
        bench = open_bench(home=home)
        source = CalendarFeed(settings, f"{server.url}/feed.ics")
        return source.ask(Asking(source.window(NOW), lambda _: bench.client, lambda: None))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def read(open_bench: OpenBench, tmp_path: Path) -> object:
    return lambda feed, **options: ask(open_bench, tmp_path, feed, **options)


def starts(found: Found) -> list[str]:
    """The beginnings, in UTC."""
    return [f"{event.starts_at:%m-%d %H:%M}" for event in sorted(found.events, key=lambda event: event.starts_at)]


def only(found: Found) -> NewEvent:
    (event,) = found.events
    return event


def test_an_event_is_read(read) -> None:
    """With all that it says of itself; alarms within it and folded lines are no matter."""
    alarm = "BEGIN:VALARM\nTRIGGER:-PT15M\nSUMMARY:no\nDTSTART:20200101T000000Z\nEND:VALARM"
    lines = ("DTEND:20260305T200000Z", "LOCATION:Hall\\, B", alarm, "SEQUENCE:2")
    event = only(
        read(calendar(entry("1", ":20260305T180000Z", *lines).replace("Event 1", "Cup: Lions vs. Be\n ars, 2")))
    )
    assert (event.external_id, event.title, event.status) == ("1", "Cup: Lions vs. Bears, 2", EventStatus.SCHEDULED)
    assert event.participants == ("Lions", "Bears")
    assert (event.starts_at, event.ends_at) == (
        datetime(2026, 3, 5, 18, tzinfo=UTC),
        datetime(2026, 3, 5, 20, tzinfo=UTC),
    )
    assert event.raw == {"summary": event.title, "location": "Hall, B", "sequence": "2"}


@pytest.mark.parametrize(
    ("start", "utc"),
    [
        (":20260305T180000Z", "03-05 18:00"),
        (":20260305T180000", "03-05 17:00"),  # floating: the zone of the settings
        (";TZID=America/New_York:20260305T180000", "03-05 23:00"),
        (";TZID=W. Europe Standard Time:20260305T180000", "03-05 17:00"),  # as Outlook calls it
        (";TZID=Ours:20260305T180000", "03-05 15:00"),  # defined by the calendar
        (";VALUE=DATE:20260305", "03-04 23:00"),
    ],
)
def test_times_are_those_of_their_zone(read, start: str, utc: str) -> None:
    """By name, by the calendar's own definition, or of the place."""
    zone = "BEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0300\nTZOFFSETTO:+0300\nEND:STANDARD\n"
    head = f"BEGIN:VTIMEZONE\nTZID:Ours\n{zone}END:VTIMEZONE\n"
    found = read(calendar(entry("1", start), head=head))
    assert (starts(found), only(found).is_all_day) == ([utc], "DATE" in start)


def test_the_calendar_may_name_its_zone(read) -> None:
    """For what names none; a name that nobody knows is no matter."""
    assert starts(read(calendar(entry("1", ":20260305T180000"), head="X-WR-TIMEZONE:Asia/Tokyo\n"))) == ["03-05 09:00"]
    assert starts(read(calendar(entry("1", ":20260305T180000"), head="X-WR-TIMEZONE:Nowhere\n"))) == ["03-05 17:00"]


def test_how_it_stands_is_told_by_the_clock(read) -> None:
    """But for what is called off."""
    told = {
        "before": entry("before", ":20260304T100000Z", "DURATION:PT1H"),
        "now": entry("now", ":20260304T110000Z", "DTEND:20260304T130000Z"),
        "off": entry("off", ":20260304T110000Z", "STATUS:CANCELLED"),
        "day": entry("day", ";VALUE=DATE:20260304"),
        "backwards": entry("backwards", ":20260306T110000Z", "DTEND:20260301T130000Z"),
    }
    found = {event.external_id: event.status.value for event in read(calendar(*told.values())).events}
    assert found == {
        "before": "finished",
        "now": "in_progress",
        "off": "cancelled",
        "day": "in_progress",
        "backwards": "scheduled",
    }


def test_each_occurrence_is_an_event(read) -> None:
    """In the time of the place, also when the clock changes; each has an id that stays."""
    found = read(calendar(entry("1", ";TZID=Europe/Berlin:20240103T180000", WEEKLY, "DURATION:PT2H")))
    assert starts(found) == ["03-04 17:00", "03-11 17:00", "03-18 17:00", "03-25 17:00", "04-01 16:00"]
    assert found.events[0].external_id == "1/20260304T170000Z"
    assert found.events[-1].ends_at == datetime(2026, 4, 1, 18, tzinfo=UTC)


def test_exceptions_extra_dates_and_changes(read) -> None:
    """Left out, added, moved within and out of the window; and called off."""
    series = entry(
        *("1", ":20260305T180000Z", WEEKLY),
        "EXDATE:20260312T180000Z",
        "RDATE:20260310T120000Z",
        "RDATE;VALUE=PERIOD:20260311T120000Z/PT1H",
    )
    moved = entry("1", ":20260320T090000Z", "RECURRENCE-ID;TZID=Europe/Berlin:20260319T190000")
    off = entry("1", ":20260326T180000Z", "RECURRENCE-ID:20260326T180000Z", "STATUS:CANCELLED")
    away = entry("1", ":20260801T180000Z", "RECURRENCE-ID:20260402T180000Z")
    found = read(calendar(off, series, moved, away))
    stands = {event.external_id: (f"{event.starts_at:%m-%d %H}", event.status.value) for event in found.events}
    assert stands == {
        "1/20260305T180000Z": ("03-05 18", "scheduled"),
        "1/20260310T120000Z": ("03-10 12", "scheduled"),
        "1/20260311T120000Z": ("03-11 12", "scheduled"),
        "1/20260319T180000Z": ("03-20 09", "scheduled"),
        "1/20260326T180000Z": ("03-26 18", "cancelled"),
        "1/20260402T180000Z": ("08-01 18", "scheduled"),
    }


def test_a_change_may_be_of_all_that_follow(read) -> None:
    """Moved as it was, in the time of the place, until the next such change; not what has a change of its own."""
    series = entry("1", ";TZID=Europe/Berlin:20240103T180000", WEEKLY, "DURATION:PT2H")
    rest = "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin"
    long_ago = entry("1", ";TZID=Europe/Berlin:20240111T170000", f"{rest}:20240110T180000", "DURATION:PT1H")
    later = entry("1", ";TZID=Europe/Berlin:20260319T200000", f"{rest}:20260318T180000", "STATUS:CANCELLED")
    own = entry("1", ":20260325T090000Z", "RECURRENCE-ID;TZID=Europe/Berlin:20260325T180000")
    found = read(calendar(later, own, long_ago, series))
    events = sorted(found.events, key=lambda event: event.starts_at)
    stands = {event.external_id: (f"{event.starts_at:%m-%d %H}", event.status.value) for event in events}
    assert stands == {
        "1/20260304T170000Z": ("03-05 16", "scheduled"),
        "1/20260311T170000Z": ("03-12 16", "scheduled"),
        "1/20260318T170000Z": ("03-19 19", "cancelled"),
        "1/20260325T170000Z": ("03-25 09", "scheduled"),
        "1/20260401T160000Z": ("04-02 18", "cancelled"),
    }
    assert events[0].ends_at == datetime(2026, 3, 5, 17, tzinfo=UTC)


def test_whole_days_repeat(read) -> None:
    """Until a last day, which belongs to them; an exception may be a day."""
    rule = "RRULE:FREQ=DAILY;UNTIL=20260308"
    found = read(calendar(entry("1", ";VALUE=DATE:20260305", rule, "EXDATE;VALUE=DATE:20260306")))
    assert [event.external_id for event in found.events] == ["1/20260305", "1/20260307", "1/20260308"]
    timed = entry("2", ":20260305T180000Z", "RRULE:FREQ=DAILY;UNTIL=20260307T180000Z", "EXDATE;VALUE=DATE:20260306")
    assert starts(read(calendar(timed))) == ["03-05 18:00", "03-07 18:00"]


def test_of_two_with_the_same_id_the_newest_counts(read) -> None:
    """By number of change, then by date of change."""
    old, new = entry("1", ":20260305T180000Z", "SEQUENCE:1"), entry("1", ":20260306T180000Z", "SEQUENCE:2")
    for parts in ((old, new), (new, old)):
        found = read(calendar(*parts))
        assert (starts(found), found.faulty, len(found.notes)) == (["03-06 18:00"], 0, 1)


BROKEN = {
    "no date": entry("x", ":soon"),
    "no such date": entry("x", ":20261399T250000Z"),
    "no beginning": "UID:x\nSUMMARY:nothing",
    "two beginnings": entry("x", ":20260305T180000Z", "DTSTART:20260306T180000Z"),
    "unknown zone": entry("x", ";TZID=Nowhere/Land:20260305T180000"),
    "no rule": entry("x", ":20260305T180000Z", "RRULE:FREQ=SOMETIMES"),
    "too often": entry("x", ":20260305T180000Z", "RRULE:FREQ=SECONDLY"),
    "never": entry("x", ":19700101T000000Z", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=9"),
    "for ever": entry("x", ":00010101T000000Z", "RRULE:FREQ=DAILY;COUNT=99999999"),
    "no such occurrence": entry("x", ":20260305T180000Z", "RECURRENCE-ID:never"),
    "no such end": entry("x", ":20260305T180000Z", "DTEND:never"),
    "no exception": entry("x", ":20260305T180000Z", WEEKLY, "EXDATE:never"),
    "first day": entry("x", ";TZID=Asia/Tokyo:00010101T000000", WEEKLY),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_event_costs_no_other(read, broken: str) -> None:
    """It is told of, and counts as still there."""
    found = read(calendar(entry("1"), broken, entry("2")))
    assert sorted(event.external_id for event in found.events if event.external_id[0] != "x") == ["1", "2"]
    if broken is not BROKEN["never"] and broken is not BROKEN["first day"]:
        assert (found.faulty, found.seen, found.is_whole) == (1, {"x"}, True), found.faults
        assert found.faults[0].startswith("x: ")
        assert "vDDD" not in found.faults[0]


def test_a_date_that_is_none_is_quoted(read) -> None:
    """So that it can be found in the calendar."""
    assert read(calendar(BROKEN["no such date"])).faults == ["x: its DTSTART is no date: 20261399T250000Z."]


def test_an_event_without_an_id_leaves_doubt(read) -> None:
    """Nobody knows which it is, so nothing is taken to be removed."""
    found = read(calendar(entry("1"), "DTSTART:20260305T180000Z"))
    assert (len(found.events), found.faulty, found.is_whole) == (1, 1, False)


@pytest.mark.parametrize("cut", [20, 40, 60, 130])
def test_a_calendar_that_ends_in_the_middle_is_not_whole(read, cut: int) -> None:
    """What is there of it is taken."""
    found = read(calendar(entry("1"), entry("2"))[:-cut])
    assert not found.is_whole
    assert {event.external_id for event in found.events} <= {"1", "2"}


def test_a_zone_that_never_ends_is_left_aside(read) -> None:
    """A clock that is changed every second since 1601 would take years to work out."""
    rule = "DTSTART:16010101T000000\nRRULE:FREQ=SECONDLY\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n"
    head = f"BEGIN:VTIMEZONE\nTZID:Endless\nBEGIN:STANDARD\n{rule}END:STANDARD\nEND:VTIMEZONE\n"
    found = read(calendar(entry("1"), entry("2", ";TZID=Endless:20260305T180000"), head=head))
    assert (only(found).external_id, found.faults) == ("1", ["2: its time zone 'Endless' is not known."])


def test_a_long_history_is_passed_over(read) -> None:
    """What lies years away is not read, and counts as still there."""
    old = [entry(f"old {number}", ":20200305T180000Z") for number in range(20_000)]
    found = read(calendar(*old, entry("1"), entry("s", ":20190101T180000Z", "RRULE:FREQ=DAILY;UNTIL=20200101T000000Z")))
    assert (only(found).external_id, len(found.seen), found.is_whole) == ("1", 20_001, True)


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        *(("utf-8", "text/calendar"), ("utf-8-sig", ""), ("utf-16", "text/calendar"), ("cp1252", "text/calendar")),
        ("latin-1", "text/calendar; charset=ISO-8859-1"),
    ],
)
def test_other_encodings_are_read(read, encoding: str, content_type: str) -> None:
    """Named, marked, or what Windows writes."""
    feed = calendar(entry("1").replace("Event", "Löwen")).decode().encode(encoding)
    assert only(read(feed, content_type=content_type)).title == "Löwen 1"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "it begins with '<!DOCTYPE html>"),
        (b"\x00\xff" * 500, "it begins with"),
        (b'{"data": []}', "it begins with"),
    ],
)
def test_what_is_no_calendar_is_told_of(read, body: bytes, said: str) -> None:
    """By its beginning."""
    with pytest.raises(ServiceAnswerError, match=r"The answer of team is not a calendar") as caught:
        read(body)
    assert said in caught.value.message


def test_a_calendar_without_events_is_one(read) -> None:
    """Everything was removed from it."""
    found = read(calendar())
    assert (found.events, found.is_whole) == ([], True)


def test_long_ids_stay_short_and_different(read) -> None:
    """A database's index takes no id of any length."""
    found = read(calendar(entry("a" * 5000 + "1"), entry("a" * 5000 + "2")))
    ids = {event.external_id for event in found.events}
    assert len(ids) == 2
    assert max(map(len, ids)) < 300


def test_a_window_is_what_settings_say() -> None:
    """And an event belongs to it while it goes on."""
    window = Window.around(NOW, timedelta(days=3), timedelta(days=30))
    before = window.since - timedelta(hours=1)
    assert window.overlaps(before, window.since + timedelta(seconds=1))
    assert not window.overlaps(before, window.since)
    assert not window.overlaps(before, None)
    assert not window.overlaps(window.until, None)
