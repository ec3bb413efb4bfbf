"""Ends one call to a service, whatever it is blocked in: at its deadline, or when the work is cancelled.

A socket's timeout is not enough. It starts anew with every byte, so a server that sends one byte a second keeps a call
open for ever; and another thread cannot shorten it. So the guard shuts the connection down from another thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from threading import Lock, Thread, Timer
from typing import Any, TypeVar

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.errors import OutOfMemoryError, ServiceTimeoutError

_T = TypeVar("_T")


class CallGuard:
    """Watches over one call, with all of its tries. Used by the thread that makes the call."""

    def __init__(self, cancellation: Cancellation, work: Deadline, limit_s: float | None, what: str) -> None:
        """`work` is the deadline of the work; `limit_s` limits this call alone; `what` names it in messages."""
        self._cancellation = cancellation
        self._work = work
        self._call = work.earliest(limit_s)
        self._what = what
        self._lock = Lock()
        self._ended: Future[None] = Future()
        self._held: socket.socket | None = None

    @property
    def left_s(self) -> float:
        """Seconds that are left to the call."""
        return self._call.left_s

    def check(self) -> None:
        """If the call is over, raise the error of the cancellation, DeadlineError or ServiceTimeoutError."""
        self._cancellation.check()
        if self._call.left_s == 0.0:
            self._work.check()
            raise ServiceTimeoutError(
                f"{self._what} took longer than {self._call.limit_s:g} s and was ended. Try again later."
            )

    @contextmanager
    def watching(self) -> Generator[None]:
        """Inside this block, end the call when it is over. Raises what `check` raises, and OutOfMemoryError."""
        self.check()
        timer = Timer(self.left_s, self._end)
        timer.daemon = True
        with _thread_errors_translated():
            timer.start()
        try:
            with self._cancellation.waking(self._end):
                yield
        finally:
            timer.cancel()
            self._swap(None)

    def hold(self, connection: socket.socket) -> None:
        """Watch this connection from now on, and no longer the one before."""
        # A duplicate, because TLS detaches the original and HTTP closes it as soon as the headers are read.
        # Only its number is taken: the connection may be TLS within TLS, which is no socket of Python's.
        self._swap(socket.socket(fileno=os.dup(connection.fileno())))

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`. Raises what `check` raises as soon as the call is over."""
        wait([self._ended], timeout=min(seconds, self.left_s))
        self.check()

    def beside(self, work: Callable[[], _T]) -> _T:
        """Run `work` in a thread of its own; return or raise what it does.

        As soon as the call is over, raises what `check` raises, and `work` is left to run on. For work that cannot be
        ended from another thread, such as looking up a name.
        """
        result: Future[_T] = Future()
        with _thread_errors_translated():
            Thread(target=_fill, args=(result, work), name="service-lookup", daemon=True).start()
        either: list[Future[Any]] = [result, self._ended]
        wait(either, timeout=self.left_s, return_when=FIRST_COMPLETED)
        self.check()
        return result.result()

    def _swap(self, connection: socket.socket | None) -> None:
        with self._lock:
            before, self._held = self._held, connection
            if self._ended.done():
                self._shut_down()
        if before is not None:
            before.close()

    def _end(self) -> None:
        with self._lock:
            if not self._ended.done():
                self._ended.set_result(None)
            self._shut_down()

    def _shut_down(self) -> None:
        if self._held is not None:
            with contextlib.suppress(OSError):  # not connected yet, or no longer
                self._held.shutdown(socket.SHUT_RDWR)


def _fill(result: Future[_T], work: Callable[[], _T]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits for it
        result.set_exception(error)


@contextmanager
def _thread_errors_translated() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:  # no more threads
        raise OutOfMemoryError(f"No thread could be started: {error}. Give the worker more processes.") from error
