"""Takes the body of an answer: into memory, or into a file that appears whole."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from mediajobs_dagster.errors import DiskFullError

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes received so far and the total; None: unknown."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Received(Protocol):
    """Takes in the body of an answer, piece by piece."""

    def begin(self, total: int | None) -> None:
        """Start a body of `total` bytes; None: unknown. Drops what an earlier try left."""
        ...

    def add(self, piece: bytes) -> None:
        """The next piece of it."""
        ...


class InMemory:
    """Keeps the body in memory."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def begin(self, total: int | None) -> None:  # noqa: ARG002  # memory grows with the pieces, whatever was declared
        """Drop what is there."""
        self._pieces.clear()

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

    def begin(self, total: int | None) -> None:
        """Start anew."""
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


@contextmanager
def _disk_full_translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise DiskFullError(f"The disk of {path.name} is full. Free some space on it.") from error
