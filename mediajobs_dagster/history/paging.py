"""Pages of lists, by key and never by offset: a page far down costs no more than the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError


class Dated(Protocol):
    """A row with a position in a list by time."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...


Row = TypeVar("Row", bound=Dated)


Conditions = list[sa.ColumnElement[bool]]


def newest_first(table: sa.Table, statement: sa.Select[Any], *, limit: int) -> sa.Select[Any]:
    """At most `limit` rows, the newest first; ids break ties."""
    return statement.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)


def newest_of(
    connection: sa.Connection,
    table: sa.Table,
    columns: Sequence[sa.ColumnElement[Any]],
    alternatives: Sequence[Conditions],
    *,
    limit: int,
) -> list[sa.RowMapping]:
    """At most `limit` rows that match one of the alternatives, the newest first. No row may match two of them.

    Each alternative is a query of its own: an index has the rows of one status in the order of the list, but rows of
    several would have to be sorted, or searched for among all others.
    """
    found: list[sa.RowMapping] = []
    for conditions in alternatives:
        statement = newest_first(table, sa.select(*columns).where(*conditions), limit=limit)
        found += connection.execute(statement).mappings()
    if len(alternatives) > 1:
        found.sort(key=lambda row: (row[table.c.created_at], row[table.c.id]), reverse=True)
    return found[:limit]


def starting_after(
    connection: sa.Connection, table: sa.Table, after: str | None, column: str = "created_at"
) -> Conditions:
    """The condition for rows after the one with the id `after`, the newest first; none for the first page.

    `column` has the moments of the rows. Raises NotFoundError when there is no such row any more.
    """
    if after is None:
        return []
    moment = connection.scalar(sa.select(table.c[column]).where(table.c.id == after))
    if moment is None:
        raise NotFoundError(f"The row {after}, after which the page should start, is gone. Start at the first page.")
    return [older_than(table, moment, after, column)]


def older_than(table: sa.Table, moment: datetime, row_id: str, column: str = "created_at") -> sa.ColumnElement[bool]:
    """Whether a row comes after the given position in a list with the newest first; `column` has its moments."""
    return sa.tuple_(table.c[column], table.c.id) < _position(table.c[column], moment, row_id)


def newer_than(
    table: sa.Table, created_at: datetime, row_id: str, column: str = "created_at"
) -> sa.ColumnElement[bool]:
    """Whether a row comes after the given position in a list with the oldest first; `column` has its moments."""
    return sa.tuple_(table.c[column], table.c.id) > _position(table.c[column], created_at, row_id)


def _position(moments: sa.Column[Any], moment: datetime, row_id: str) -> sa.Tuple:
    return sa.tuple_(sa.literal(moment, moments.type), sa.literal(row_id))


def pages(fetch: Callable[[Row | None], Sequence[Row]]) -> Iterator[Row]:
    """Yield every row. `fetch` returns the page after a row (None: the first page); an empty page is the end.

    No transaction stays open between pages, so a slow reader blocks nobody.
    """
    page = fetch(None)
    while page:
        yield from page
        page = fetch(page[-1])


def of_day(table: sa.Table, day: date) -> tuple[sa.ColumnElement[bool], ...]:
    """The rows created on a UTC day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return table.c.created_at >= start, table.c.created_at < start + timedelta(days=1)
