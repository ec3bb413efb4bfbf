"""The scheduled events, as their sources described them last.

Several processes may sync at once, and an answer may come late. So each event remembers when the source was asked that
had it last (`seen_at`): an older answer neither replaces nor removes what a newer one brought.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history.database import Database, insert_new
from mediajobs_dagster.history.paging import Conditions
from mediajobs_dagster.history.schema import scheduled_events, videos
from mediajobs_dagster.models import Event, EventStatus, NewEvent, new_id

_CHUNK = 500
"""Events written in one transaction: other writers wait for it."""
EVENT_COLUMNS = tuple(scheduled_events.c[name] for name in Event.model_fields)
_TOLD = tuple(NewEvent.model_fields)
"""What a source tells of an event."""


@dataclass(frozen=True)
class EventChanges:
    """How many events were stored, by what came of them; each is counted once."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: EventChanges) -> EventChanges:
        """The sum of both."""
        return EventChanges(self.added + other.added, self.updated + other.updated, self.unchanged + other.unchanged)


@dataclass(frozen=True)
class EventFilter:
    """Selects events. Every condition that is given must hold."""

    title: str | None = None
    """Part of the title, in any letter case."""
    source: str | None = None
    status: EventStatus | None = None
    since: datetime | None = None
    """Begins at this moment or later."""
    until: datetime | None = None
    """Begins before this moment."""
    with_removed: bool = False
    """Whether events that their source does not have any more are selected too."""

    def conditions(self) -> Conditions:
        """The filter as conditions on the table `scheduled_events`."""
        columns = scheduled_events.c
        found: Conditions = []
        if self.title is not None:
            found.append(columns.title.icontains(self.title, autoescape=True))
        if self.source is not None:
            found.append(columns.source == self.source)
        if self.status is not None:
            found.append(columns.status == self.status)
        if self.since is not None:
            found.append(columns.starts_at >= self.since)
        if self.until is not None:
            found.append(columns.starts_at < self.until)
        if not self.with_removed:
            found.append(columns.removed_at.is_(None))
        return found


EventList = list[Event]


class Events:
    """Reads and writes the table `scheduled_events`."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, event_id: str) -> Event:
        """The event with this id. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(_select(scheduled_events.c.id == event_id)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no event {event_id}.")
        return event_of(row)

    def list(self, filter: EventFilter, *, limit: int = 50, after: str | None = None) -> EventList:
        """One page, the earliest first; `after` is the last id of the page before.

        A title is looked for in all events that match the rest. Raises NotFoundError when the event `after` is gone.
        """
        columns = scheduled_events.c
        conditions = filter.conditions()
        if after is not None:
            last = self.get(after)
            position = sa.tuple_(sa.literal(last.starts_at, columns.starts_at.type), sa.literal(last.id))
            conditions.append(sa.tuple_(columns.starts_at, columns.id) > position)
        statement = _select(*conditions).order_by(columns.starts_at, columns.id).limit(limit)
        with self._database.read() as connection:
            return [event_of(row) for row in connection.execute(statement).mappings()]

    def finished_without_video(self, *, since: datetime, now: datetime, limit: int = 100) -> EventList:
        """Events that are over (`Event.is_over`) and that no video is linked to, the latest first.

        Only those that began at `since` or later, and that their source still has.
        """
        columns = scheduled_events.c
        has_video = sa.exists().where(videos.c.event_id == columns.id)
        shared = (columns.starts_at >= since, columns.removed_at.is_(None), ~has_video)
        # One query a status: an index has the events of each in the order of time.
        alternatives = [
            (columns.status == EventStatus.FINISHED,),
            *((columns.status == each, columns.ends_at <= now) for each in _UNDECIDED),
        ]
        found: list[Event] = []
        with self._database.read() as connection:
            for conditions in alternatives:
                statement = _select(*conditions, *shared).order_by(columns.starts_at.desc(), columns.id.desc())
                found += map(event_of, connection.execute(statement.limit(limit)).mappings())
        found.sort(key=lambda event: (event.starts_at, event.id), reverse=True)
        return found[:limit]

    def known(self, source: str, external_ids: Collection[str]) -> set[str]:
        """Those of `external_ids` that belong to an event of that source."""
        column = scheduled_events.c.external_id
        found: set[str] = set()
        with self._database.read() as connection:
            for chunk in _chunks(sorted(external_ids)):
                statement = sa.select(column).where(scheduled_events.c.source == source, column.in_(chunk))
                found.update(connection.execute(statement).scalars())
        return found

    # --- writing -----------------------------------------------------------------------------------------------------

    def upsert(self, source: str, found: Iterable[NewEvent], *, asked_at: datetime) -> EventChanges:
        """Store what a source that was asked at `asked_at` says, some hundred events a transaction.

        Of several with the same id, the last one counts. An event that a later answer has brought already stays as it
        is. One that was removed is there again.
        """
        by_id = {event.external_id: event for event in found}
        changes = EventChanges()
        for chunk in _chunks(sorted(by_id)):  # in the same order everywhere: two writers cannot deadlock
            with self._database.write() as connection:
                changes += _upsert(connection, source, [by_id[each] for each in chunk], asked_at)
        return changes

    def note_seen(
        self, source: str, external_ids: Collection[str], *, asked_at: datetime, series: Collection[str] = ()
    ) -> None:
        """Note that the source has these events, although nothing of what it says of them is stored.

        `series` are ids of repeated events, all of whose occurrences (`series/…`) are meant.
        """
        columns = scheduled_events.c
        for chunk in _chunks(sorted(external_ids)):
            with self._database.write() as connection:
                _note_seen(connection, columns.external_id.in_(chunk), source, asked_at)
        for each in sorted(series):
            with self._database.write() as connection:
                occurs = columns.external_id.startswith(f"{each}/", autoescape=True)
                _note_seen(connection, occurs, source, asked_at)

    def remove_unseen(self, source: str, *, since: datetime, until: datetime, asked_at: datetime) -> int:
        """Mark as removed what the source, asked at `asked_at` for all from `since` to `until`, did not have.

        Returns how many. Call it after `upsert`, and only if the answer was whole.
        """
        columns = scheduled_events.c
        is_unseen = (
            *(columns.source == source, columns.starts_at >= since, columns.starts_at < until),
            *(columns.removed_at.is_(None), columns.seen_at < asked_at),
        )
        statement = sa.update(scheduled_events).where(*is_unseen).values(removed_at=asked_at, updated_at=asked_at)
        with self._database.write() as connection:
            return connection.execute(statement).rowcount


_UNDECIDED = (EventStatus.SCHEDULED, EventStatus.IN_PROGRESS)


def _upsert(connection: sa.Connection, source: str, found: Sequence[NewEvent], asked_at: datetime) -> EventChanges:
    new = [event.model_dump() | {"id": new_id(), "source": source} for event in found]
    moments = ("created_at", "updated_at", "seen_at")
    insert_new(connection, scheduled_events, new, also=dict.fromkeys(moments, asked_at))
    own = {row["id"] for row in new}
    columns = scheduled_events.c
    there = _select(columns.source == source, columns.external_id.in_([event.external_id for event in found]))
    rows = connection.execute(there.order_by(columns.external_id).with_for_update()).mappings()
    known = {event.external_id: event for event in map(event_of, rows) if event.id not in own}
    changed = [
        event
        for event in found
        if (before := known.get(event.external_id)) and before.seen_at <= asked_at and not _is_same(before, event)
    ]
    for event in changed:
        values = event.model_dump() | {"updated_at": asked_at, "removed_at": None}
        connection.execute(sa.update(scheduled_events).where(columns.id == known[event.external_id].id).values(values))
    _note_seen(connection, columns.external_id.in_(list(known)), source, asked_at)
    return EventChanges(len(found) - len(known), len(changed), len(known) - len(changed))


def _is_same(before: Event, event: NewEvent) -> bool:
    return before.removed_at is None and all(getattr(before, name) == getattr(event, name) for name in _TOLD)


def _note_seen(connection: sa.Connection, which: sa.ColumnElement[bool], source: str, asked_at: datetime) -> None:
    columns = scheduled_events.c
    is_older = (which, columns.source == source, columns.seen_at < asked_at)
    connection.execute(sa.update(scheduled_events).where(*is_older).values(seen_at=asked_at))


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def _select(*conditions: Any) -> sa.Select[Any]:
    return sa.select(*EVENT_COLUMNS).where(*conditions)


def event_of(row: sa.RowMapping) -> Event:
    """The event in a row that holds all of EVENT_COLUMNS."""
    return Event.model_validate(dict(row) | {"participants": row["participants"] or ()})
