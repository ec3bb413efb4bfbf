"""A pipe that a child process writes and a selectors loop reads."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from contextlib import suppress

_CHUNK_BYTES = 1 << 20
_STEP_BYTES = 1 << 16


class Pipe:
    """`take` gets the bytes as they come. A bulk pipe holds 1 MiB, and hands over pieces of that size.

    Only Linux can enlarge a pipe. Elsewhere, or over the user's limit, bulk data moves in smaller steps.
    """

    def __init__(self, take: Callable[[bytes], None], *, bulk: bool = False) -> None:
        self._take = take
        self._read_end, self._write_end = os.pipe()
        self._gathered = bytearray(_CHUNK_BYTES if bulk else 0)
        self._filled = 0
        self.was_full = False
        """Whether the last read found so much that the writer may have to wait soon."""
        self._capacity = _STEP_BYTES
        if bulk and sys.platform == "linux":
            with suppress(PermissionError):
                self._capacity = fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)

    def fileno(self) -> int:
        """The end to read: a pipe can be given to a selector as it is."""
        return self._read_end

    @property
    def write_end(self) -> int:
        """The end to give to the process."""
        return self._write_end

    def pump(self) -> bool:
        """Take what is there, at least a byte; False at the end. Blocks if nothing is there."""
        if not self._gathered:
            data = os.read(self._read_end, _STEP_BYTES)
            self.was_full = len(data) == _STEP_BYTES
            if data:
                self._take(data)
            return bool(data)
        # Programs write in steps of some 32 KiB. Gather these, so that the sink is called seldom.
        count = os.readv(self._read_end, [memoryview(self._gathered)[self._filled :]])
        self._filled += count
        self.was_full = count >= self._capacity // 2
        if self._filled and (not count or self._filled == len(self._gathered)):
            whole = bytes(memoryview(self._gathered)[: self._filled])
            self._filled = 0
            self._take(whole)
        return bool(count)

    def close_write_end(self) -> None:
        """Close our copy of the process's end, so that the process's death shows as the end of the pipe."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def close(self) -> None:
        """Close both ends."""
        self.close_write_end()
        if self._read_end >= 0:
            os.close(self._read_end)
            self._read_end = -1
