"""What is measured, summed up: one row for each metric, its labels and its class of duration.

Whoever ends an attempt adds what it measured in the transaction that records the end, so what is counted is what is on
record: no worker that dies takes a figure with it, and none is counted twice. What happens to jobs is counted by
triggers (`migrations/measuring.py`). On PostgreSQL each transaction has rows of its own, its slot, as all counts have;
`folding.py` adds them up.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import metric_series

BOUNDS_MS = (
    *(5, 10, 25, 50, 100, 250, 500),
    *(1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000, 86_400_000),
)
"""The upper bounds of the classes of duration, milliseconds; what is longer is in a last class of its own.

The triggers have them too, so a change needs a migration.
"""
COUNTED = -1
"""The class of what has no duration."""
OTHER = "other"
"""What stands for a value of a label that is not known, or no name."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Measure(NamedTuple):
    """What is added to one row."""

    name: str
    """The metric, such as `worker.stage_latency_ms`."""
    labels: str
    """Its labels, as `labelled` writes them."""
    duration_class: int
    """Where in `BOUNDS_MS` its durations are, or COUNTED."""
    number: int
    sum_ms: int


class Tally:
    """Counts and durations, added up until they are written."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, int], list[int]] = {}

    def count(self, name: str, number: int = 1, /, **labels: str) -> None:
        """Count something."""
        self._add(name, labels, COUNTED, number, 0)

    def time(self, name: str, duration_ms: int, /, **labels: str) -> None:
        """Count something that took so many milliseconds."""
        self._add(name, labels, bisect_left(BOUNDS_MS, duration_ms), 1, duration_ms)

    def _add(self, name: str, labels: dict[str, str], duration_class: int, count: int, sum_ms: int) -> None:
        sums = self._sums.setdefault((name, labelled(labels), duration_class), [0, 0])
        sums[0] += count
        sums[1] += sum_ms

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was counted, in the order in which it is written."""
        return tuple(Measure(*key, *sums) for key, sums in sorted(self._sums.items()))


def labelled(labels: dict[str, str]) -> str:
    """Labels as they are stored: `stage=fetch,code=STALLED`. What is no name is stored as `other`.

    So neither an address nor a sentence can become a label.
    """
    return _joined(tuple(labels.items()))


@lru_cache(maxsize=1000)  # few differ, and each attempt has some twenty
def _joined(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{name}={value if _NAME.fullmatch(value) else OTHER}" for name, value in labels)


def labels_of(stored: str) -> dict[str, str]:
    """The labels in what is stored."""
    return dict(part.split("=", 1) for part in stored.split(",") if "=" in part)


class Series:
    """Reads the sums."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def all(self) -> list[Measure]:
        """Every sum, ordered by name and labels. Their number depends on the labels there are, not on the jobs."""
        columns = metric_series.c
        key = (columns.name, columns.labels, columns.duration_class)
        statement = sa.select(*key, sa.func.sum(columns.count), sa.func.sum(columns.sum_ms)).group_by(*key)
        with self._database.read() as connection:
            return [
                Measure(name, labels, duration_class, int(number), int(sum_ms))
                for name, labels, duration_class, number, sum_ms in connection.execute(statement.order_by(*key))
            ]

    def add(self, measures: Sequence[Measure]) -> None:
        """Add some that belong to no other record; nothing is written if there are none."""
        if measures:
            with self._database.write() as connection:
                add_measures(connection, measures)


def add_measures(connection: sa.Connection, measures: Sequence[Measure]) -> None:
    """Add them, within a transaction of the caller: one statement, in the order of the keys."""
    if not measures:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(_ON_SQLITE, [each._asdict() for each in measures])
    else:
        by_column = zip(Measure._fields, zip(*measures, strict=True), strict=True)
        columns = {f"all_{name}": list(column) for name, column in by_column}
        connection.execute(_ON_POSTGRES, columns)


# As text, because composing so long a statement takes longer than executing it.
_ADDING = """ON CONFLICT (name, labels, duration_class, slot) DO UPDATE SET
    count = metric_series.count + excluded.count, sum_ms = metric_series.sum_ms + excluded.sum_ms"""
_ON_SQLITE = sa.text(
    "INSERT INTO metric_series (name, labels, duration_class, slot, count, sum_ms) "
    f"VALUES (:name, :labels, :duration_class, 0, :number, :sum_ms) {_ADDING}"
)
_ON_POSTGRES = sa.text(
    "INSERT INTO metric_series (name, labels, duration_class, slot, count, sum_ms) "
    "SELECT name, labels, duration_class, txid_current(), count, sum_ms FROM unnest("
    "CAST(:all_name AS text[]), CAST(:all_labels AS text[]), CAST(:all_duration_class AS integer[]), "
    "CAST(:all_number AS bigint[]), CAST(:all_sum_ms AS bigint[])"
    f") AS added (name, labels, duration_class, count, sum_ms) {_ADDING}"
)
