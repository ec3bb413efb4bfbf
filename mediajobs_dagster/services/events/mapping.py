"""How the JSON of an API is read as events: which field is what. It is written down in a file of settings.

A path names a field, such as `home_team.name`; a number in it is a place in a list. A template is text with paths in
braces, such as `{home_team.name} vs. {away_team.name}`; without braces, it is a path.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase
from typing import Any, cast
from zoneinfo import ZoneInfo

from pydantic import Field

from mediajobs_dagster.models import EventStatus, JsonObject, NewEvent, Value
from mediajobs_dagster.services.events.base import EventFault, event_id, status_at, title_of

_IN_BRACES = re.compile(r"\{([^{}]+)\}")
_LONGEST_RAW = 16 * 1024
_LONGEST_STATUS = 200
_MILLISECONDS = 10**11
"""Seconds since 1970 reach this in the year 5138; milliseconds did in 1973."""
_ORDER = (
    EventStatus.FINISHED,
    EventStatus.CANCELLED,
    EventStatus.POSTPONED,
    EventStatus.IN_PROGRESS,
    EventStatus.SCHEDULED,
)
"""In which order the patterns of statuses are tried."""


class Mapping(Value):
    """Which field of an item is what of an event."""

    items: str = Field(description="Path to the list of items in an answer; empty: the answer is the list.")
    id: str = Field(description="Path to the id.")
    title: str = Field(description="Template of the title.")
    participants: tuple[str, ...] = Field(default=(), description="Templates of the names of those who take part.")
    starts_at: tuple[str, ...] = Field(
        description="Paths to the beginning; the first that holds a date, a time or seconds since 1970 counts."
    )
    ends_at: tuple[str, ...] = Field(default=(), description="Paths to the end.")
    status: str | None = Field(default=None, description="Path to the status; without one, the clock decides.")
    statuses: dict[EventStatus, tuple[str, ...]] = Field(
        default_factory=dict[EventStatus, tuple[str, ...]],
        description="Patterns of the source's texts for each status, such as `Final*`, in any letter case. They are "
        "tried in the order finished, cancelled, postponed, in_progress, scheduled.",
    )

    def id_of(self, item: Any) -> str | None:
        """The id of an item; None: it has none that can be used."""
        found = at_path(item, self.id)
        is_usable = isinstance(found, str | int) and not isinstance(found, bool) and str(found).strip()
        return event_id(str(found).strip()) if is_usable else None

    def event_of(self, item: Any, zone: ZoneInfo, now: datetime) -> NewEvent:
        """The event that an item describes. Times without a zone are those of `zone`. Raises EventFault."""
        external_id = self.id_of(item)
        if external_id is None:
            raise EventFault("it has no id")
        starts_at, is_all_day = _first_moment(item, self.starts_at, zone)
        if starts_at is None:
            raise EventFault(f"its beginning cannot be read: {_shown(item, self.starts_at)}")
        ends_at, _ = _first_moment(item, self.ends_at, zone)
        if ends_at is not None and ends_at < starts_at:
            ends_at = None
        names = [title_of(_filled(template, item)) for template in self.participants if _filled(template, item)]
        return NewEvent(
            external_id=external_id,
            title=title_of(_filled(self.title, item)),
            participants=tuple(names),
            starts_at=starts_at,
            ends_at=ends_at,
            is_all_day=is_all_day,
            status=self._status_of(item) or status_at(now, starts_at, ends_at),
            raw=_raw_of(item),
        )

    def _status_of(self, item: Any) -> EventStatus | None:
        if self.status is None:
            return None
        text = _text(at_path(item, self.status)).strip()[:_LONGEST_STATUS].lower()
        for status in _ORDER:
            if any(fnmatchcase(text, pattern.lower()) for pattern in self.statuses.get(status, ())):
                return status
        raise EventFault(f"its status {text!r} is not among those of the settings")


def at_path(value: Any, path: str) -> Any:
    """What is at a path; None: nothing."""
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            value = cast("JsonObject", value).get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(name)]
        else:
            return None
    return value


def _text(value: Any) -> str:
    match value:
        case None | dict() | list():
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _filled(template: str, item: Any) -> str:
    if "{" not in template:
        return _text(at_path(item, template))
    return _IN_BRACES.sub(lambda found: _text(at_path(item, found[1].strip())), template)


def _first_moment(item: Any, paths: tuple[str, ...], zone: ZoneInfo) -> tuple[datetime | None, bool]:
    """The first moment at one of the paths, in UTC, and whether it is a whole day."""
    for path in paths:
        try:
            if (found := _moment_of(at_path(item, path), zone)) is not None:
                return found
        except (ValueError, OverflowError, OSError):
            continue
    return None, False


def _moment_of(value: Any, zone: ZoneInfo) -> tuple[datetime, bool] | None:
    """Raises ValueError, OverflowError or OSError for what is no moment."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if not isinstance(value, str):
        return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS else value, UTC), False
    text = value.strip()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.combine(datetime.fromisoformat(text), time(), zone).astimezone(UTC), True
    if not re.match(r"\d{4}-\d\d-\d\d[T ]", text):
        return None
    found = datetime.fromisoformat(re.sub(r" ?(?:UTC|GMT)$", "Z", text))
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC), False


def _shown(item: Any, paths: tuple[str, ...]) -> str:
    return ", ".join(f"{path} is {json.dumps(at_path(item, path))[:80]}" for path in paths)


def _raw_of(item: Any) -> JsonObject | None:
    """The item as it is; None if it is too long, or JSON of Python's own, such as NaN."""
    try:
        return item if len(json.dumps(item, allow_nan=False)) <= _LONGEST_RAW else None
    except (ValueError, RecursionError):
        return None
