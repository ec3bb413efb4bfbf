"""Takes the body of an answer: into memory, or into a file that appears whole."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from mediajobs_dagster.errors import DiskFullError

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes received so far and the total; None: unknown."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Received(Protocol):
    """Takes in the body of an answer, piece by piece."""

    @property
    def wanted(self) -> Mapping[str, str]:
        """Headers for the next try, which ask for what is missing; empty: for all of it."""
        ...

    def begin(self, total: int | None, start: int, headers: Mapping[str, str]) -> None:
        """Start a body of `total` bytes (None: unknown), of which those from `start` come now.

        Drops what an earlier try left beyond that. `headers` are those of the answer.
        """
        ...

    def drop(self) -> bool:
        """Give up what an earlier try left, since it cannot be gone on with; False: there is nothing."""
        ...

    def add(self, piece: bytes) -> None:
        """The next piece of it."""
        ...


class InMemory:
    """Keeps the body in memory."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    @property
    def wanted(self) -> Mapping[str, str]:
        """Nothing: all of it."""
        return {}

    def begin(self, total: int | None, start: int, headers: Mapping[str, str]) -> None:
        """Drop what is there. Memory grows with the pieces, whatever was declared."""
        del total, start, headers
        self._pieces.clear()

    def drop(self) -> bool:
        """Nothing is gone on with."""
        return False

    def add(self, piece: bytes) -> None:
        """Keep a piece."""
        self._pieces.append(piece)

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


class InFile:
    """Writes the body to a temporary file beside `path`; `publish` renames it. Without `publish`, no file is left.

    Raises DiskFullError.
    """

    def __init__(self, path: Path, on_bytes: OnBytes | None) -> None:
        self._path = path
        self._on_bytes = on_bytes
        self._total: int | None = None
        with _disk_full_translated(path):
            handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        self._part = Path(name)
        self._file = os.fdopen(handle, "wb")

    @property
    def wanted(self) -> Mapping[str, str]:
        """Nothing: all of it."""
        return {}

    def drop(self) -> bool:
        """Nothing is gone on with."""
        return False

    def begin(self, total: int | None, start: int, headers: Mapping[str, str]) -> None:
        """Start anew."""
        del start, headers
        if self._file.tell():
            self._file.seek(0)
            self._file.truncate()
        self._total = total

    def add(self, piece: bytes) -> None:
        """Write a piece, and report it."""
        with _disk_full_translated(self._path):
            self._file.write(piece)
        if self._on_bytes is not None:
            self._on_bytes(self._file.tell(), self._total)

    def publish(self) -> None:
        """Give the file its name."""
        with _disk_full_translated(self._path):
            self._file.close()
        self._part.replace(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk was reported already
            self._file.close()
        self._part.unlink(missing_ok=True)


class KeptFile:
    """Writes the body to a file beside `path` which stays when the try fails, and goes on with it the next time.

    It goes on only if the service said by what (ETag, or a date) the same version is known again. `publish` gives the
    file its name. Raises DiskFullError.
    """

    def __init__(self, path: Path, on_bytes: OnBytes | None) -> None:
        self._path, self._on_bytes = path, on_bytes
        self._total: int | None = None
        self._part, self._about = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.version")
        with _disk_full_translated(path):
            self._file = self._part.open("ab")

    @property
    def wanted(self) -> Mapping[str, str]:
        """The rest, of the version that a part is there of."""
        size = self._part.stat().st_size
        version = self._about.read_text() if size and self._about.is_file() else ""
        return {"Range": f"bytes={size}-", "If-Range": version} if version else {}

    def begin(self, total: int | None, start: int, headers: Mapping[str, str]) -> None:
        """Go on at `start`, and note which version this is."""
        self._total = total
        etag = headers.get("ETag", "")
        version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
        with _disk_full_translated(self._path):
            self._file.truncate(start)
            self._about.write_text(version)

    def add(self, piece: bytes) -> None:
        """Write a piece, and report it."""
        with _disk_full_translated(self._path):
            self._file.write(piece)
        if self._on_bytes is not None:
            self._on_bytes(self._file.tell(), self._total)

    def drop(self) -> bool:
        """Begin anew the next time; False: there is nothing to drop."""
        is_there = self._part.stat().st_size > 0
        self._file.truncate(0)
        self._about.unlink(missing_ok=True)
        return is_there

    def publish(self) -> None:
        """Give the file its name."""
        with _disk_full_translated(self._path):
            self._file.close()
        self._part.replace(self._path)
        self._about.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk was reported already
            self._file.close()


@contextmanager
def _disk_full_translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise DiskFullError(f"The disk of {path.parent} is full. Free some space on it.") from error
