"""A file as it is received: written to the disk a piece at a time, and measured and hashed on the way."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from mediajobs_dagster.errors import DiskFullError, RequestError, RequestTooLargeError
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.whole_file import DISK_FULL_ERRNOS
from mediajobs_dagster.temporary import temporary_folder

_PIECE = 1 << 20
"""What is written at once, bytes."""
_FILE = "received"


@dataclass(frozen=True)
class Received:
    """A file that has arrived."""

    path: Path
    bytes: int
    sha256: str


@contextmanager
def place_for_files(settings: Settings) -> Generator[Path]:
    """A folder below the scratch folder, which goes at the end, or when its process is killed."""
    root = settings.scratch / "received"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskFullError(f"The folder {root} cannot be made: {error.strerror}.") from error
    with temporary_folder("received", root) as folder:
        yield folder


def room(settings: Settings) -> int:
    """The largest file that may be received now, bytes: the limit, or what the disk has beyond its reserve."""
    free = shutil.disk_usage(settings.scratch).free - (settings.scratch_reserve_mb << 20)
    return min(settings.max_upload_mb << 20, max(0, free))


async def receive(pieces: AsyncIterator[bytes], folder: Path, settings: Settings, declared: int | None) -> Received:
    """Write `pieces` to a file. `declared` is the size that was announced, bytes.

    Raises RequestTooLargeError, DiskFullError, and RequestError when nothing comes.
    """
    _check(declared or 0, settings)
    digest, waiting, size = hashlib.sha256(), bytearray(), 0
    path = folder / _FILE
    with path.open("xb") as file:

        def write(piece: bytes) -> None:
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                if error.errno not in DISK_FULL_ERRNOS:
                    raise
                raise DiskFullError(f"The disk of {settings.scratch} is full. Free some space on it.") from error
            digest.update(piece)

        async for piece in pieces:
            waiting += piece
            size += len(piece)
            if len(waiting) >= _PIECE:
                _check(size, settings, written=size - len(waiting))
                await anyio.to_thread.run_sync(write, bytes(waiting))
                waiting.clear()
        _check(size, settings, written=size - len(waiting))
        await anyio.to_thread.run_sync(write, bytes(waiting))
    if not size:
        raise RequestError("The body is empty. Send the content of a media file.")
    return Received(path, size, digest.hexdigest())


def _check(size: int, settings: Settings, *, written: int = 0) -> None:
    if size > settings.max_upload_mb << 20:
        raise RequestTooLargeError(
            f"The file has more than {settings.max_upload_mb:,} MiB, the most here (MEDIAJOBS_MAX_UPLOAD_MB)."
        )
    if size - written > room(settings):
        raise DiskFullError(
            f"The disk of {settings.scratch} has no room for the file. Free some space, or point MEDIAJOBS_SCRATCH_DIR "
            "at a larger disk."
        )
