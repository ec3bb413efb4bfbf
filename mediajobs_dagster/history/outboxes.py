"""What every outbox does alike: rows that are due are claimed by one sender each, and come back if it dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.clock import db_now


@dataclass(frozen=True)
class Outbox:
    """What waits to be sent."""

    messages: int
    first_at: datetime | None
    """When the first of them was written; None: there is none."""


def claim_due(
    connection: sa.Connection,
    table: sa.Table,
    due: Sequence[sa.ColumnElement[bool]],
    columns: Sequence[sa.ColumnElement[Any]],
    *,
    until: datetime | sa.ColumnElement[datetime],
    limit: int = 1,
) -> Sequence[sa.RowMapping]:
    """Take the rows that have been due the longest. One statement, so no two senders get the same.

    A sender that dies before it says what came of them loses them at `until`. The table has the columns `due_at` and
    `id`; if it has `tries`, these are counted.
    """
    first = (
        sa.select(table.c.id)
        .where(*due)
        .order_by(table.c.due_at, *table.primary_key)
        .limit(limit)
        .with_for_update(skip_locked=True, of=table)
        .cte("first")
    )
    change: dict[str, Any] = {"due_at": until}
    if "tries" in table.c:
        change["tries"] = table.c.tries + 1
    taken = sa.update(table).where(table.c.id.in_(sa.select(first.c.id))).values(**change).returning(*columns)
    return connection.execute(taken).mappings().all()


def claim_first(
    connection: sa.Connection,
    table: sa.Table,
    due: Sequence[sa.ColumnElement[bool]],
    columns: Sequence[sa.ColumnElement[Any]],
    *,
    until: datetime,
) -> sa.RowMapping | None:
    """The one that has been due the longest, as `claim_due`; None: none is."""
    return next(iter(claim_due(connection, table, due, columns, until=until)), None)


def now_of(connection: sa.Connection) -> datetime:
    """The present moment by the database's clock."""
    found = connection.scalar(sa.select(db_now()))
    assert found is not None  # it is one row
    return found


def in_seconds(now: datetime, seconds: float) -> datetime:
    """So many seconds after a moment."""
    return now + timedelta(seconds=seconds)
