"""What ends work before it is done: a token that another thread cancels, and a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from mediajobs_dagster.errors import DeadlineError, MediaJobsError


class Cancellation:
    """Handed to the work; whoever calls `cancel` decides with which error it ends. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._error: MediaJobsError | None = None
        self._waiting: list[Callable[[], None]] = []

    def cancel(self, error: MediaJobsError) -> None:
        """Ask the work to end with `error` (CancelledError, WorkerLostError, …). The first call counts."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            waiting = list(self._waiting)
        for wake in waiting:
            wake()

    @property
    def error(self) -> MediaJobsError | None:
        """What the work was cancelled with; None while it may go on."""
        return self._error

    def check(self) -> None:
        """Raise the error that the work was cancelled with, if it was."""
        if self._error is not None:
            raise self._error

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Generator[None]:
        """Call `wake` if the work is cancelled inside this block: it ends a wait that cannot look at the token.

        `wake` is called from the cancelling thread, at once if the work is cancelled already; it must not raise.
        """
        with self._lock:
            self._waiting.append(wake)
            is_late = self._error is not None
        if is_late:
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.remove(wake)


@dataclass(frozen=True)
class Deadline:
    """A moment by which work has to be done."""

    at: float
    """On the clock of `time.monotonic`, seconds."""
    limit_s: float
    """How long the work was given in all, seconds."""

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline so many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 when it is over."""
        return max(0.0, self.at - time.monotonic())

    def check(self) -> None:
        """Raise DeadlineError when the time is over."""
        if self.left_s == 0.0:
            raise DeadlineError(f"The work took longer than its time limit of {self.limit_s:g} s and was stopped.")

    def earliest(self, seconds: float | None) -> Deadline:
        """This deadline, or the one `seconds` from now if that comes first."""
        return self if seconds is None or seconds >= self.left_s else Deadline.after(seconds)
