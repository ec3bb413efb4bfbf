"""The occurrences of a repeated event within a span of time (RFC 5545, section 3.3.10).

A calendar comes from outside, and a rule can be made to take years: one that repeats every second since 1970, or one
that never finds a date, such as 30 February. So a rule without a count is looked at in the span alone, whatever was
before it, and the days that are looked at are counted (`Effort`). What repeats more often than every half hour is
refused.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any

from mediajobs_dagster.services.events.base import EventFault

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = timedelta(days=1)
_BUSIEST_DAY = 48
"""How often an event may repeat within a day."""
_LAST_YEAR = 9990
"""Python's dates end with the year 9999."""


@dataclass
class Effort:
    """How many days may still be looked at, for a whole calendar."""

    days: int = 400_000
    """Some seconds of work; a daily event that began in 1970 takes 20,000."""

    def spend(self, days: int) -> None:
        """Look at so many. Raises EventFault when that is too many."""
        self.days -= days
        if self.days < 0:
            raise EventFault("it repeats too often to be worked out")


@dataclass(frozen=True)
class Rule:
    """A rule by which an event repeats. Build it with `of`."""

    frequency: str
    interval: int
    count: int | None
    until: datetime | None
    """The last moment, in the time of the place."""
    months: frozenset[int]
    week_numbers: frozenset[int]
    year_days: frozenset[int]
    month_days: frozenset[int]
    week_days: frozenset[int]
    """From Monday, 0."""
    nth_days: frozenset[tuple[int, int]]
    """Ordinal and day of the week, such as (-1, 4) for the last Friday."""
    times: tuple[time, ...]
    positions: tuple[int, ...]
    week_start: int

    @classmethod
    def of(cls, parts: Mapping[str, Sequence[Any]], start: datetime, until: datetime | None) -> Rule:
        """The rule of an event that begins at `start`; `parts` are its parts by name, as `icalendar` reads them.

        Raises EventFault when it is not valid, or repeats too often within a day.
        """
        try:
            return cls._of({name.upper(): values for name, values in parts.items()}, start, until)
        except (ValueError, TypeError, IndexError) as error:
            raise EventFault(f"its rule of repetition is not valid: {error}") from error

    @classmethod
    def _of(cls, parts: Mapping[str, Sequence[Any]], start: datetime, until: datetime | None) -> Rule:
        def numbers(name: str) -> frozenset[int]:
            return frozenset(int(each) for each in parts.get(name, ()))

        frequency = str(parts["FREQ"][0]).upper() if "FREQ" in parts else "none"
        if frequency not in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY"):
            raise EventFault(f"it repeats {frequency}; only DAILY, WEEKLY, MONTHLY and YEARLY are supported")
        days = [_day_of(str(each)) for each in parts.get("BYDAY", ())]
        has_ordinals = frequency in ("YEARLY", "MONTHLY")
        months, month_days = numbers("BYMONTH"), numbers("BYMONTHDAY")
        week_days = frozenset(day for ordinal, day in days if not (ordinal and has_ordinals))
        # Where the rule names no day, it is the day of the start.
        if not (days or month_days or parts.get("BYWEEKNO") or parts.get("BYYEARDAY")):
            match frequency:
                case "YEARLY":
                    months, month_days = months or frozenset({start.month}), frozenset({start.day})
                case "MONTHLY":
                    month_days = frozenset({start.day})
                case "WEEKLY":
                    week_days = frozenset({start.weekday()})
                case _:
                    pass
        hours, minutes, seconds = (
            sorted(numbers(name) or {of_start})
            for name, of_start in (("BYHOUR", start.hour), ("BYMINUTE", start.minute), ("BYSECOND", start.second))
        )
        if (a_day := len(hours) * len(minutes) * len(seconds)) > _BUSIEST_DAY:
            raise EventFault(f"it repeats {a_day:,} times a day; at most {_BUSIEST_DAY} are supported")
        return cls(
            frequency=frequency,
            interval=max(1, int(parts.get("INTERVAL", (1,))[0])),
            count=int(parts["COUNT"][0]) if parts.get("COUNT") else None,
            until=until,
            months=months,
            week_numbers=numbers("BYWEEKNO"),
            year_days=numbers("BYYEARDAY"),
            month_days=month_days,
            week_days=week_days,
            nth_days=frozenset((ordinal, day) for ordinal, day in days if ordinal and has_ordinals),
            times=tuple(time(*each) for each in product(hours, minutes, seconds)),
            positions=tuple(sorted(numbers("BYSETPOS"))),
            week_start=_DAYS.index(str(parts.get("WKST", ("MO",))[0]).upper()),
        )

    def occurrences(self, start: datetime, since: datetime, until: datetime, effort: Effort) -> Iterator[datetime]:
        """The occurrences at `since` or later and before `until`, in order; all in the time of the place.

        Raises EventFault when it takes too long to find them.
        """
        counted = 0
        for period in self._periods(start, since, until):
            effort.spend(len(period) + len(self.times))
            for moment in self._within(period):
                if moment < start:
                    continue
                counted += 1
                is_over = self.until is not None and moment > self.until
                if is_over or moment >= until or (self.count is not None and counted > self.count):
                    return
                if moment >= since:
                    yield moment

    def _periods(self, start: datetime, since: datetime, until: datetime) -> Iterator[Sequence[date]]:
        """The days of each year, month, week or day in which it may occur."""
        last = min(until, self.until or until).date()
        # With a count, those before have to be counted.
        number = (
            0 if self.count is not None else max(0, self._distance(start.date(), since.date()) // self.interval - 1)
        )
        while days := self._period(start.date(), number * self.interval):
            if days[0] > last:
                return
            yield days
            number += 1

    def _distance(self, start: date, day: date) -> int:
        """How many years, months, weeks or days later `day` is."""
        match self.frequency:
            case "YEARLY":
                return day.year - start.year
            case "MONTHLY":
                return (day.year - start.year) * 12 + day.month - start.month
            case "WEEKLY":
                return (day - start).days // 7
            case _:
                return (day - start).days

    def _period(self, start: date, distance: int) -> Sequence[date]:
        """The days of the year, month, week or day that is so much later; none: beyond the last date."""
        year = start.year + distance // {"YEARLY": 1, "MONTHLY": 12, "WEEKLY": 53, "DAILY": 366}[self.frequency]
        if year > _LAST_YEAR:
            return ()
        match self.frequency:
            case "YEARLY":
                return _days_from(date(year, 1, 1), _length(year))
            case "MONTHLY":
                months = start.month - 1 + distance
                first = date(start.year + months // 12, months % 12 + 1, 1)
                return _days_from(first, calendar.monthrange(first.year, first.month)[1])
            case "WEEKLY":
                first = start - (start.weekday() - self.week_start) % 7 * _DAY
                return _days_from(first + 7 * distance * _DAY, 7)
            case _:
                return (start + distance * _DAY,)

    def _within(self, period: Sequence[date]) -> Sequence[datetime]:
        found = [datetime.combine(day, each) for day in period if self._has(day) for each in self.times]
        if not self.positions:
            return found
        chosen = {position - 1 if position > 0 else len(found) + position for position in self.positions}
        return [found[position] for position in sorted(chosen) if 0 <= position < len(found)]

    def _has(self, day: date) -> bool:
        """Whether it may occur on that day."""
        if self.months and day.month not in self.months:
            return False
        of_month = calendar.monthrange(day.year, day.month)[1]
        if self.month_days and self.month_days.isdisjoint((day.day, day.day - of_month - 1)):
            return False
        of_year = day.timetuple().tm_yday
        if self.year_days and self.year_days.isdisjoint((of_year, of_year - _length(day.year) - 1)):
            return False
        if self.week_numbers and self.week_numbers.isdisjoint(_week_numbers(day, self.week_start)):
            return False
        if not self.week_days and not self.nth_days:
            return True
        is_in_year = self.frequency == "YEARLY" and not self.months
        place, length = (of_year, _length(day.year)) if is_in_year else (day.day, of_month)
        nth = {((place - 1) // 7 + 1, day.weekday()), (-((length - place) // 7 + 1), day.weekday())}
        return day.weekday() in self.week_days or not self.nth_days.isdisjoint(nth)


def _day_of(text: str) -> tuple[int, int]:
    """Ordinal (0: none) and day of the week of a text such as `-1FR`."""
    return int(text[:-2] or 0), _DAYS.index(text[-2:].upper())


def _days_from(first: date, length: int) -> Sequence[date]:
    return [first + number * _DAY for number in range(length)]


def _length(year: int) -> int:
    return 366 if calendar.isleap(year) else 365


def _week_numbers(day: date, week_start: int) -> tuple[int, int]:
    """The number of its week, counted from the beginning and from the end (negative) of the year of that week.

    The first week is the first one with four days in its year.
    """
    # The day of its week that decides to which year the week belongs.
    middle = day - ((day.weekday() - week_start) % 7 - 3) * _DAY
    number = (middle.timetuple().tm_yday - 1) // 7 + 1
    following = (_length(middle.year) - middle.timetuple().tm_yday) // 7
    return number, -following - 1
