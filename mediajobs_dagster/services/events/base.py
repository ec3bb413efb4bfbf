"""What every source of events is asked, and what it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.models import EventStatus, NewEvent
from mediajobs_dagster.services.base import ServiceClient

Client = TypeVar("Client", bound=ServiceClient)

MAX_EVENTS = 20_000
"""The most events that are taken from one source."""
_SHOWN_FAULTS = 20
_LONGEST_ID, _ID_BEGINNING = 300, 200
_LONGEST_TITLE = 500


class EventFault(Exception):
    """One event cannot be read; the text says why, as the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class Window:
    """The time for which events are wanted."""

    now: datetime
    since: datetime
    until: datetime

    @classmethod
    def around(cls, now: datetime, back: timedelta, ahead: timedelta) -> Window:
        """So far back from `now`, and so far ahead."""
        return cls(now, now - back, now + ahead)

    def overlaps(self, starts_at: datetime, ends_at: datetime | None) -> bool:
        """Whether an event goes on at any moment of it."""
        return starts_at < self.until and (starts_at >= self.since or (ends_at or starts_at) > self.since)


class GetService(Protocol):
    """Returns the client of a service, by its class."""

    def __call__(self, kind: type[Client], /) -> Client:
        """The same one in each call. Its calls are recorded, and end with the attempt."""
        ...


@dataclass(frozen=True)
class Asking:
    """What a source is asked, and what it works with."""

    window: Window
    service: GetService
    check: Callable[[], None]
    """Raises when the work was cancelled or its time is up. Call it now and then."""


@dataclass
class Found:
    """What a source answered."""

    events: list[NewEvent] = field(default_factory=list[NewEvent])
    """Those of the window; also some outside of it, which are stored only if they are known already."""
    seen: set[str] = field(default_factory=set[str])
    """Ids of further events that it has, and of which nothing is stored."""
    series: set[str] = field(default_factory=set[str])
    """How the ids begin (see `occurrence_id`) of repeated events that it has, and whose occurrences are not known."""
    is_whole: bool = True
    """Whether this is all that it has in the window. If not, nothing is taken to be removed at the source."""
    margin: timedelta = timedelta()
    """How far from the ends of the window that is certain."""
    error: MediaJobsError | None = None
    """Why the rest is missing, if the source failed after a part of its answer."""
    faults: list[str] = field(default_factory=list[str])
    """The first of the events that could not be read, a sentence each."""
    faulty: int = 0
    """How many there were."""
    notes: list[str] = field(default_factory=list[str])
    """What people should know although it is no error, a sentence each."""

    def add_fault(self, name: str, fault: EventFault, external_id: str | None) -> None:
        """Note that an event could not be read. Without its id, nothing can be told to be removed."""
        self.faulty += 1
        if len(self.faults) < _SHOWN_FAULTS:
            self.faults.append(f"{name}: {fault}.")
        if external_id is None:
            self.is_whole = False
        else:
            self.seen.add(external_id)


def event_id(text: str) -> str:
    """The id of an event, of the id that its source gives it: the same, unless that is very long."""
    return text if len(text) <= _LONGEST_ID else f"{text[:_ID_BEGINNING]}~{hashlib.sha256(text.encode()).hexdigest()}"


def occurrence_id(series: str, key: str) -> str:
    """The id of an occurrence of a repeated event, whose own id is `series`."""
    return f"{series}/{key}"


def title_of(text: str) -> str:
    """A title in one line, of a length that can be shown."""
    return " ".join(text.split())[:_LONGEST_TITLE] or "Untitled"


def status_at(now: datetime, starts_at: datetime, ends_at: datetime | None) -> EventStatus:
    """Where an event stands by the clock, if nothing else is known."""
    if now < starts_at:
        return EventStatus.SCHEDULED
    return EventStatus.IN_PROGRESS if ends_at is not None and now < ends_at else EventStatus.FINISHED


class EventSource(Protocol):
    """Tells which events there are in a span of time."""

    @property
    def name(self) -> str:
        """Its name in the settings, which its events are stored under."""
        ...

    def window(self, now: datetime) -> Window:
        """The time that it is to be asked for at `now`."""
        ...

    def ask(self, asking: Asking) -> Found:
        """The events of the window. Raises a MediaJobsError when the source does not answer, or not as it should."""
        ...


@dataclass(frozen=True)
class SourceSettings:
    """What all kinds of sources have in common."""

    name: str
    zone: ZoneInfo
    """The time zone of times and days that name none."""
    back: timedelta
    ahead: timedelta

    def window(self, now: datetime) -> Window:
        """The time that it is to be asked for at `now`."""
        return Window.around(now, self.back, self.ahead)
