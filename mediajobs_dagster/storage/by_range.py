"""Lets ffmpeg read parts of objects over HTTP, from a server on this machine that reads from the storage.

ffmpeg could read a signed address of the storage itself. But then its arguments hold an address that works from
anywhere, for hours. Two commands that need the same index fetch it twice. An object that is replaced meanwhile is read
half old, half new. And a failure shows only in ffmpeg's messages. Here, parts that were read are kept in scratch, each
request names the version that it wants, and every read and failure of the storage is on record.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.storage.base import ObjectStat, OnOperation, Storage
from mediajobs_dagster.storage.partly_read import PartlyRead
from mediajobs_dagster.storage.range_http import Http, started


class RangeServer:
    """Serves objects to the processes of this machine. Each worker has one; it starts when it is first needed."""

    def __init__(self) -> None:
        self.objects: dict[str, PartlyRead] = {}
        self._http: Http | None = None
        self._starting = Lock()

    @property
    def url(self) -> str:
        """Its base address."""
        with self._starting:
            if self._http is None:
                self._http = started(Http(self.objects))
            return "http://{}:{}".format(*self._http.server_address)

    def close(self) -> None:
        """Stop serving."""
        self.objects.clear()
        with self._starting:
            if self._http:
                self._http.shutdown()
                self._http.server_close()
                self._http = None


class RangeReader:
    """The objects that one attempt reads by range."""

    def __init__(self, server: RangeServer, storage: Storage, folder: Path, on_operation: OnOperation) -> None:
        """`folder` holds the parts that were read."""
        self._server, self._storage, self._folder, self._on_operation = server, storage, folder, on_operation
        self._objects: dict[str, PartlyRead] = {}

    @classmethod
    @contextmanager
    def open(
        cls, server: RangeServer, storage: Storage, folder: Path, on_operation: OnOperation
    ) -> Generator[RangeReader]:
        """A reader whose addresses work until the end of the context."""
        reader = cls(server, storage, folder, on_operation)
        try:
            yield reader
        finally:
            reader.account()
            for path in reader._objects:
                server.objects.pop(path, None)

    def address(self, stat: ObjectStat, name: str) -> str:
        """An address where a process of this machine can read the object. It ends in `name` and cannot be guessed."""
        kept = self._folder / f"read_of_{name}"
        kept.touch()
        path = f"/{secrets.token_urlsafe(9)}/{name}"
        self._objects[path] = self._server.objects[path] = PartlyRead(self._storage, stat, kept)
        return self._server.url + path

    def read_at(self, address: str, start: int, size: int) -> bytes:
        """`size` bytes from `start` on of the object at `address`. Raises as the storage does."""
        return b"".join(self._objects[urlsplit(address).path].read_all(start, start + size))

    def named(self, error: MediaJobsError) -> MediaJobsError:
        """`error` with the names of objects in place of the addresses here, which say nothing to anybody else."""
        message = error.message
        for path, served in self._objects.items():
            message = message.replace(self._server.url + path, f"{self._storage.url.rstrip('/')}/{served.stat.key}")
        return error if message == error.message else error.with_message(message)

    @property
    def fault(self) -> MediaJobsError | None:
        """The storage's error since the last call of `account`, unless a later try succeeded."""
        return next(filter(None, (served.fault for served in self._objects.values())), None)

    def account(self) -> None:
        """Report what was read since the last call, as one operation for each object."""
        for served in self._objects.values():
            if operation := served.account():
                self._on_operation(operation)
