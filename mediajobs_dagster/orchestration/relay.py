"""Lets the ops of a run follow its work, stage by stage. The work itself is one: an attempt is claimed once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mediajobs_dagster.attempts.outcome import Interrupted
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.records import Record, StageEnded

_STOP_S = 15.0
"""How long to wait after an interrupt. The work itself waits ten seconds for its attempts to be recorded."""

_LOOK_S = 0.1
"""How long the waiting thread may overlook a signal."""

Work = Callable[[Cancellation], RunTotals]


class Relay:
    """The work of one run, which goes on in a thread of its own while one op after the other waits for its stage."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passed: set[str] = set()
        self._thread: threading.Thread | None = None
        self._stop = Cancellation()
        self._totals: RunTotals | None = None
        self._error: BaseException | None = None

    @property
    def is_new(self) -> bool:
        """Whether no op has started the work yet: the first of the run has to, or of those that are executed again."""
        return self._thread is None

    def start(self, work: Work) -> None:
        """Begin the work."""
        self._thread = threading.Thread(target=self._live, args=(work,), name="mediajobs-relay", daemon=True)
        self._thread.start()

    def take(self, record: Record) -> None:
        """Take a record of the work: a listener."""
        if isinstance(record, StageEnded) and record.status == "ok":
            with self._changed:
                self._passed.add(record.stage)
                self._changed.notify_all()

    def passed(self, stage: str) -> bool:
        """Wait until an attempt has passed a stage, or all are over; returns whether one has passed it.

        An interrupt of the waiting thread ends the work, and is raised when that is recorded.
        """
        self._wait(lambda: stage in self._passed or self._is_over)
        return stage in self._passed

    def totals(self) -> RunTotals:
        """Wait until the work is over; returns what it did, or raises what ended it."""
        self._wait(lambda: self._is_over)
        if self._error is not None:
            raise self._error
        assert self._totals is not None
        return self._totals

    def close(self) -> None:
        """End the work, if it goes on although no op waits for it any more."""
        if self._thread is not None and not self._is_over:
            self._interrupt()

    @property
    def _is_over(self) -> bool:
        return self._totals is not None or self._error is not None

    def _live(self, work: Work) -> None:
        try:
            totals, error = work(self._stop), None
        except BaseException as raised:  # noqa: BLE001  # it is raised again in the thread of the op that waits
            totals, error = None, raised
        with self._changed:
            self._totals, self._error = totals, error
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        try:
            with self._changed:
                # Looked at from time to time: a signal that another thread is given does not end a wait.
                while not self._changed.wait_for(condition, _LOOK_S):
                    pass
        except BaseException:
            self._interrupt()
            raise

    def _interrupt(self) -> None:
        self._stop.cancel(Interrupted())
        if self._thread is not None:
            self._thread.join(_STOP_S)
