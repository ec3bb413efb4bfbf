"""The interface of every object storage. It reports each operation."""

from __future__ import annotations

import copy
import io
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from mediajobs_dagster.errors import (
    InternalError,
    MediaJobsError,
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.models import StorageOp, new_id, utc_now
from mediajobs_dagster.storage.keys import attempt_of, check_key, check_prefix
from mediajobs_dagster.storage.trash import TRASH, Undo, trash_key
from mediajobs_dagster.storage.whole_file import whole_file

MiB = 1024 * 1024
OPEN = "open"
"""The operation of reading an object where it lies, in a folder."""
OPERATIONS = ("get", "put", "head", "list", "copy", "delete", "put_back", "range_read", OPEN)
"""All operations on objects, by their names in records."""

OnBytes = Callable[[int], None]
"""Called with the number of bytes moved since the last call; negative for bytes that a retry will move again. It is
called from the threads of the transfer, one at a time. What it raises stops the transfer and reaches the caller."""

OnOperation = Callable[[StorageOp], None]


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a storage says of an object without reading it."""

    key: str
    bytes: int
    etag: str
    """Changes whenever the content does; compared for equality only."""
    modified: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Parts of an object whose writer has not finished, or died."""

    key: str
    """On S3 the key of the object; in a local folder that of the file that holds the parts, which lies beside it."""
    since: datetime
    """When the last part was written, or, on S3, when its writer began. UTC."""
    handle: str = ""
    """What else the storage needs to find the parts again."""


class Storage(ABC):
    """Objects under keys, below one root.

    Every method raises KeyRefusedError for a key that no object may have. Other failures are StorageMissingError,
    StorageDeniedError, StorageUnavailableError or a plain StorageError. Messages name the object, never a signature or
    a secret.
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self._listeners: tuple[OnOperation, ...] = ()

    @property
    @abstractmethod
    def url(self) -> str:
        """Address of the root, for people."""

    @property
    def is_there(self) -> bool:
        """Whether there is a place for objects already; a folder is made with the first one. No object is asked for."""
        return True

    def place(self, key: str) -> str:
        """Where an object is or would be, for people: an address, or the path of a file."""
        return f"{self.url.rstrip('/')}/{check_key(key)}"

    def observed(self, listener: OnOperation) -> Self:
        """A view of the same storage that also reports each operation to `listener`, failed ones included.

        Keys are reported without the storage's own prefix. Listing one page is one operation.
        """
        view = copy.copy(self)
        view._listeners = (*self._listeners, listener)
        return view

    # --- operations --------------------------------------------------------------------------------------------------

    def stat(self, key: str) -> ObjectStat:
        """Size, etag and time of the object. Raises StorageMissingError."""
        with self._operation("head", check_key(key)):
            return self._head(key)

    def find(self, key: str) -> ObjectStat | None:
        """Like `stat`, but None when there is no such object. That is reported as `ok`."""
        with self._operation("head", check_key(key)):
            try:
                return self._head(key)
            except StorageMissingError:
                return None

    def get(self, key: str, path: Path, on_bytes: OnBytes | None = None) -> ObjectStat:
        """Stream the object to the file `path`, which appears only when it is whole; its folder must exist.

        Raises DiskFullError. After an error, no file is left.
        """
        with self._operation("get", check_key(key), on_bytes) as moved, whole_file(path) as partial:
            with partial.open("xb") as file:
                stat = self._fetch(key, file, moved, limit=None)
            self._check_size(stat, partial.stat().st_size)
            return stat

    def read(self, key: str, *, limit: int = 16 * MiB) -> bytes:
        """The object's bytes. Raises StorageError when there are more than `limit`."""
        buffer = io.BytesIO()
        with self._operation("get", check_key(key)) as moved:
            stat = self._fetch(key, buffer, moved, limit=limit)
            self._check_size(stat, buffer.tell())
        return buffer.getvalue()

    def read_part(self, stat: ObjectStat, start: int, size: int) -> bytes:
        """`size` bytes from offset `start` of the version of the object that `stat` describes.

        This operation is not reported: the caller reports what it reads. Raises StorageUnavailableError when the object
        was replaced meanwhile.
        """
        check_key(stat.key)
        part = self._read_part(stat, start, size)
        if len(part) != size:
            raise StorageUnavailableError(f"{self.url} delivered {len(part)} of {size} bytes of {stat.key}. Try again.")
        return part

    def put(self, path: Path, key: str, *, content_type: str, on_bytes: OnBytes | None = None) -> ObjectStat:
        """Store the file `path` under `key`. The object appears whole, and replaces an older one.

        Raises an OSError when `path` cannot be read.
        """
        with self._operation("put", check_key(key), on_bytes) as moved:
            return self._store(path, key, content_type, moved)

    def list(self, prefix: str) -> Iterator[ObjectStat]:
        """The objects whose keys begin with `prefix`, in the order of the keys' UTF-8 bytes."""
        check_prefix(prefix)
        page: str | None = ""
        while page is not None:
            with self._operation("list", prefix):
                stats, page = self._list_page(prefix, page)
            yield from stats

    @abstractmethod
    def walk(self, prefix: str = "") -> Iterator[ObjectStat | Unfinished]:
        """All that lies below a prefix, unfinished parts included, in any order, read little by little.

        It may take hours to go through a large storage. What is written or removed meanwhile may be missed. Only
        pages of a listing are reported as operations.
        """

    def discard(self, found: ObjectStat | Unfinished) -> None:
        """Remove what `walk` has found. Its writer must be dead; do nothing when it is gone."""
        key = check_key(found.key)
        with self._operation("delete", key):
            if isinstance(found, Unfinished):
                self._remove_unfinished(found)
            else:
                self._remove(key)
            self._remove_folder(key)

    def set_aside(self, key: str, label: str) -> None:
        """Remove an object in a way that can be undone, where the storage has one (`undo`); nothing if it is gone.

        `label`, a UUIDv7, names the removal for `put_back`.
        """
        with self._operation("delete", check_key(key)):
            self._set_aside(key, check_key(trash_key(label, key)))
            if attempt_of(key):  # in its folder, nobody else writes
                self._remove_folder(key)

    def put_back(self, label: str) -> Iterator[tuple[str, bool]]:
        """Bring back what was set aside under a label and still lies in the trash.

        Each key, and whether it is back: it is not where another object has its key by now.
        """
        below = trash_key(label, "")
        for found in self.walk(check_prefix(below)):
            if isinstance(found, ObjectStat):
                key = found.key.removeprefix(below)
                with self._operation("put_back", check_key(key)):
                    yield key, self._put_back(found.key, key)
                    self._remove_folder(found.key)

    @abstractmethod
    def undo(self) -> Undo:
        """Whether `set_aside` can be undone. S3 is asked whether the bucket keeps versions."""

    def delete(self, key: str) -> None:
        """Remove the object; do nothing when there is none."""
        with self._operation("delete", check_key(key)):
            self._remove(key)

    def abandon(self, key: str) -> None:
        """Remove the object and its unfinished parts after their writer died. Nobody may be writing `key` now."""
        with self._operation("delete", check_key(key)):
            self._remove(key)
            self._remove_parts(key)
            self._remove_folder(key)

    def copy(self, source_key: str, key: str) -> ObjectStat:
        """Store the content of `source_key` under `key` too. On S3 the server copies it."""
        check_key(source_key)
        with self._operation("copy", check_key(key)) as moved:
            stat = self._copy(source_key, key)
            moved(stat.bytes)
            return stat

    def import_object(self, url: str, key: str) -> ObjectStat:
        """Store a copy of the object at `url`, outside of this storage, under `key`.

        Raises RequestError when this storage cannot reach such addresses.
        """
        with self._operation("copy", check_key(key)) as moved:
            stat = self._import(url, key)
            moved(stat.bytes)
            return stat

    def check(self) -> str:
        """Write, read, list and remove a small object, and return a sentence that says so. Raises as they do."""
        key = f".doctor/{new_id()}"
        content = key.encode()
        with tempfile.NamedTemporaryFile() as probe:
            probe.write(content)
            probe.flush()
            self.put(Path(probe.name), key, content_type="text/plain")
        try:
            if self.read(key) != content or [stat.key for stat in self.list(key)] != [key]:
                raise StorageError(f"{self.url} does not give back what was stored. Do not use it for objects.")
        finally:
            self.delete(key)
        return f"{self.url}: wrote, read, listed and removed an object"

    # --- addresses ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def local_path(self, key: str) -> Path | None:
        """The storage's own file of the object, so that it need not be fetched. Never write to it.

        None where objects are not files. Raises StorageMissingError.
        """

    def in_place(self, content: ObjectStat, *, read_whole: bool) -> Path | None:
        """As `local_path`, for a reader of the file. With `read_whole`, it is reported as an operation of its size."""
        path = self.local_path(content.key)
        if path is not None and read_whole:
            with self._operation(OPEN, content.key) as moved:
                moved(content.bytes)
        return path

    @abstractmethod
    def reader_url(self, key: str, *, expires_s: int = 3600) -> str | None:
        """A signed address: anyone who has it can read the object, also by range, for `expires_s` seconds.

        None for a local folder. Redact the address wherever it is stored or shown. The object need not exist.
        """

    @abstractmethod
    def key_of(self, url: str) -> str | None:
        """The key of the object at `url` if it is in this storage, else None.

        Raises RequestError when this storage cannot reach such addresses at all.
        """

    @abstractmethod
    def at(self, url: str) -> Storage:
        """A storage of the objects below `url`, which ends with a slash, with the access settings of this one.

        Raises RequestError when this storage cannot reach such addresses.
        """

    # --- to be implemented -------------------------------------------------------------------------------------------

    @abstractmethod
    def _head(self, key: str) -> ObjectStat: ...

    @abstractmethod
    def _fetch(self, key: str, file: BinaryIO, moved: OnBytes, *, limit: int | None) -> ObjectStat:
        """Write the object to `file`, and return the stat of the version that was written."""

    @abstractmethod
    def _read_part(self, stat: ObjectStat, start: int, size: int) -> bytes: ...

    @abstractmethod
    def _store(self, path: Path, key: str, content_type: str, moved: OnBytes) -> ObjectStat: ...

    @abstractmethod
    def _list_page(self, prefix: str, page: str) -> tuple[list[ObjectStat], str | None]:
        """One page, and the name of the next page or None. The name of the first page is empty."""

    @abstractmethod
    def _remove(self, key: str) -> None: ...

    @abstractmethod
    def _remove_parts(self, key: str) -> None: ...

    @abstractmethod
    def _remove_unfinished(self, found: Unfinished) -> None: ...

    @abstractmethod
    def _remove_folder(self, key: str) -> None:
        """Remove the folder of an object, where there are folders, if it is empty. No other object will come there."""

    def _set_aside(self, key: str, trash: str) -> None:
        """Move an object to its key in the trash; where there is none, remove it."""
        del trash
        self._remove(key)

    def _put_back(self, trash: str, key: str) -> bool:
        """Move an object from the trash to its key; False if there is another object."""
        raise StorageError(f"{self.url} has no folder {TRASH}, so {key} cannot be put back from {trash}.")

    @abstractmethod
    def _copy(self, source_key: str, key: str) -> ObjectStat: ...

    @abstractmethod
    def _import(self, url: str, key: str) -> ObjectStat: ...

    # --- shared by all -----------------------------------------------------------------------------------------------

    @contextmanager
    def _operation(self, op: str, key: str, on_bytes: OnBytes | None = None) -> Generator[OnBytes]:
        started_at, started = utc_now(), time.monotonic()
        moved = 0
        status = InternalError.code

        def count(size: int) -> None:
            nonlocal moved
            moved += size
            if on_bytes:
                on_bytes(size)

        try:
            yield count
            status = "ok"
        except MediaJobsError as error:
            status = error.code
            raise
        finally:
            duration_ms = round((time.monotonic() - started) * 1000)
            record = StorageOp(
                op=op,
                bucket=self.bucket,
                key=key,
                bytes=moved,
                started_at=started_at,
                duration_ms=duration_ms,
                status=status,
            )
            for listener in self._listeners:
                listener(record)

    def _check_limit(self, stat: ObjectStat, limit: int | None) -> None:
        if limit is not None and stat.bytes > limit:
            raise StorageError(f"{stat.key} in {self.url} has {stat.bytes} bytes; at most {limit} are read at once.")

    def _check_size(self, stat: ObjectStat, size: int) -> None:
        if size != stat.bytes:
            raise StorageUnavailableError(
                f"{self.url} delivered {size} of the {stat.bytes} bytes of {stat.key}. Try again."
            )
