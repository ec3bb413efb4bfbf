"""Lets an attempt have its machine to itself: it waits for the others, and others wait for it.

Two files in MEDIAJOBS_HOME are locked, by all processes of this machine that use it. The kernel takes the locks back
from a process that dies. Who wants to be alone closes the gate first, so that it waits only for those that are at work.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from mediajobs_dagster.cancellation import Cancellation

_GATE, _ROOM = "attempts.gate", "attempts.lock"
_POLL_S = 0.1

_log = logging.getLogger(__name__)

Waiting = Callable[[], AbstractContextManager[object]]
"""Returns the context in which an attempt waits."""


@contextmanager
def machine_turn(folder: Path, cancel: Cancellation, *, alone: bool, waiting: Waiting = nullcontext) -> Generator[None]:
    """Hold the machine inside the block: together with others, or `alone`.

    It waits inside the context that `waiting` returns. Raises the error of the cancellation. Where the files cannot be
    locked, it does not wait.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            gate, room = (held.enter_context(_opened(folder / name)) for name in (_GATE, _ROOM))
            how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            _lock(gate, how, cancel, waiting)
            _lock(room, how, cancel, waiting)
            if not alone:
                fcntl.flock(gate, fcntl.LOCK_UN)
        except OSError as error:  # a home that cannot be written to is a fault of its own, which others tell
            _log.warning("Attempts on this machine cannot wait for each other: %s", error)
        yield


@contextmanager
def _opened(path: Path) -> Generator[int]:
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield file
    finally:
        os.close(file)  # which unlocks it


def _lock(file: int, how: int, cancel: Cancellation, waiting: Waiting) -> None:
    if _is_locked(file, how):
        return
    with waiting():
        while not _is_locked(file, how):
            cancel.check()
            time.sleep(_POLL_S)


def _is_locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
