"""An object that is read in parts. Each part is fetched once, kept in a file, and counted for the record."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock

from mediajobs_dagster.errors import InternalError, MediaJobsError, StorageUnavailableError
from mediajobs_dagster.models import StorageOp
from mediajobs_dagster.storage.base import MiB, ObjectStat, Storage
from mediajobs_dagster.storage.redaction import redact

_log = logging.getLogger(__name__)

RANGE_READ = "range_read"
"""The name of the operation that reports reading in parts: one for each object and command."""

_BLOCK_BYTES = 64 * 1024
"""Parts are fetched and kept in blocks of this size."""
_REQUEST_BLOCKS = MiB // _BLOCK_BYTES
"""Most blocks in one request to the storage: a reader often seeks elsewhere before it has read all it asked for."""
_KEPT_BLOCKS = 64 * MiB // _BLOCK_BYTES
"""About the most blocks kept of one object: enough for the index of half a day of video."""
_PATIENCE_S = 15.0
"""A request without an answer for this long counts as a failure; ffmpeg itself gives up soon after."""


class PartlyRead:
    """An object and the parts of it that were read. Threads share it."""

    def __init__(self, storage: Storage, stat: ObjectStat, kept: Path) -> None:
        self.stat = stat
        self._storage, self._kept = storage, kept
        self._lock = Lock()
        """Guards the attributes below. It is never held during a request to the storage."""
        self._blocks: set[int] = set()
        """Blocks that are kept."""
        self._fetching: dict[int, Event] = {}
        """Blocks that a thread is fetching; it sets the event when it is done."""
        self._faults: dict[int, MediaJobsError] = {}
        """The error of a fetch, by its first block; removed when a later fetch of the block succeeds."""
        self._waiting: dict[int, float] = {}
        """When each request under way began, by its first block, on the clock of `time.monotonic`."""
        self._bytes, self._seconds, self._account = 0, 0.0, 0

    @property
    def fault(self) -> MediaJobsError | None:
        """The storage's error since the last call of `account`, unless a later try succeeded."""
        with self._lock:
            return self._fault()

    def _fault(self) -> MediaJobsError | None:
        for fault in self._faults.values():
            return fault
        longest = time.monotonic() - min(self._waiting.values(), default=math.inf)
        if longest > _PATIENCE_S:
            return StorageUnavailableError(
                f"{self._storage.url} has not answered for {longest:.0f} s to a request for a part of {self.stat.key}."
            )
        return None

    def read(self, start: int, size: int) -> bytes:
        """The bytes from `start` on, at least one and at most `size` of them."""
        first, last = start // _BLOCK_BYTES, (start + size - 1) // _BLOCK_BYTES
        wanted = range(first, min(last, first + _REQUEST_BLOCKS - 1) + 1)
        while True:
            with self._lock:
                kept = _prefix(wanted, lambda block: block in self._blocks)
                busy = None if kept else self._fetching.get(first)
                missing = _prefix(wanted, lambda block: block not in self._blocks and block not in self._fetching)
                done = Event()
                if not kept and not busy:
                    self._fetching |= dict.fromkeys(missing, done)
            if busy:
                busy.wait()
                continue
            content = self._read_kept(kept) if kept else self._fetch(missing, done)
            if content:
                return content[start - first * _BLOCK_BYTES :][:size]

    def read_all(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end`, in pieces."""
        while start < end:
            piece = self.read(start, end - start)
            yield piece
            start += len(piece)

    def _read_kept(self, blocks: range) -> bytes:
        """The kept bytes of `blocks`. When scratch has lost them: nothing, and the blocks are forgotten."""
        try:
            with self._kept.open("rb") as file:
                file.seek(blocks.start * _BLOCK_BYTES)
                content = file.read(self._size_of(blocks))
        except OSError:
            content = b""
        if len(content) == self._size_of(blocks):
            return content
        with self._lock:
            self._blocks.difference_update(blocks)
        return b""

    def _size_of(self, blocks: range) -> int:
        return min(blocks.stop * _BLOCK_BYTES, self.stat.bytes) - blocks.start * _BLOCK_BYTES

    def _fetch(self, blocks: range, done: Event) -> bytes:
        start, size = blocks.start * _BLOCK_BYTES, self._size_of(blocks)
        began = time.monotonic()
        with self._lock:
            account, self._waiting[blocks.start] = self._account, began
        fault: MediaJobsError | None = None
        is_kept = False
        try:
            content = self._storage.read_part(self.stat, start, size)
            is_kept = self._keep(start, content)
            return content
        except MediaJobsError as error:
            fault = error
            raise
        except Exception as error:
            _log.error("Reading a part of %s failed:\n%s", self.stat.key, redact(traceback.format_exc()))
            fault = InternalError(f"{type(error).__name__} while a part of {self.stat.key} was read.")
            raise fault from error
        finally:
            with self._lock:
                self._waiting.pop(blocks.start, None)
                self._seconds += time.monotonic() - began
                if is_kept:
                    self._blocks.update(blocks)
                for block in blocks:
                    del self._fetching[block]
                    self._faults.pop(block, None)
                if fault is None:
                    self._bytes += size
                elif account == self._account:
                    self._faults[blocks.start] = fault
            done.set()

    def _keep(self, start: int, content: bytes) -> bool:
        """Write a part to the file, to save later requests. False when that fails: reading works without it."""
        with self._lock:
            if len(self._blocks) >= _KEPT_BLOCKS:
                return False
        try:
            # Opened each time and never created: the folder may be gone, and a late fetch must not leave a file.
            with self._kept.open("r+b") as file:
                file.seek(start)
                file.write(content)
        except OSError as error:
            _log.debug("What was read of %s is not kept: %s", self.stat.key, error)
            return False
        return True

    def account(self) -> StorageOp | None:
        """One operation for all that was read since the last call; None when nothing was."""
        with self._lock:
            moved, seconds, fault = self._bytes, self._seconds, self._fault()
            self._bytes, self._seconds = 0, 0.0
            # No command waits any more for a request that is still under way.
            self._faults.clear()
            self._waiting.clear()
            self._account += 1
        if not seconds and not fault:
            return None
        return StorageOp(
            op=RANGE_READ,
            bucket=self._storage.bucket,
            key=self.stat.key,
            bytes=moved,
            duration_ms=round(seconds * 1000),
            status=fault.code if fault else "ok",
        )


def _prefix(blocks: range, holds: Callable[[int], bool]) -> range:
    """The leading blocks for which `holds` is true."""
    return blocks[: next((number for number, block in enumerate(blocks) if not holds(block)), len(blocks))]
