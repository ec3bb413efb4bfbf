"""How far an attempt is: one fraction that never falls, over everything between its claim and its record."""

from __future__ import annotations

import time
from collections.abc import Callable

from mediajobs_dagster.attempts.recorder import Stage
from mediajobs_dagster.models import Progress

STEPS = "steps"
"""All steps of a plan together, in the terms of `within`."""

_SHARES: dict[str, tuple[float, float]] = {
    Stage.FETCH: (0.0, 0.05),
    STEPS: (0.05, 0.88),
    Stage.VERIFY: (0.88, 0.96),
    Stage.PUBLISH: (0.96, 1.0),
}
"""Where each part begins and ends. The others take no time worth telling."""
_TELLING_S = 0.02
"""Before this share of the way, a guess at what is left would mislead."""


class ProgressMeter:
    """Turns the progress of single commands and transfers into that of the attempt, and tells it."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._started = time.monotonic()
        self._fraction = 0.0

    def within(self, part: str, share: float | None, progress: Progress | None = None) -> None:
        """So much of a stage, or of the steps, is done; None: nobody knows.

        `progress` is that of the command that is running.
        """
        begin, end = _SHARES.get(part, (0.0, 0.0))
        known = share is not None
        if share is not None:
            self._fraction = max(self._fraction, begin + (end - begin) * min(1.0, max(0.0, share)))
        passed = time.monotonic() - self._started
        left = passed * (1 - self._fraction) / self._fraction if self._fraction > _TELLING_S else None
        self._tell(
            Progress(
                fraction=self._fraction if known else None,
                speed=progress.speed if progress else None,
                eta_s=left if known else None,
                out_seconds=progress.out_seconds if progress else 0.0,
            )
        )
