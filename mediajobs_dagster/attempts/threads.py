"""Several attempts side by side: each thread claims a job, makes its attempt, and claims the next one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from mediajobs_dagster.attempts.outcome import Interrupted

_STOP_S = 10.0
"""How long to wait, after an interrupt, for attempts to be put on record: they end within a second or so, unless the
network or the disk hangs."""
_LOOK_S = 0.02

_log = logging.getLogger(__name__)


class AttemptThreads:
    """Threads that repeat the same work until there is no more.

    `work` is called over and over, in each of `size` threads, until it returns False. `end_all` makes the calls that
    are under way come to their end, with the error that it is given.
    """

    def __init__(self, size: int, work: Callable[[], bool], end_all: Callable[[Interrupted], None]) -> None:
        self._work, self._end_all = work, end_all
        self._interrupted = False
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._live, name=f"mediajobs-attempt-{number}", daemon=True)
            for number in range(size)
        ]

    def run(self) -> None:
        """Let them work, and wait in this thread for all of them.

        An exception ends one thread and not the others, and is raised when they are through. Whatever interrupts this
        thread meanwhile (KeyboardInterrupt, a run's termination) ends all of them at once.
        """
        try:
            for thread in self._threads:
                thread.start()
            # Not join: interrupted while it waits, it would take a thread that lives for one that has ended.
            raised = [self._ended.get() for _ in self._threads]
        except BaseException:
            self._interrupt()
            self._wait_for_end()
            raise
        errors = [error for error in raised if error is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, Exception)), errors[0])

    def _live(self) -> None:
        error: BaseException | None = None
        try:
            while not self._interrupted and self._work():
                pass
        except BaseException as raised:  # noqa: BLE001  # it is raised again in the thread that waits
            error = raised
            if not isinstance(raised, Exception):
                self._interrupt()  # an interrupt in one of them is meant for all
        finally:
            self._ended.put(error)

    def _interrupt(self) -> None:
        self._interrupted = True
        self._end_all(Interrupted())

    def _wait_for_end(self) -> None:
        give_up = time.monotonic() + _STOP_S
        while any(thread.is_alive() for thread in self._threads):
            if time.monotonic() > give_up:
                # They are daemons, so the process can end; their jobs are found by their leases.
                _log.warning("An attempt does not end within %g s of an interrupt, and is left to itself.", _STOP_S)
                return
            time.sleep(_LOOK_S)
