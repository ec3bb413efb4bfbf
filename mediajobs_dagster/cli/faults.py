"""What the disk, the rights of the user or a database refuse, in one sentence, wherever it was met.

Our own code names such faults where it meets them, as errors of the tree. Libraries do not: Dagster keeps databases of
its own, and any write to a disk may fail.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator

from mediajobs_dagster.errors import DiskFullError, MediaJobsError, RequestError, SettingsError
from mediajobs_dagster.history.database import fault_in_library
from mediajobs_dagster.storage.whole_file import DISK_FULL_ERRNOS

_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR})


def fault_of_machine(error: BaseException) -> MediaJobsError | None:
    """The error of the tree behind an exception or one of its causes; None for what is nobody's but ours."""
    return next(filter(None, map(_named, _chain(error))), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from; of what was only being handled meanwhile, what a library raised."""
    link: BaseException | None = error
    seen: set[int] = set()
    is_cause = True
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if is_cause or not isinstance(link, MediaJobsError | UnicodeEncodeError):
            yield link
        is_cause = is_cause and link.__cause__ is not None
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _named(error: BaseException) -> MediaJobsError | None:
    match error:
        case MediaJobsError():
            return error
        case OSError():
            return _of_disk(error)
        case UnicodeEncodeError():  # half of a surrogate pair stands for a byte of an argument that is no UTF-8
            return RequestError("An argument is not text in UTF-8, so nothing can have that name. Correct it.")
        case _:
            return fault_in_library(error, "database of Dagster")


def _of_disk(error: OSError) -> MediaJobsError | None:
    said = os.strerror(error.errno or 0)
    where = f"{error.filename}: {said}" if error.filename else said
    if error.errno in DISK_FULL_ERRNOS:
        return DiskFullError(
            f"A disk is full ({where}). Free some space, or point MEDIAJOBS_HOME, or TMPDIR for what is temporary, at "
            "a larger one."
        )
    if "AF_UNIX path too long" in str(error):  # Python's own check, which has no number
        return SettingsError(
            f"The folder for temporary files has too long a name for the sockets in it: {tempfile.gettempdir()}. Point "
            "TMPDIR at one with a shorter name."
        )
    if error.errno in _REFUSED:
        return SettingsError(
            f"A file or a folder cannot be used ({where}). Give this user access to it, or point MEDIAJOBS_HOME "
            "elsewhere."
        )
    return None
