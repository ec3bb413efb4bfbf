"""Remembers which attempts have begun and are not logged yet, so that the death of a process costs the log no entry.

There is a file for each of them, which its process holds locked while it lives. Of one that was killed, the files stay
behind, without a lock; so do those of attempts for whose entry the disk had no room.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from mediajobs_dagster.errors import DiskFullError


class Unlogged:
    """A folder of such files. Processes of one machine share it; threads have to take turns."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; the first attempt creates it."""
        self._folder = folder
        self._held: dict[str, int] = {}

    def begin(self, attempt_id: str) -> None:
        """Remember an attempt of this process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._folder / attempt_id, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._held[attempt_id] = file

    @contextmanager
    def ending(self, attempt_id: str) -> Generator[None]:
        """Log an attempt of this process in the block. Afterwards it is forgotten, whether or not that succeeded.

        But if the disk was full, it is left behind: it has room again some day.
        """
        is_left = False
        try:
            yield
        except DiskFullError:
            is_left = True
            raise
        finally:
            if (file := self._held.pop(attempt_id, None)) is not None:
                if not is_left:
                    (self._folder / attempt_id).unlink(missing_ok=True)
                os.close(file)

    def left_behind(self) -> Iterator[str]:
        """The attempts that were left behind, one after the other; meanwhile no other process finds the same one."""
        for path in self._folder.glob("*"):
            try:
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():  # else it was logged between the two calls
                    yield path.name
            except BlockingIOError:
                continue  # its process lives
            finally:
                os.close(file)

    def forget(self, attempt_id: str) -> None:
        """Forget an attempt that was left behind."""
        (self._folder / attempt_id).unlink(missing_ok=True)
