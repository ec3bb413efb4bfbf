"""When schedules are due, as people write it: five cron fields and a time zone. Checked here, worked out by Dagster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month."""
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    """Of its values, the least first."""


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True)
class ScheduleChange:
    """What a setting says of one schedule; None: as its job type says."""

    name: str
    """The job type."""
    is_on: bool | None = None
    cron: str | None = None
    timezone: str | None = None


def change_of(text: str) -> ScheduleChange:
    """What an entry says: `NAME=[on|off] [CRON [ZONE]]`, as in `history_cleanup=30 3 * * sun Europe/Berlin`.

    Raises ValueError.
    """
    name, equals, rest = (part.strip() for part in text.partition("="))
    words = rest.split()
    if not name or not equals or not words:
        raise ValueError(f"{text!r} is no entry such as history_cleanup=off or history_cleanup=30 3 * * sun")
    is_on = {"on": True, "off": False}.get(words[0].lower())
    times = words if is_on is None else words[1:]
    if not times:
        return ScheduleChange(name, is_on)
    if len(times) not in (5, 6):
        raise ValueError(f"{text!r} needs five cron fields and perhaps a time zone after {name}=")
    return ScheduleChange(name, is_on, checked_cron(" ".join(times[:5])), *map(checked_zone, times[5:]))


def checked_cron(cron: str) -> str:
    """The five fields, with single blanks between them. Raises ValueError when they name no moment."""
    texts = cron.split()
    if len(texts) != len(_FIELDS):
        raise ValueError(f"{cron!r} has {len(texts)} fields: cron has minute, hour, day, month and day of the week")
    values = [_values(text, field) for text, field in zip(texts, _FIELDS, strict=True)]
    _, _, days, months, _ = values
    # Also where a day of the week is named, which would be enough: Dagster refuses it.
    if all(min(days) > _LONGEST[month - 1] for month in months):
        raise ValueError(f"{cron!r} names a day that its months do not have")
    return " ".join(texts)


def checked_zone(name: str) -> str:
    """The name, if the IANA database has it. Raises ValueError."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # the last two: a path, or a folder of zones
        raise ValueError(f"{name!r} is no time zone such as Europe/Berlin or UTC") from error


def _values(text: str, field: _Field) -> set[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        matched = _PART.fullmatch(part)
        if matched is None:
            raise ValueError(f"{text!r} is no {field.name} of a cron")
        first, last, step = matched.groups()
        start = field.least if first is None else _number(first, field)
        # As Vixie's cron has it: 5/10 begins at 5 and has no end.
        stop = _number(last, field) if last else start if first and not step else field.most
        if start > stop or step == "0" * len(step or "-"):
            raise ValueError(f"{part!r} is no {field.name} of a cron")
        found.update(range(start, stop + 1, int(step or 1)))
    return found


def _number(text: str, field: _Field) -> int:
    if text in field.names:
        return field.least + field.names.index(text)
    value = int(text) if text.isdecimal() and len(text) < 3 else -1
    if not field.least <= value <= field.most:
        raise ValueError(f"{text!r} is no {field.name}: it is from {field.least} to {field.most}")
    return value
