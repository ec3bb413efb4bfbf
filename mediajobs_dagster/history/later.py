"""When something is written that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable

Later = Callable[[Callable[[], None]], None]
"""Has a piece of work done some time, or not at all."""


def at_once(work: Callable[[], None]) -> None:
    """Do it now."""
    work()


def never(work: Callable[[], None]) -> None:
    """Leave it."""
    del work
