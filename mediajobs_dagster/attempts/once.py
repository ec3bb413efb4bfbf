"""Parts that are made when they are first needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar

Part = TypeVar("Part")


class Once(Generic[Part]):
    """A part that is made when somebody first asks for it, once a process. Threads may ask at the same time.

    After a failure, the next one to ask tries again. A forked process makes its own: connections do not survive a fork.
    """

    def __init__(self, make: Callable[[], Part]) -> None:
        self._make = make
        self._lock = RLock()
        self._made: tuple[int, Part] | None = None

    def get(self) -> Part:
        """The part. Raises whatever making it raises."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._make())
            return self._made[1]

    def forget(self) -> Part | None:
        """The part, for the caller to close; None: this process has not made it. The next one to ask gets a new one."""
        with self._lock:
            made, self._made = self._made, None
            return made[1] if made and made[0] == os.getpid() else None
