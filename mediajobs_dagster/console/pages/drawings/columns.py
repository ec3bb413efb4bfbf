"""Columns of a chart: how much was done in each span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediajobs_dagster.use_cases.throughput import Slot

_GAP = 0.2
"""The share of a column's room that stays free."""


@dataclass(frozen=True)
class Column:
    """One column; all lengths in percent of the chart."""

    slot: Slot
    x: float
    width: float
    good: float
    bad: float
    """Heights; the bad part stands on top of the good one."""


@dataclass(frozen=True)
class Columns:
    """A chart."""

    columns: tuple[Column, ...]
    top: int
    """How many attempts are as high as the chart."""


def columns_of(slots: Sequence[Slot]) -> Columns:
    """The chart of these spans; skipped and cancelled attempts are not drawn."""
    top = max((each.good + each.bad for each in slots), default=0)
    room = 100 / max(1, len(slots))
    return Columns(
        tuple(
            Column(
                each,
                room * (index + _GAP / 2),
                room * (1 - _GAP),
                100 * each.good / max(1, top),
                100 * each.bad / max(1, top),
            )
            for index, each in enumerate(slots)
        ),
        top,
    )
