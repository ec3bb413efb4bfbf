"""Ends one call of a service, whatever it is blocked in: at its deadline, or when the work is cancelled.

A timeout of a socket is not enough: it starts anew with every byte, so a server that sends one a second keeps a call
open for ever, and it cannot be shortened from another thread. So the guard shuts the connection down from outside.
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
        """`work` is the deadline of the work, `limit_s` of this call alone; `what` the call is, for messages."""
        self._cancellation = cancellation
        self._work = work
        self._call = work.earliest(limit_s)
        self._what = what
        self._lock = Lock()
        self._ended: Future[None] = Future()
        self._line: socket.socket | None = None

    @property
    def left_s(self) -> float:
        """Seconds that are left to the call."""
        return self._call.left_s

    def check(self) -> None:
        """Raise what the work was cancelled with, DeadlineError or ServiceTimeoutError, if the call is over."""
        self._cancellation.check()
        if self._call.left_s == 0.0:
            self._work.check()
            raise ServiceTimeoutError(
                f"{self._what} took longer than {self._call.limit_s:g} s and was given up. Try again later."
            )

    @contextmanager
    def watching(self) -> Generator[None]:
        """Inside this block, the call is ended when its time has come. Raises like `check`, and OutOfMemoryError."""
        self.check()
        timer = Timer(self.left_s, self._end)
        timer.daemon = True
        with _thread_at_hand():
            timer.start()
        try:
            with self._cancellation.waking(self._end):
                yield
        finally:
            timer.cancel()
            self._swap(None)

    def hold(self, line: socket.socket) -> None:
        """The connection that the call uses from now on, in place of the one before."""
        # A handle of its own: TLS takes the first one apart, and HTTP closes it as soon as the headers are read.
        handle = socket.socket(line.family, line.type, line.proto, fileno=os.dup(line.fileno()))
        self._swap(handle)

    def pause(self, seconds: float) -> None:
        """Wait so long. Raises like `check` as soon as the call is over."""
        wait([self._ended], timeout=min(seconds, self.left_s))
        self.check()

    def beside(self, work: Callable[[], _T]) -> _T:
        """What `work` returns or raises; raises like `check` as soon as the call is over, and leaves `work` to itself.

        For what cannot be shut down from outside, such as looking up a name.
        """
        result: Future[_T] = Future()
        with _thread_at_hand():
            Thread(target=_fill, args=(result, work), name="service-lookup", daemon=True).start()
        either: list[Future[Any]] = [result, self._ended]
        wait(either, timeout=self.left_s, return_when=FIRST_COMPLETED)
        self.check()
        return result.result()

    def _swap(self, line: socket.socket | None) -> None:
        with self._lock:
            before, self._line = self._line, line
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
        if self._line is not None:
            with contextlib.suppress(OSError):  # it was not connected yet, or is not any more
                self._line.shutdown(socket.SHUT_RDWR)


def _fill(result: Future[_T], work: Callable[[], _T]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  # handed on to whoever waits for it
        result.set_exception(error)


@contextmanager
def _thread_at_hand() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:  # no more threads
        raise OutOfMemoryError(f"No thread could be started: {error}. Give the worker more processes.") from error
