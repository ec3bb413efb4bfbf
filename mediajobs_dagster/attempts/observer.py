"""Who wants to know what an attempt is doing while it does it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from typing_extensions import override

from mediajobs_dagster.models import Job, Progress

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.outcome import Outcome


class Observer:
    """Is told of each attempt's course; listens to nothing by default. Its methods must be quick and must not raise.

    Several attempts may be under way at once. They call from threads of their own, but never two at the same time.
    """

    def started(self, job: Job) -> None:
        """An attempt at `job` begins."""

    def stage(self, job: Job, name: str) -> None:
        """The attempt enters a stage."""

    def progress(self, job: Job, progress: Progress) -> None:
        """ffmpeg has come this far."""

    def ended(self, outcome: Outcome) -> None:
        """The attempt is over and on record."""


class OneAtATime(Observer):
    """Passes on to `listener` what several threads tell, one word after the other."""

    def __init__(self, listener: Observer) -> None:
        self._listener, self._lock = listener, Lock()

    @override
    def started(self, job: Job) -> None:
        with self._lock:
            self._listener.started(job)

    @override
    def stage(self, job: Job, name: str) -> None:
        with self._lock:
            self._listener.stage(job, name)

    @override
    def progress(self, job: Job, progress: Progress) -> None:
        with self._lock:
            self._listener.progress(job, progress)

    @override
    def ended(self, outcome: Outcome) -> None:
        with self._lock:
            self._listener.ended(outcome)
