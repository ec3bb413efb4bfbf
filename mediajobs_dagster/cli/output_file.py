"""The file that `--output` names: it appears under its name when it is complete."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mediajobs_dagster.errors import DiskFullError, RequestError
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.storage.whole_file import DISK_FULL_ERRNOS


@contextmanager
def output_file(name: str, mode: str) -> Generator[IO[Any]]:
    """Open the file to write; `-` is standard output. After any error there is no file, or the one of before.

    Raises RequestError when it cannot be written, and DiskFullError.
    """
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    part: Path | None = None
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not path.exists() or path.is_file():  # a pipe or a device cannot be replaced
            part = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
        with (part or path).open(mode, encoding=None if "b" in mode else "utf-8") as out:
            yield out
        if part:
            part.replace(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        shown = in_one_line(name) or "An empty name"
        if error.errno in DISK_FULL_ERRNOS:
            raise DiskFullError(f"{shown} could not be written: {error.strerror}. Free some space.") from error
        raise RequestError(f"{shown} cannot be written: {error.strerror}. Name another with --output.") from error
    finally:
        if part:
            with suppress(OSError):  # it could not even be made, or has its name by now
                part.unlink(missing_ok=True)
