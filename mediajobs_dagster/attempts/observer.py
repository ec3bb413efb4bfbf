"""Who wants to know what an attempt is doing while it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediajobs_dagster.media.progress import Progress
from mediajobs_dagster.models import Job

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.outcome import Outcome


class Observer:
    """Is told of each attempt's course; listens to nothing by default. Its methods must be quick and must not raise."""

    def started(self, job: Job) -> None:
        """An attempt at `job` begins."""

    def stage(self, job: Job, name: str) -> None:
        """The attempt enters a stage."""

    def progress(self, job: Job, progress: Progress) -> None:
        """ffmpeg has come this far."""

    def ended(self, outcome: Outcome) -> None:
        """The attempt is over and on record."""
