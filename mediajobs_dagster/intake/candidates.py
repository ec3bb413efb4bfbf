"""Candidates for adding: files and objects, as they were when they were found."""

from __future__ import annotations

import hashlib
import os
import stat as modes
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from typing_extensions import override

from mediajobs_dagster.errors import (
    Blame,
    InputUnreadableError,
    MediaJobsError,
    StorageDeniedError,
    StorageMissingError,
)
from mediajobs_dagster.storage import ObjectStat, OnBytes, Storage
from mediajobs_dagster.storage.by_range import RangeReader, RangeServer
from mediajobs_dagster.temporary import temporary_folder

_Bytes = bytes
"""The type, by another name: in the classes below, `bytes` is a size."""
_PROBED = "probed"
_CONTENT_TYPE = "application/octet-stream"  # only a probe can tell the real type


@dataclass(frozen=True)
class Skipped:
    """A file or an object that was not added."""

    location: str
    """Path or address, printable."""
    code: str
    """The code of an error, or HIDDEN, LINK, NOT_A_FILE or OURS."""
    reason: str


class Candidate(ABC):
    """A file or an object. Every method may raise InputUnreadableError."""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Its size."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Path or address, printable."""

    @property
    @abstractmethod
    def filename(self) -> str:
        """The last part of the path or address."""

    @cached_property
    @abstractmethod
    def origin(self) -> str:
        """Identifies this content at this location: another content or location has another origin."""

    @property
    def own_key(self) -> str | None:
        """Its key in our storage; None if it is not there."""
        return None

    @abstractmethod
    def opened(self, ranges: RangeServer, *, whole: bool) -> AbstractContextManager[str]:
        """A path to read it at, or an address of `ranges`; with `whole` always a path.

        An error of the storage is raised at the end, whatever the reader made of it.
        """

    @abstractmethod
    def head(self, size: int) -> _Bytes:
        """Its first `size` bytes, or all of them if there are fewer."""

    @abstractmethod
    def store(self, storage: Storage, key: str, on_bytes: OnBytes | None) -> ObjectStat:
        """Store a copy under `key`. Raises as the storage does."""

    @abstractmethod
    def check(self) -> None:
        """Raise InputUnreadableError unless it can be read and is unchanged since it was found."""

    def is_to_blame(self, error: MediaJobsError) -> bool:
        """Whether `error`, raised while it was read or stored, concerns this candidate only."""
        return error.blame is Blame.INPUT

    def skipped(self, error: MediaJobsError) -> Skipped:
        """The record that it was not added because of `error`."""
        return Skipped(self.location, error.code, error.message)


@dataclass(frozen=True)
class FileCandidate(Candidate):
    """A file."""

    path: Path
    status: os.stat_result

    @property
    @override
    def bytes(self) -> int:
        return self.status.st_size

    @property
    @override
    def location(self) -> str:
        return shown(self.path)

    @property
    @override
    def filename(self) -> str:
        return shown(self.path.name)

    @cached_property
    @override
    def origin(self) -> str:
        return _origin("file", self.path.resolve(), self.status.st_size, self.status.st_mtime_ns)

    @override
    @contextmanager
    def opened(self, ranges: RangeServer, *, whole: bool) -> Generator[str]:
        self.check()  # its error message is better than that of ffprobe
        yield str(self.path.absolute())

    @override
    def head(self, size: int) -> _Bytes:
        self.check()  # if the file has become a pipe, opening it would block for ever
        with self.path.open("rb") as file:
            return file.read(size)

    @override
    def store(self, storage: Storage, key: str, on_bytes: OnBytes | None) -> ObjectStat:
        self.check()  # if the file has become a pipe, opening it would block for ever
        try:
            return storage.put(self.path, key, content_type=_CONTENT_TYPE, on_bytes=on_bytes)
        except OSError as error:
            raise unreadable(self.path, error) from error

    @override
    def check(self) -> None:
        try:
            # Only opening tells whether the file may be read. It does not block, in case the file is a pipe by now.
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            status = os.fstat(file)
            os.close(file)
        except OSError as error:
            raise unreadable(self.path, error) from error
        # The number of the file too: a link that leads elsewhere by now leads to another file.
        if not modes.S_ISREG(status.st_mode) or _identity(status) != _identity(self.status):
            raise _changed(self.location)


@dataclass(frozen=True)
class ReceivedCandidate(FileCandidate):
    """A file that was sent to us. Where it lies says nothing: its content and its name do."""

    name: str
    sha256: str
    """Of its content, hexadecimal."""

    @property
    @override
    def location(self) -> str:
        return self.name

    @property
    @override
    def filename(self) -> str:
        return self.name

    @cached_property
    @override
    def origin(self) -> str:
        return _origin("received", self.name, self.status.st_size, self.sha256)


@dataclass(frozen=True)
class ObjectCandidate(Candidate):
    """An object at an `s3://` address, in our storage or elsewhere."""

    place: Storage
    """The storage in which it was found."""
    stat: ObjectStat
    """The object in that storage."""
    key: str | None
    """Its key in our storage; None if it is elsewhere."""

    @property
    @override
    def bytes(self) -> int:
        return self.stat.bytes

    @property
    @override
    def location(self) -> str:
        return self.place.url + self.stat.key

    @property
    @override
    def filename(self) -> str:
        return self.stat.key.rpartition("/")[2]

    @cached_property
    @override
    def origin(self) -> str:
        return _origin("s3", self.location, self.stat.bytes, self.stat.etag)

    @property
    @override
    def own_key(self) -> str | None:
        return self.key

    @override
    @contextmanager
    def opened(self, ranges: RangeServer, *, whole: bool) -> Generator[str]:
        with temporary_folder("probe") as folder:
            if whole:
                self.place.get(self.stat.key, folder / _PROBED)
                yield str(folder / _PROBED)
                return
            with RangeReader.open(ranges, self.place, folder, lambda _: None) as reader:
                try:
                    yield reader.address(self.stat, _PROBED)
                except MediaJobsError as error:
                    if reader.fault:
                        raise reader.fault from error
                    raise reader.named(error) from error

    @override
    def head(self, size: int) -> _Bytes:
        return self.place.read_part(self.stat, 0, min(size, self.bytes)) if self.bytes else b""

    @override
    def store(self, storage: Storage, key: str, on_bytes: OnBytes | None) -> ObjectStat:
        return storage.import_object(self.location, key)

    @override
    def check(self) -> None:
        now = self.place.stat(self.stat.key)
        if (now.bytes, now.etag) != (self.stat.bytes, self.stat.etag):
            raise _changed(self.location)

    @override
    def is_to_blame(self, error: MediaJobsError) -> bool:
        return super().is_to_blame(error) or isinstance(error, StorageMissingError | StorageDeniedError)


def shown(path: Path | str) -> str:
    """A path as text that can be printed and stored: a file name need not be UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def unreadable(path: Path, error: OSError) -> InputUnreadableError:
    """The InputUnreadableError for an error of the operating system."""
    return InputUnreadableError(f"{shown(path)} cannot be read: {error.strerror}.")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _changed(location: str) -> InputUnreadableError:
    return InputUnreadableError(f"{location} changed while it was being added. Add it again when it is complete.")


def _origin(kind: str, location: object, size: int, version: object) -> str:
    digest = hashlib.sha256(f"{location}\n{size}\n{version}".encode(errors="surrogateescape")).hexdigest()
    return f"{kind}:{digest}"
