"""Opens files that a user names, such as timelines, captions, settings and pictures.

Such a name may lead anywhere: to a pipe that nobody writes to, to a device that never ends, to a file that grows. So
files are opened here, and nowhere else: without waiting, only regular ones, and read to their limit and no further.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mediajobs_dagster.errors import RequestError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_small(path: Path, limit: int, what: str = "such a file") -> bytes:
    """The content of the regular file at `path`, which has `limit` bytes at most.

    Raises RequestError when it cannot be read, is no regular file, or is larger. `what` names the file in that
    message, as in "the most for a timeline".
    """
    with open_regular(path) as file:
        try:
            # A size is not asked for: the file may grow, and those of /proc say that they are empty.
            content = file.read(limit + 1)
        except OSError as error:
            raise _unreadable(path, error) from error
    # Nothing at all (None) is what a file such as /proc/kmsg gives when it would have to be waited for.
    if len(content or b"") > limit:
        raise RequestError(f"{_shown(path)} has more than {_size(limit)}, the most for {what}.")
    return content or b""


def open_regular(path: Path) -> BinaryIO:
    """The regular file at `path`, open for reading. Raises RequestError."""
    try:
        # Asked before it is opened, because opening alone may wake a writer at the other end, or start a device.
        _check_kind(path, path.stat())
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:  # a zero character, or half of a surrogate pair
        raise RequestError(f"{_shown(path)} is not a possible file name.") from error
    try:
        _check_kind(path, os.fstat(file))  # it may have been replaced in between
        return os.fdopen(file, "rb")
    except BaseException:
        os.close(file)
        raise


def _shown(path: Path) -> str:
    """A path that can be printed: a file name need not be UTF-8, and may have control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in str(path))


def _check_kind(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise RequestError(f"{_shown(path)} cannot be read: it is not a file but {kind}.")


def _unreadable(path: Path, error: OSError) -> RequestError:
    return RequestError(f"{_shown(path)} cannot be read: {error.strerror or error}.")


def _size(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
