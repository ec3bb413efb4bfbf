"""Repeated events: the same moments as another implementation of the standard finds, and an end to every rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from icalendar import vRecur

from mediajobs_dagster.services.events.base import EventFault
from mediajobs_dagster.services.events.recurrence import Effort, Rule

START = datetime(2024, 1, 31, 18, 30)


def found(text: str, start: datetime, since: datetime, until: datetime, effort: Effort | None = None) -> list[datetime]:
    parts: dict[str, Any] = dict(vRecur.from_ical(text))
    last = parts.get("UNTIL", [None])[0]
    return list(Rule.of(parts, start, last).occurrences(start, since, until, effort or Effort()))


DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=3, unique=True).map(lambda found: ",".join(map(str, found)))


def either_side(most: int) -> st.SearchStrategy[int]:
    return st.integers(-most, most).filter(bool)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A rule of any kind that finds a date now and then: the other implementation never gives up."""
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]))
    plain = st.sampled_from(DAYS)
    nth = st.tuples(either_side(4), plain).map(lambda each: f"{each[0]}{each[1]}")
    days = {"BYMONTHDAY": listed(either_side(28)), "BYDAY": listed(plain)}
    if frequency in ("YEARLY", "MONTHLY"):
        days["BYDAY"] = st.one_of(listed(plain), listed(nth))  # both together the other one understands in its own way
    if frequency == "YEARLY":
        days |= {"BYYEARDAY": listed(either_side(365)), "BYWEEKNO": listed(st.integers(1, 52))}
    others = {
        "BYHOUR": listed(st.integers(0, 23)),
        "BYMINUTE": listed(st.integers(0, 59)),
        "WKST": plain,
        "COUNT": st.integers(1, 60),
        "UNTIL": st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda each: f"{each:%Y%m%dT%H%M%S}"),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(others)), max_size=3, unique=True))
    if {"COUNT", "UNTIL"} <= {*chosen}:
        chosen.remove("COUNT")
    parts = [f"{name}={draw(others[name])}" for name in chosen]
    day = draw(st.sampled_from(["", *sorted(days)]))
    parts += [f"{day}={draw(days[day])}"] if day else []
    if day not in ("BYYEARDAY", "BYWEEKNO") and draw(st.booleans()):
        parts.append(f"BYMONTH={draw(listed(st.integers(1, 12)))}")
    else:
        parts.append(f"INTERVAL={draw(st.integers(1, 5))}")
    if any(part.startswith("BY") for part in parts) and draw(st.booleans()):
        parts.append(f"BYSETPOS={draw(st.sampled_from(['1', '-1', '1,-1', '1,2']))}")
    return ";".join([f"FREQ={frequency}", *parts])


STARTS = st.datetimes(datetime(2023, 1, 1), datetime(2025, 1, 1)).map(
    lambda each: each.replace(day=min(each.day, 28), microsecond=0)
)


@settings(max_examples=300, deadline=None, derandomize=True, phases=[Phase.generate])
@given(rule=rules(), start=STARTS, days=st.integers(0, 1200), span=st.integers(1, 400))
def test_the_moments_are_those_of_the_standard(rule: str, start: datetime, days: int, span: int) -> None:
    """dateutil finds the same, going through everything from the beginning."""
    since = datetime(2023, 6, 1) + timedelta(days=days)
    until = since + timedelta(days=span)
    theirs = takewhile(lambda moment: moment < until, islice(rrulestr(rule, dtstart=start), 20_000))
    assert found(rule, start, since, until) == [moment for moment in theirs if moment >= since]


def test_plain_and_counted_days_of_the_week_add_up() -> None:
    """Every Thursday, and the second Sunday."""
    moments = found("FREQ=MONTHLY;BYDAY=2SU,TH", START, datetime(2024, 3, 1), datetime(2024, 4, 1))
    assert [moment.day for moment in moments] == [7, 10, 14, 21, 28]


def test_a_rule_without_end_costs_what_the_span_costs() -> None:
    """Also if it began long ago."""
    since, effort = datetime(2026, 3, 1), Effort(100)
    moments = found("FREQ=DAILY", datetime(1601, 1, 1, 9), since, since + timedelta(days=30), effort)
    assert moments == [datetime(2026, 3, 1, 9) + timedelta(days=number) for number in range(30)]


@pytest.mark.parametrize(
    "rule",
    [
        *("FREQ=SECONDLY", "FREQ=MINUTELY;INTERVAL=60", "FREQ=HOURLY", "FREQ=DAILY;BYHOUR=25", "COUNT=3"),
        *("FREQ=DAILY;COUNT=999999999", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2"),
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
    ],
)
def test_a_hostile_rule_comes_to_an_end(rule: str) -> None:
    """Refused, or given up after so many days."""
    since = datetime(9000, 3, 1)
    with pytest.raises(EventFault):
        found(rule, datetime(1970, 1, 1), since, since + timedelta(days=30), Effort(100_000))


def test_the_last_date_is_the_end() -> None:
    """No error of Python's comes of it."""
    for frequency in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        rule = f"FREQ={frequency};INTERVAL=999999999"
        assert found(rule, START, START + timedelta(days=1), datetime(9999, 12, 31)) == []


def test_what_repeats_all_day_is_refused() -> None:
    """A line of text could ask for a moment in every second of a year."""
    all_day = f"BYHOUR={','.join(map(str, range(24)))};BYMINUTE={','.join(map(str, range(0, 60, 20)))}"
    with pytest.raises(EventFault, match="72 times a day"):
        found(f"FREQ=YEARLY;BYDAY={','.join(DAYS)};{all_day}", START, START, START + timedelta(days=9))
    assert len(found("FREQ=DAILY;BYHOUR=9,13,17", START, START, START + timedelta(days=2))) == 6
