"""Whatever happens to a queue, and in whatever order, no job is lost or done twice."""

from __future__ import annotations

from mediajobs_dagster.history import History
from tests.resilience.machine import play


def test_any_sequence_keeps_what_holds(history: History) -> None:
    """A few short games on each engine; `machine.py` says how to play many."""
    play(history, games=8, steps=25)
