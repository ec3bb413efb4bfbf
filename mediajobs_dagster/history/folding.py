"""Adds single counts to the totals.

A transaction that ends an attempt or adds jobs counts in rows of its own, so that it waits for no other: see
`schema.py`. Every so often, one of these writers folds the rows into the totals. Readers add up both, so no figure
depends on when that happens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import DatabaseBusyError, DatabaseUnavailableError, DiskFullError
from mediajobs_dagster.history.database import Database, insert_or_add
from mediajobs_dagster.history.figures import SOURCES, Figures, figures_of
from mediajobs_dagster.history.schema import (
    job_counts,
    metric_entries,
    metric_hosts,
    metric_series,
    metric_totals,
    upload_days,
)
from mediajobs_dagster.history.spans import SPANS_S, class_of, start_of

_TURN = "00"
"""Ids end in two random hexadecimal digits: one in 256 ends in these."""
_AT_ONCE = 2_000
"""Rows folded at once: far more than gather between two turns, and few enough to take no noticeable time."""

_SERIES = 10
"""So many times as many rows of series: an attempt leaves some twenty."""


def fold_in_turn(database: Database, row_id: str) -> None:
    """Fold if the id of the row that was just written says so. Call it when the row is committed."""
    if not row_id.endswith(_TURN):
        return
    try:
        fold(database)
    except (DatabaseBusyError, DatabaseUnavailableError, DiskFullError):
        return  # the row is committed, and the counts wait for the next turn


def fold(database: Database, *, limit: int = _AT_ONCE) -> int:
    """Fold up to `limit` rows of each table; returns the most of one table. If that is `limit`, there may be more."""
    with database.write() as connection:
        entries = _take(connection, metric_entries, limit=limit)
        _add(connection, metric_totals, _totals(entries))
        _add(connection, metric_hosts, _hosts(entries))
        if database.is_sqlite:
            return len(entries)  # its triggers count in slot 0 to begin with
        slots = [_fold_slots(connection, table, limit=limit) for table in (job_counts, upload_days)]
        slots.append(_fold_slots(connection, metric_series, limit=limit * _SERIES) // _SERIES)
    return max(len(entries), *slots)


def _take(
    connection: sa.Connection, table: sa.Table, *, limit: int, where: Sequence[sa.ColumnElement[bool]] = ()
) -> Sequence[sa.RowMapping]:
    # Another process that folds at the same time takes other rows. Rows not committed yet are left for the next time.
    key = list(table.primary_key)
    chosen = sa.select(*key).where(*where).order_by(*key).limit(limit).with_for_update(skip_locked=True).cte("chosen")
    is_chosen = sa.tuple_(*key).in_(sa.select(chosen))
    return connection.execute(sa.delete(table).where(is_chosen).returning(*table.c)).mappings().all()


Sums = dict[tuple[Any, ...], list[int]]


def _totals(entries: Iterable[sa.RowMapping]) -> Sums:
    sums: Sums = defaultdict(lambda: [0] * (1 + len(Figures._fields)))
    for entry in entries:
        figures = figures_of([entry[name] for name in SOURCES])
        _count(sums[*_key(entry), class_of(entry["duration_ms"])], 1, *figures)
    return _in_all_spans(sums)


def _hosts(entries: Iterable[sa.RowMapping]) -> Sums:
    sums: Sums = defaultdict(lambda: [0])
    for entry in entries:
        if entry["host"] is not None:
            _count(sums[*_key(entry), entry["host"]], 1)
    return _in_all_spans(sums)


def _key(entry: sa.RowMapping) -> tuple[Any, ...]:
    start = start_of(entry["created_at"], SPANS_S[0])
    return start, entry["job_name"], entry["status"], entry["error_code"] or ""


def _in_all_spans(shortest: Sums) -> Sums:
    sums: Sums = {}
    for (start, *rest), figures in shortest.items():
        for span_s in SPANS_S:
            _count(sums.setdefault((span_s, start_of(start, span_s), *rest), [0] * len(figures)), *figures)
    return sums


def _count(total: list[int], *figures: int) -> None:
    for index, figure in enumerate(figures):
        total[index] += figure


def _fold_slots(connection: sa.Connection, table: sa.Table, *, limit: int) -> int:
    taken = _take(connection, table, limit=limit, where=[table.c.slot != 0])
    names = [column.name for column in table.primary_key if column.name != "slot"]
    figures = [column.name for column in table.c if not column.primary_key]
    sums: Sums = defaultdict(lambda: [0] * len(figures))
    for row in taken:
        _count(sums[*(row[name] for name in names), 0], *(row[name] for name in figures))
    _add(connection, table, sums)
    return len(taken)


def _add(connection: sa.Connection, table: sa.Table, sums: Sums) -> None:
    if not sums:
        return
    names = [column.name for column in table.c]  # the key comes first, in the table as in `sums`
    # All processes add in the order of the keys, so that two that fold at once cannot deadlock.
    rows = [dict(zip(names, (*key, *figures), strict=True)) for key, figures in sorted(sums.items())]
    insert_or_add(connection, table, rows)
