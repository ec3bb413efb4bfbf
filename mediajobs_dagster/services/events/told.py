"""One event of a calendar, read: when it is, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, cast

from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.services.events.base import EventFault, title_of
from mediajobs_dagster.services.events.ical import EventText

DAY = timedelta(days=1)
_AGAINST = re.compile(r"(.{1,200}?)\s+(?:vs?\.?|@)\s+(.{1,200})", re.IGNORECASE)
_MOST_PARTICIPANTS = 50
_TEXTS = ("SUMMARY", "DESCRIPTION", "LOCATION", "URL", "STATUS", "CATEGORIES", "SEQUENCE", "LAST-MODIFIED", "RRULE")
"""What is kept of an event as its source says it. Not DTSTAMP, which many servers set anew at each request."""
_LONGEST_TEXT = 2000
_QUOTED = 40
"""Characters of a value that are quoted where it cannot be read."""


@dataclass(frozen=True)
class ToldEvent:
    """One event of the feed, or a change to one occurrence. Build it with `read`."""

    uid: str
    start: datetime
    """In the time of the place, without a zone; of whole days, midnight."""
    zone: tzinfo
    length: timedelta | None
    is_all_day: bool
    component: Any
    """The `icalendar.Event`. What it holds depends on the text: any property may be missing, listed or broken."""

    @classmethod
    def read(cls, text: EventText, zone: tzinfo) -> ToldEvent:
        """Read an event; times without a zone are those of `zone`. Raises EventFault."""
        from icalendar import Event

        try:
            component: Any = Event.from_ical(text.text)
            start, end = _moment_of(component, "DTSTART"), _end_of(component)
            _moment_of(component, "RECURRENCE-ID")
        except EventFault:
            raise
        except Exception as error:  # whatever the library raises on a hostile text
            raise EventFault(f"it cannot be read: {' '.join(str(error).split())[:200]}") from error
        if not text.uid:
            raise EventFault("it has no id")
        if start is None:
            raise EventFault("it has no beginning")
        is_all_day = not isinstance(start, datetime)
        own_zone = (start.tzinfo if isinstance(start, datetime) else None) or zone
        begins = _local(start, own_zone)
        length = end if isinstance(end, timedelta) else None if end is None else _local(end, own_zone) - begins
        if length is None and is_all_day:
            length = DAY
        told = cls(text.uid, begins, own_zone, length, is_all_day, component)
        return told if length is None or length >= timedelta() else replace(told, length=None)

    @property
    def key(self) -> str | None:
        """Which occurrence it changes; None: none."""
        moment = _moment_of(self.component, "RECURRENCE-ID")
        return None if moment is None else self.key_of(moment)

    @property
    def changes_rest_from(self) -> datetime | None:
        """From which moment on, in UTC, it changes all occurrences (RFC 5545, section 3.2.13); None: one at most."""
        moment, told = _moment_of(self.component, "RECURRENCE-ID"), self.component.get("RECURRENCE-ID")
        if moment is None or str(told.params.get("RANGE", "")).upper() != "THISANDFUTURE":
            return None
        return self.utc(_local(moment, self.zone))

    @property
    def age(self) -> tuple[int, str]:
        """Of several that say the same, the greatest is the newest (RFC 5545, section 3.8.7.4)."""
        sequence = self.component.get("SEQUENCE")
        moments = (self.component.get(name) for name in ("LAST-MODIFIED", "DTSTAMP"))
        told = (each.to_ical().decode() for each in moments if hasattr(each, "to_ical"))
        return int(sequence) if isinstance(sequence, int) else 0, next(told, "")

    @property
    def title(self) -> str:
        """Its title."""
        return title_of(str(self.component.get("SUMMARY", "")))

    @property
    def is_cancelled(self) -> bool:
        """Whether it was called off."""
        return str(self.component.get("STATUS", "")).upper() == "CANCELLED"

    @property
    def participants(self) -> tuple[str, ...]:
        """Two opponents, if the title names them; else those who are invited, by their names."""
        if found := _AGAINST.fullmatch(self.title):
            first, second = found.groups()
            return first.rpartition(": ")[2].strip(), re.split(r" [-–(]|,", second)[0].strip()
        named = (each.params.get("CN") for each in _listed(self.component, "ATTENDEE") if hasattr(each, "params"))
        return tuple(title_of(str(name)) for name in named if name)[:_MOST_PARTICIPANTS]

    @property
    def raw(self) -> JsonObject:
        """What the calendar says of it, by the names of the standard."""
        found: JsonObject = {}
        for name in _TEXTS:
            told = self.component.get(name)
            if told is not None:
                text = told if isinstance(told, str) or not hasattr(told, "to_ical") else told.to_ical().decode()
                found[name.lower()] = str(text)[:_LONGEST_TEXT]
        return found

    @property
    def rules(self) -> list[tuple[JsonObject, datetime | None]]:
        """The parts of its rules of repetition, and the last moment of each, in the time of the place.

        Raises EventFault.
        """
        found: list[tuple[JsonObject, datetime | None]] = []
        for rule in _listed(self.component, "RRULE"):
            if not isinstance(rule, dict):  # the library could not read it
                raise EventFault("its rule of repetition is not valid")
            parts = cast("JsonObject", rule)
            found.append((parts, self._until_of(parts)))
        return found

    def utc(self, moment: datetime) -> datetime:
        """A moment of the place in UTC. Where the clock skips it, it is as if the clock had not been changed yet."""
        return moment.replace(tzinfo=self.zone).astimezone(UTC)

    def key_of(self, moment: date | datetime) -> str:
        """Names an occurrence by when it was to begin at first."""
        if not isinstance(moment, datetime):
            return f"{moment:%Y%m%d}"
        placed = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
        return f"{placed.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    def moments_of(self, name: str) -> list[datetime]:
        """The moments of RDATE or EXDATE, in the time of the place. Raises EventFault."""
        found = (each for each in _dates_of(self.component, name) if isinstance(each, datetime) or self.is_all_day)
        return [_local(each, self.zone) for each in found]

    def days_of(self, name: str) -> set[date]:
        """The days of EXDATE without a time: all that occurs on them is meant. Raises EventFault."""
        found = _dates_of(self.component, name)
        return {each for each in found if not isinstance(each, datetime)}

    def _until_of(self, rule: JsonObject) -> datetime | None:
        last = rule.get("UNTIL", [None])[0]
        if last is None:
            return None
        local = _local(last, self.zone)
        return local if isinstance(last, datetime) else local + DAY - timedelta(seconds=1)


def _read(told: Any, what: str) -> Any:
    """A part of a property; None: it has none, or the library could not read the property."""
    try:
        return getattr(told, what, None)
    except ValueError:  # so it tells of that: whatever is asked of a broken one
        return None


def _moment_of(component: Any, name: str) -> date | datetime | None:
    told = component.get(name)
    if told is None:
        return None
    if isinstance(told, list):
        raise EventFault(f"it has {name} more than once")
    moment = _read(told, "dt")
    if not isinstance(moment, date):  # a datetime is a date
        raise EventFault(f"its {name} is no date: {str(told)[:_QUOTED]}")
    zone = told.params.get("TZID")
    if zone and isinstance(moment, datetime) and moment.tzinfo is None:
        raise EventFault(f"its time zone {zone!r} is not known")
    return moment


def _end_of(component: Any) -> date | datetime | timedelta | None:
    """When it ends, or how long it lasts."""
    end = _moment_of(component, "DTEND")
    if end is not None:
        return end
    lasts = _read(component.get("DURATION"), "dt")
    return lasts if isinstance(lasts, timedelta) else None


def _local(moment: date | datetime, zone: tzinfo) -> datetime:
    """A moment in the time of the place, without a zone; a day is its midnight."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment


def _listed(component: Any, name: str) -> list[Any]:
    told = component.get(name)
    return cast("list[Any]", told) if isinstance(told, list) else [] if told is None else [told]


def _dates_of(component: Any, name: str) -> Iterator[date | datetime]:
    for told in _listed(component, name):
        dates = _read(told, "dts")
        if dates is None:
            raise EventFault(f"its {name} is no date: {str(told)[:_QUOTED]}")
        for each in dates:
            moment: Any = each.dt
            yield moment[0] if isinstance(moment, tuple) else moment  # the beginning of a period
