"""Events of an iCalendar feed, such as those of Google Calendar, Outlook and sports leagues."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from zoneinfo import ZoneInfo

from mediajobs_dagster.errors import ExtraMissingError
from mediajobs_dagster.models import EventStatus, NewEvent
from mediajobs_dagster.services.answers import HttpAnswer
from mediajobs_dagster.services.events.base import (
    MAX_EVENTS,
    Asking,
    EventFault,
    Found,
    SourceSettings,
    Window,
    event_id,
    occurrence_id,
    status_at,
)
from mediajobs_dagster.services.events.ical import NEAR, CalendarText
from mediajobs_dagster.services.events.recurrence import Effort, Rule
from mediajobs_dagster.services.events.told import DAY, ToldEvent
from mediajobs_dagster.services.http import MIB, HttpClient

_MAX_BYTES = 16 * MIB


@dataclass(frozen=True)
class CalendarFeed:
    """A feed at an address. What is behind it is run by others, so it has to be public; its path may be a secret."""

    settings: SourceSettings
    address: str

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.settings.name

    def window(self, now: datetime) -> Window:
        """The time that it is to be asked for at `now`."""
        return self.settings.window(now)

    def ask(self, asking: Asking) -> Found:
        """The events of the window; of repeated ones, each occurrence.

        Raises ServiceError and its kinds, AddressRefusedError and ExtraMissingError.
        """
        _check_extra()
        address = re.sub(r"^webcals?://", "https://", self.address, flags=re.IGNORECASE)
        answer = asking.service(HttpClient).get_kept(
            address, service=self.name, op="calendar", max_bytes=_MAX_BYTES, hides_path=True
        )
        text = CalendarText.of(_text_of(answer), f"The answer of {self.name}")
        return _Reading(asking, text, _zone_of(text.zone_name, self.settings.zone)).found()


def _check_extra() -> None:
    try:
        import icalendar as icalendar
    except ImportError as error:
        raise ExtraMissingError.of("Calendars need", "discovery") from error


def _text_of(answer: HttpAnswer) -> str:
    """The feed as text: in the charset that it names, else UTF-8 as the standard says, else what Windows writes."""
    content_type = answer.headers.get("Content-Type", "").lower()
    if answer.body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return answer.body.decode("utf-16", "replace")
    if "charset" in content_type and "utf-8" not in content_type:
        return answer.text
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        return answer.body.decode("cp1252", "replace")


def _zone_of(name: str | None, default: ZoneInfo) -> ZoneInfo:
    try:
        return ZoneInfo(name) if name else default
    except (ValueError, OSError, KeyError):  # no name of a zone
        return default


@dataclass(frozen=True)
class _Rest:
    """A change of one occurrence and of all that follow."""

    since: datetime
    """When the first of them was to begin."""
    told: ToldEvent

    @property
    def shift(self) -> timedelta:
        """By how much they are moved."""
        return self.told.utc(self.told.start) - self.since


def _as_changed(told: ToldEvent, moment: datetime, rests: Sequence[_Rest]) -> tuple[ToldEvent, datetime]:
    """What is told of an occurrence without a change of its own, and when it begins, in the time of the place."""
    found = max((rest for rest in rests if rest.since <= told.utc(moment)), key=attrgetter("since"), default=None)
    if found is None:
        return told, moment
    # Moved in the time of the place: what is at nine from now on stays at nine when the clocks change.
    start, since = (
        each.astimezone(told.zone).replace(tzinfo=None) for each in (found.since + found.shift, found.since)
    )
    return replace(found.told, zone=told.zone), moment + (start - since)


class _Reading:
    """Reads one feed."""

    def __init__(self, asking: Asking, text: CalendarText, zone: ZoneInfo) -> None:
        self._asking, self._text, self._zone = asking, text, zone
        self._found = Found(is_whole=text.is_whole)
        self._effort = Effort()

    def found(self) -> Found:
        """What the feed has in the window."""
        self._learn_zones()
        if not self._text.is_whole:
            self._found.notes.append("The calendar ends in the middle, so nothing is taken to be removed from it.")
        series: dict[str, ToldEvent] = {}
        changes: dict[tuple[str, str], ToldEvent] = {}
        for told in self._read():
            key = told.key
            before = series.get(told.uid) if key is None else changes.get((told.uid, key))
            if before is not None:
                self._found.notes.append(f"{told.uid} is there more than once. The newest counts.")
                if before.age > told.age:
                    continue
            if key is None:
                series[told.uid] = told
            else:
                changes[told.uid, key] = told
        rests = defaultdict[str, list[_Rest]](list)
        for told in changes.values():
            if (since := told.changes_rest_from) is not None:
                rests[told.uid].append(_Rest(since, told))
        for told in series.values():
            self._take(told.uid, partial(self._occurrences, told, changes, rests[told.uid]))
        for (uid, key), told in changes.items():
            self._take(uid, partial(self._changed, told, key))
        self._found.notes = self._found.notes[:20]
        return self._found

    def _learn_zones(self) -> None:
        from icalendar import Timezone

        for zone in self._text.zones:
            try:
                Timezone.from_ical(zone)  # from now on its name is known to the library
            except Exception:  # noqa: BLE001  # whatever the library raises on a hostile text; its events say so
                self._found.notes.append("A time zone of the calendar cannot be read.")

    def _read(self) -> Iterator[ToldEvent]:
        near = 0
        for text in self._text.events:
            self._asking.check()
            if text.is_far_from(self._asking.window):
                self._found.seen.add(event_id(text.uid))
                continue
            near += 1
            if near > MAX_EVENTS:
                self._cut_off()
                return
            try:
                yield ToldEvent.read(text, self._zone)
            except EventFault as fault:
                self._fail(text.uid, fault, is_single=not text.repeats and not text.is_change)

    def _take(self, uid: str, work: Callable[[], Iterable[NewEvent]]) -> None:
        self._asking.check()
        if len(self._found.events) > MAX_EVENTS:
            self._cut_off()
            return
        try:
            self._found.events += work()
        except EventFault as fault:
            self._fail(uid, fault, is_single=False)
        except (OverflowError, ValueError) as error:  # beyond the first or the last date
            self._fail(uid, EventFault(f"its time cannot be worked out: {error}"), is_single=False)

    def _cut_off(self) -> None:
        if self._found.is_whole:
            self._found.is_whole = False
            self._found.notes.append(f"The calendar has more than {MAX_EVENTS:,} events; the rest was left out.")

    def _fail(self, uid: str, fault: EventFault, *, is_single: bool) -> None:
        self._found.add_fault(uid or "An event without UID", fault, event_id(uid) if uid else None)
        if uid and not is_single:
            self._found.series.add(event_id(uid))

    def _occurrences(
        self, told: ToldEvent, changes: Mapping[tuple[str, str], ToldEvent], rests: Sequence[_Rest]
    ) -> Iterable[NewEvent]:
        rules, dates = told.rules, told.moments_of("RDATE")
        if not rules and not dates:
            return [self._event(told, told.start, None)]
        window, length = self._asking.window, told.length or timedelta()
        since, until = (each.astimezone(told.zone).replace(tzinfo=None) for each in (window.since, window.until))
        moved = max((abs(rest.shift) for rest in rests), default=timedelta())
        length = max([length, *(rest.told.length or timedelta() for rest in rests)])
        since, until = since - length - moved - DAY, until + moved + DAY
        moments = {told.start, *dates}
        for parts, last in rules:
            moments.update(Rule.of(parts, told.start, last).occurrences(told.start, since, until, self._effort))
        excluded, days = set(told.moments_of("EXDATE")), told.days_of("EXDATE")
        occurrences: list[NewEvent] = []
        for moment in sorted(moments - excluded):
            key = told.key_of(moment.date() if told.is_all_day else moment)
            if moment.date() in days or not since <= moment < until or (told.uid, key) in changes:
                continue
            event = self._event(*_as_changed(told, moment, rests), key)
            if window.overlaps(event.starts_at, event.ends_at):
                occurrences.append(event)
        return occurrences

    def _changed(self, told: ToldEvent, key: str) -> Iterable[NewEvent]:
        event = self._event(told, told.start, key)
        # One that was read for what it says of all that follow may lie years back.
        return [] if event.starts_at < self._asking.window.since - NEAR else [event]

    def _event(self, told: ToldEvent, start: datetime, key: str | None) -> NewEvent:
        starts_at = told.utc(start)
        ends_at = None if told.length is None else told.utc(start + told.length)
        own = event_id(told.uid)
        by_clock = status_at(self._asking.window.now, starts_at, ends_at)
        return NewEvent(
            external_id=own if key is None else occurrence_id(own, key),
            title=told.title,
            participants=told.participants,
            starts_at=starts_at,
            ends_at=ends_at,
            is_all_day=told.is_all_day,
            status=EventStatus.CANCELLED if told.is_cancelled else by_clock,
            raw=told.raw,
        )
