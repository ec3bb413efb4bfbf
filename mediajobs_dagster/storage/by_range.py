"""Lets ffmpeg read parts of objects: over HTTP on this machine, from a server that stands before the storage.

ffmpeg could read a signed address of the storage itself. But then one that is good from anywhere, for hours, stands in
its arguments; two commands that need the same index fetch it twice; an object that is replaced meanwhile is
read half old, half new; and what went wrong is known from ffmpeg's last words only. Here, parts that were read are kept
in scratch, each request names the version that it wants, and it is known what was read and what failed.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Event, Lock, Thread
from typing import Any, cast
from urllib.parse import urlsplit

from typing_extensions import override

from mediajobs_dagster.errors import (
    InternalError,
    MediaJobsError,
    OutOfMemoryError,
    StorageDeniedError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.models import StorageOp
from mediajobs_dagster.storage.base import MiB, ObjectStat, OnOperation, Storage
from mediajobs_dagster.storage.redaction import redact

_log = logging.getLogger(__name__)

RANGE_READ = "range_read"
"""The operation that reading parts is reported as: one for each object and command."""

_BLOCK_BYTES = 64 * 1024
"""What is kept is counted in these."""
_REQUEST_BLOCKS = MiB // _BLOCK_BYTES
"""No more is asked of the storage at once: a reader often turns elsewhere before it has read all it asked for."""
_KEPT_BLOCKS = 64 * MiB // _BLOCK_BYTES
"""About as much is kept of an object: the index of half a day of video."""
_PATIENCE_S = 15.0
"""Who waits longer for the storage is told that it does not answer; ffmpeg itself gives up soon after."""
_GREETING_S = 10.0
"""A connection that asks for nothing is closed after so long."""
_POLL_S = 0.1
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class RangeServer:
    """Serves objects to the processes of this machine. One for each worker; it starts when it is first needed."""

    def __init__(self) -> None:
        self.objects: dict[str, _Object] = {}
        self._http: _Http | None = None
        self._starting = Lock()

    @property
    def url(self) -> str:
        """Where it is reached."""
        with self._starting:
            if self._http is None:
                self._http = _started(_Http(self.objects))
            return "http://{}:{}".format(*self._http.server_address)

    def close(self) -> None:
        """Serve nothing from now on."""
        self.objects.clear()
        with self._starting:
            if self._http:
                self._http.shutdown()
                self._http.server_close()
                self._http = None


class RangeReader:
    """The objects that one attempt reads by range."""

    def __init__(self, server: RangeServer, storage: Storage, folder: Path, on_operation: OnOperation) -> None:
        """`folder` keeps what was read of them."""
        self._server, self._storage, self._folder, self._on_operation = server, storage, folder, on_operation
        self._objects: dict[str, _Object] = {}

    @classmethod
    @contextmanager
    def open(
        cls, server: RangeServer, storage: Storage, folder: Path, on_operation: OnOperation
    ) -> Generator[RangeReader]:
        """A reader whose addresses are good to the end of the context."""
        reader = cls(server, storage, folder, on_operation)
        try:
            yield reader
        finally:
            reader.account()
            for path in reader._objects:
                server.objects.pop(path, None)

    def address(self, stat: ObjectStat, name: str) -> str:
        """Where a process of this machine can read the object over HTTP. It ends in `name`, and nobody can guess it."""
        kept = self._folder / f"read_of_{name}"
        kept.touch()
        path = f"/{secrets.token_urlsafe(9)}/{name}"
        self._objects[path] = self._server.objects[path] = _Object(self._storage, stat, kept)
        return self._server.url + path

    def read_at(self, address: str, start: int, size: int) -> bytes:
        """`size` bytes from `start` on of the object at `address`. Raises as the storage does."""
        return b"".join(_read(self._objects[urlsplit(address).path], start, start + size))

    @property
    def fault(self) -> MediaJobsError | None:
        """What the storage failed with since the last account, unless what was wanted came in the end."""
        return next(filter(None, (served.fault for served in self._objects.values())), None)

    def account(self) -> None:
        """Report what was read since the last account."""
        for served in self._objects.values():
            if operation := served.account():
                self._on_operation(operation)


class _Object:
    """An object, and what was read of it. Threads share it."""

    def __init__(self, storage: Storage, stat: ObjectStat, kept: Path) -> None:
        self.stat = stat
        self._storage, self._kept = storage, kept
        self._lock = Lock()
        """Held while what follows is looked at or changed, never while the storage is waited for."""
        self._blocks: set[int] = set()
        """What is kept."""
        self._fetching: dict[int, Event] = {}
        """What somebody fetches; the event says that they are done."""
        self._faults: dict[int, MediaJobsError] = {}
        """What fetching failed with, by the block; gone when it succeeds."""
        self._waiting: dict[int, float] = {}
        """Since when somebody waits for the storage, by the block."""
        self._bytes, self._seconds, self._account = 0, 0.0, 0

    @property
    def fault(self) -> MediaJobsError | None:
        """What the storage failed with, and nobody got over since the last account."""
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

    def _read_kept(self, blocks: range) -> bytes:
        """What is kept of them; nothing, and they are kept no longer, where scratch has lost it."""
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
        """Keeping spares requests; whoever reads can do without."""
        with self._lock:
            if len(self._blocks) >= _KEPT_BLOCKS:
                return False
        try:
            # Opened each time: the folder may be gone, and what is late must not leave a file behind.
            with self._kept.open("r+b") as file:
                file.seek(start)
                file.write(content)
        except OSError as error:
            _log.debug("What was read of %s is not kept: %s", self.stat.key, error)
            return False
        return True

    def account(self) -> StorageOp | None:
        """What was read of the storage since the last account."""
        with self._lock:
            moved, seconds, fault = self._bytes, self._seconds, self._fault()
            self._bytes, self._seconds = 0, 0.0
            # Nobody waits any more for what is still under way.
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
    """The blocks at the beginning for which it holds."""
    return blocks[: next((number for number, block in enumerate(blocks) if not holds(block)), len(blocks))]


class _Http(ThreadingTCPServer):
    """Only this machine reaches it. (HTTPServer would look its own name up, which may take seconds.)"""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, objects: dict[str, _Object]) -> None:
        self.objects = objects
        super().__init__(("127.0.0.1", 0), _Handler)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # Readers leave when they have seen enough.
        if not isinstance(sys.exception(), ConnectionError):
            _log.error("Serving a part of an object failed:\n%s", redact(traceback.format_exc()))


def _started(server: _Http) -> _Http:
    try:
        Thread(target=server.serve_forever, args=(_POLL_S,), name="range-server", daemon=True).start()
    except RuntimeError as error:  # no more threads
        server.server_close()
        raise OutOfMemoryError(f"No thread could be started: {error}. Give the worker more processes.") from error
    return server


class _Handler(BaseHTTPRequestHandler):
    """One connection, which may ask for one range after another."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @override
    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(_GREETING_S)

    def do_GET(self) -> None:
        """Answer with the range that is asked for, or with all."""
        self.connection.settimeout(None)  # whoever reads may take its time
        served = cast(_Http, self.server).objects.get(self.path)
        if served is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        size = served.stat.bytes
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        start, end = (int(wanted[1]), min(int(wanted[2] or size), size - 1) + 1) if wanted else (0, size)
        if start >= end:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        content = _read(served, start, end)
        try:
            beginning = next(content)
        except MediaJobsError as error:
            self.send_error(_status(error))
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        self.wfile.write(beginning)
        try:
            for piece in content:
                self.wfile.write(piece)
        except MediaJobsError:
            self.close_connection = True  # the answer is cut off, and the reader asks for the rest

    @override
    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def _read(served: _Object, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        piece = served.read(start, end - start)
        yield piece
        start += len(piece)


def _status(error: MediaJobsError) -> HTTPStatus:
    """None that is tried again: the storage was asked several times already."""
    if isinstance(error, StorageDeniedError):
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.NOT_FOUND if isinstance(error, StorageMissingError) else HTTPStatus.FAILED_DEPENDENCY
