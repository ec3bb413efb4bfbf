"""The progress of an attempt: one fraction from claim to record. It never falls."""

from __future__ import annotations

import time
from collections.abc import Callable

from mediajobs_dagster.attempts.recorder import Stage
from mediajobs_dagster.models import Progress

STEPS = "steps"
"""The part of `within` that stands for all steps of a plan together."""

_SHARES: dict[str, tuple[float, float]] = {
    Stage.FETCH: (0.0, 0.05),
    STEPS: (0.05, 0.88),
    Stage.VERIFY: (0.88, 0.96),
    Stage.PUBLISH: (0.96, 1.0),
}
"""Where each part begins and ends. Other parts take too little time to count."""
_TELLING_S = 0.02
"""Below this fraction, an estimate of the time left would mislead."""


class ProgressMeter:
    """Turns the progress of single commands and transfers into progress of the attempt, and reports it."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._started = time.monotonic()
        self._fraction = 0.0

    def within(self, part: str, share: float | None, progress: Progress | None = None) -> None:
        """Report that `share` (0 to 1; None: unknown) of `part`, a stage or STEPS, is done.

        `progress` is the progress of the running command.
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
