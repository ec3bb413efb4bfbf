"""A token that stops work from another thread."""

from __future__ import annotations

from threading import Lock

from mediajobs_dagster.errors import MediaJobsError


class Cancellation:
    """Handed to the work; whoever calls `cancel` decides with which error it ends. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._error: MediaJobsError | None = None

    def cancel(self, error: MediaJobsError) -> None:
        """Ask the work to end with `error` (CancelledError, WorkerLostError, …). The first call counts."""
        with self._lock:
            self._error = self._error or error

    @property
    def error(self) -> MediaJobsError | None:
        """What the work was cancelled with; None while it may go on."""
        return self._error

    def check(self) -> None:
        """Raise the error that the work was cancelled with, if it was."""
        if self._error is not None:
            raise self._error
