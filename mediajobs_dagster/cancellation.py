"""Two ways to end work early: a token that another thread cancels, and a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock

from mediajobs_dagster.errors import DeadlineError, MediaJobsError


class Cancellation:
    """A token that the work checks. The caller of `cancel` chooses the error that the work ends with. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._error: MediaJobsError | None = None
        self._waiting: list[Callable[[], None]] = []

    def cancel(self, error: MediaJobsError) -> None:
        """Ask the work to end with `error` (CancelledError, WorkerLostError, …). Only the first call counts."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            waiting = list(self._waiting)
        for wake in waiting:
            wake()

    @property
    def error(self) -> MediaJobsError | None:
        """The error that the work was cancelled with; None while it may go on."""
        return self._error

    def check(self) -> None:
        """Raise the error that the work was cancelled with, if it was."""
        if self._error is not None:
            raise self._error

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Generator[None]:
        """Call `wake` if the work is cancelled inside this block, to end a wait that cannot check the token.

        `wake` runs in the cancelling thread, or at once in this one if the work was cancelled before.
        It must not raise.
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


def pause(seconds: float, cancellation: Cancellation, deadline: Deadline) -> None:
    """Wait for `seconds`. Raises the error of the cancellation, or DeadlineError, as soon as there is one."""
    is_cancelled = Event()
    with cancellation.waking(is_cancelled.set):
        is_cancelled.wait(min(seconds, deadline.left_s))
    cancellation.check()
    deadline.check()


@dataclass(frozen=True)
class Deadline:
    """A moment by which work has to be done."""

    at: float
    """On the clock of `time.monotonic`, seconds."""
    limit_s: float
    """The time that the work was given in all, seconds."""

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def left_s(self) -> float:
        """Seconds left; 0 once the deadline has passed."""
        return max(0.0, self.at - time.monotonic())

    def check(self) -> None:
        """Raise DeadlineError once the deadline has passed."""
        if self.left_s == 0.0:
            raise DeadlineError(f"The work took longer than its time limit of {self.limit_s:g} s and was stopped.")

    def earliest(self, seconds: float | None) -> Deadline:
        """This deadline, or the one `seconds` from now if that comes first."""
        return self if seconds is None or seconds >= self.left_s else Deadline.after(seconds)
