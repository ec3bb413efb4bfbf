"""The text of a calendar (RFC 5545), taken apart before it is read.

A feed is read event by event: one that is broken costs no other, the work can be cancelled in between, and what lies
far from the time that is asked for is passed over unread, because reading is what takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mediajobs_dagster.errors import ServiceAnswerError
from mediajobs_dagster.services.events.base import Window
from mediajobs_dagster.storage.redaction import redact

NEAR = timedelta(days=400)
"""How far from the window an event is still read, because it may have been moved from there."""
_MOST_ZONES = 100
_FOLD = re.compile(r"\r?\n[ \t]")
_ZONE_NAME = re.compile(r"^X-WR-TIMEZONE[^:\n]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_UID = re.compile(r"^UID[^:\n]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_DATES = re.compile(r"^(?:DTSTART|DTEND|RECURRENCE-ID)[^:\n]*:(\d{8})", re.IGNORECASE | re.MULTILINE)
_REPEATS = re.compile(r"^(?:RRULE|RDATE)\b", re.IGNORECASE | re.MULTILINE)
_IS_CHANGE = re.compile(r"^RECURRENCE-ID\b", re.IGNORECASE | re.MULTILINE)
_IS_OF_THE_REST = re.compile(r"^RECURRENCE-ID\b[^:\n]*;RANGE=\"?THISANDFUTURE\b", re.IGNORECASE | re.MULTILINE)
_ENDED = re.compile(r"^RRULE[^\n]*\bUNTIL=(\d{8})", re.IGNORECASE | re.MULTILINE)
_RULE_OF_ZONE = re.compile(r"^RRULE[^:\n]*:(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass
class CalendarText:
    """A calendar in parts, none of them read yet."""

    events: list[EventText] = field(default_factory=list["EventText"])
    zones: list[str] = field(default_factory=list[str])
    """Its own time zones."""
    zone_name: str | None = None
    """The time zone of what names none, if the calendar says."""
    is_whole: bool = True
    """Whether it has an end, and so has each of its events."""

    @classmethod
    def of(cls, text: str, what: str) -> CalendarText:
        """The parts of a calendar. `what` names it in messages. Raises ServiceAnswerError when it is none."""
        text = _FOLD.sub("", text.lstrip("\ufeff")).replace("\r", "\n")
        begin = re.search(r"^BEGIN:VCALENDAR\s*$", text, re.IGNORECASE | re.MULTILINE)
        if begin is None:
            shown = " ".join(redact(text[:500]).split())[:60]
            said = f"it begins with {shown!r}" if shown else "it is empty"
            raise ServiceAnswerError(f"{what} is not a calendar: {said}. Correct the address.")
        found = cls()
        for kind, block in _blocks(text[begin.end() :]):
            match kind:
                case "VEVENT":
                    found.events.append(EventText(block))
                case "VTIMEZONE" if len(found.zones) < _MOST_ZONES and _is_harmless(block):
                    found.zones.append(block)
                case "" | "cut off":
                    found.is_whole = found.is_whole and kind == ""
                case _:
                    pass
        is_ended = re.search(r"^END:VCALENDAR\s*\Z", text, re.IGNORECASE | re.MULTILINE)
        found.is_whole = found.is_whole and is_ended is not None
        zone = _ZONE_NAME.search(text)
        found.zone_name = zone and zone[1].strip()
        return found


@dataclass(frozen=True)
class EventText:
    """One event, not read yet."""

    text: str

    @property
    def uid(self) -> str:
        """Its id; empty: it has none."""
        found = _UID.search(self.text)
        return found[1].strip() if found else ""

    @property
    def repeats(self) -> bool:
        """Whether it occurs several times."""
        return _REPEATS.search(self.text) is not None

    @property
    def is_change(self) -> bool:
        """Whether it changes one occurrence of a repeated event."""
        return _IS_CHANGE.search(self.text) is not None

    @property
    def is_change_of_rest(self) -> bool:
        """Whether it changes that occurrence and all that follow."""
        return _IS_OF_THE_REST.search(self.text) is not None

    def is_far_from(self, window: Window) -> bool:
        """Whether it certainly lies far from the window: told by its dates alone."""
        first, last = ((each + step).strftime("%Y%m%d") for each, step in _reach(window))
        if self.repeats:
            ended = _ENDED.findall(self.text)
            is_over = len(ended) == 1 and ended[0] < first and not re.search(r"^RDATE\b", self.text, re.I | re.M)
            return is_over and len(_REPEATS.findall(self.text)) == 1
        dates = _DATES.findall(self.text)
        is_over = bool(dates) and max(dates) < first and not self.is_change_of_rest
        return is_over or (bool(dates) and min(dates) > last)


def _reach(window: Window) -> tuple[tuple[datetime, timedelta], tuple[datetime, timedelta]]:
    return (window.since, -NEAR), (window.until, NEAR)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The kind and text of each part of a calendar; those without an end are of the kind `cut off`.

    What an event has inside of it, such as alarms, is left out. Time zones are kept with their parts.
    """
    kind, inner, lines = "", 0, list[str]()
    for line in text.split("\n"):
        stripped = line.rstrip()
        name, _, value = stripped.upper().partition(":")
        if not kind:
            if name == "BEGIN":
                kind, inner, lines = value, 0, [stripped]
            continue
        if name == "BEGIN" and value == kind:  # the one before has no end
            yield "cut off", "\n".join(lines)
            inner, lines = 0, [stripped]
            continue
        inner += name == "BEGIN"
        if inner == 0 or kind == "VTIMEZONE":
            lines.append(stripped)
        if name == "END" and value == kind:
            yield kind, "\n".join(lines) + "\n"
            kind = ""
        elif name == "END":
            inner = max(0, inner - 1)
    if kind:
        yield "cut off", "\n".join(lines)


def _is_harmless(zone: str) -> bool:
    """Whether a time zone changes once a year at most: working out one that changes every second takes for ever."""
    return all("FREQ=YEARLY" in rule.upper() for rule in _RULE_OF_ZONE.findall(zone))
