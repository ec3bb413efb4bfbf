"""The timelines that were asked for, as they were then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history.database import Database, insert_new
from mediajobs_dagster.history.paging import newer_than, of_day, pages
from mediajobs_dagster.history.schema import timelines
from mediajobs_dagster.models import Timeline

_PAGE = 100
_COLUMNS = tuple(timelines.c[name] for name in Timeline.model_fields)


def have_it_stay(connection: sa.Connection, timeline: Timeline) -> None:
    """Have a timeline there, and let nobody remove it before the transaction ends.

    So a job can be enqueued on one that a clean-up is about to remove, because until now no job was about it.
    """
    held = sa.select(timelines.c.id).where(timelines.c.etag == timeline.etag).with_for_update(read=True)
    while True:
        insert_new(connection, timelines, [timeline.model_dump() | {"title": timeline.title}])
        if connection.scalar(held) is not None:  # else it was removed in between
            return


class Timelines:
    """Reads and writes the timelines table."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, timeline: Timeline) -> Timeline:
        """Store a timeline. The same edit of the same content is stored once: the first one is returned."""
        with self._database.write() as connection:
            insert_new(connection, timelines, [timeline.model_dump() | {"title": timeline.title}])
            statement = sa.select(*_COLUMNS).where(timelines.c.etag == timeline.etag)
            return _timeline_of(connection.execute(statement).mappings().one())

    def get(self, timeline_id: str) -> Timeline:
        """The timeline with this id. Raises NotFoundError."""
        with self._database.read() as connection:
            statement = sa.select(*_COLUMNS).where(timelines.c.id == timeline_id)
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no timeline {timeline_id}.")
        return _timeline_of(row)

    def of_day(self, day: date) -> Iterator[Timeline]:
        """The timelines first asked for on a UTC day, oldest first."""

        def fetch(last: Timeline | None) -> list[Timeline]:
            ordered = (
                sa.select(*_COLUMNS).where(*of_day(timelines, day)).order_by(timelines.c.created_at, timelines.c.id)
            )
            statement = ordered.limit(_PAGE)
            if last is not None:
                statement = statement.where(newer_than(timelines, last.created_at, last.id))
            with self._database.read() as connection:
                return [_timeline_of(row) for row in connection.execute(statement).mappings()]

        return pages(fetch)


def _timeline_of(row: sa.RowMapping) -> Timeline:
    return Timeline.model_validate(dict(row))
