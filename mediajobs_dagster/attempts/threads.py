"""Threads that make several attempts at once: each claims a job, makes the attempt, and claims the next job."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from mediajobs_dagster.attempts.outcome import Interrupted

_STOP_S = 10.0
"""How long to wait after an interrupt until all attempts are recorded. They end within about a second, unless the
network or the disk hangs."""
_POLL_S = 0.02
_LOOK_S = 0.1
"""How long the waiting thread may overlook a signal."""

_log = logging.getLogger(__name__)


class AttemptThreads:
    """Threads that repeat the same work until there is no more.

    Each of `size` threads calls `work` until it returns False. `end_all` makes the calls that are under way end with
    the error that it gets.
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
        """Start the threads, and wait for all of them.

        An exception ends its own thread only, and is raised here when all threads have ended. An interrupt
        (KeyboardInterrupt, the termination of a run), of the waiting thread or in one of these, ends all of them at
        once; one that hangs is not waited for.
        """
        try:
            for thread in self._threads:
                thread.start()
            raised = self._ends()
        except BaseException:
            self.interrupt()
            self._wait_for_end()
            raise
        errors = [error for error in raised if error is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, Exception)), errors[0])

    def _ends(self) -> list[BaseException | None]:
        """What the threads ended with: all of them, or after an interrupt in one of them those that end soon."""
        raised = list[BaseException | None]()
        # Not `join`: after an interrupt, it would report a living thread as ended. A signal that another thread is
        # given, or one that comes just before a wait begins, does not end the wait.
        while len(raised) < len(self._threads) and not self._interrupted:
            with suppress(Empty):
                raised.append(self._ended.get(timeout=_LOOK_S))
        if self._interrupted:
            self._wait_for_end()
            while not self._ended.empty():
                raised.append(self._ended.get())
        return raised

    def _live(self) -> None:
        error: BaseException | None = None
        try:
            while not self._interrupted and self._work():
                pass
        except BaseException as raised:  # noqa: BLE001  # it is raised again in the thread that waits
            error = raised
            if not isinstance(raised, Exception):
                self.interrupt()  # an interrupt in one thread is meant for all
        finally:
            self._ended.put(error)

    def interrupt(self) -> None:
        """End all attempts that are under way, and begin no others; from any thread."""
        self._interrupted = True
        self._end_all(Interrupted())

    def _wait_for_end(self) -> None:
        give_up = time.monotonic() + _STOP_S
        while any(thread.is_alive() for thread in self._threads):
            if time.monotonic() > give_up:
                # The threads are daemons, so the process can end. Their jobs come back when the leases run out.
                _log.warning(
                    "An attempt did not end within %g s of an interrupt. Its job comes back when its lease runs out.",
                    _STOP_S,
                )
                return
            time.sleep(_POLL_S)
