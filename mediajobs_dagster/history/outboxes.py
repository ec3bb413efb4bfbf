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


def claim_first(
    connection: sa.Connection,
    table: sa.Table,
    due: Sequence[sa.ColumnElement[bool]],
    columns: Sequence[sa.ColumnElement[Any]],
    *,
    until: datetime,
) -> sa.RowMapping | None:
    """Take the row that has been due the longest; None: none is. One statement, so no two senders get the same.

    A sender that dies before it says what came of it loses the row at `until`. The table has the columns `due_at`,
    `tries`, and `id`.
    """
    first = (
        sa.select(table.c.id)
        .where(*due)
        .order_by(table.c.due_at, *table.primary_key)
        .limit(1)
        .with_for_update(skip_locked=True, of=table)
        .cte("first")
    )
    taken = (
        sa.update(table)
        .where(table.c.id.in_(sa.select(first.c.id)))
        .values(due_at=until, tries=table.c.tries + 1)
        .returning(*columns)
    )
    return connection.execute(taken).mappings().one_or_none()


def now_of(connection: sa.Connection) -> datetime:
    """The present moment by the database's clock."""
    found = connection.scalar(sa.select(db_now()))
    assert found is not None  # it is one row
    return found


def in_seconds(now: datetime, seconds: float) -> datetime:
    """So many seconds after a moment."""
    return now + timedelta(seconds=seconds)
