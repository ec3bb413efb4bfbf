"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mediajobs_dagster.errors import DiskFullError

_PREFIX, _SUFFIX = ".mediajobs-", ".part"
# EFBIG, the file-size limit of the process or the file system, needs the same action of the operator.
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Yield a path to write to. It is renamed to `path` when the block succeeds, and removed when it fails.

    Both are in the same folder, because renaming is atomic only within one file system. Raises DiskFullError when the
    disk, its quota or the file-size limit is used up.
    """
    partial = path.with_name(f"{_PREFIX}{uuid4().hex}{_SUFFIX}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS:
            raise
        raise DiskFullError(
            f"{path.name} could not be written: {os.strerror(error.errno)} in {path.parent}. Free some space there, or "
            "point MEDIAJOBS_SCRATCH_DIR (working files) or MEDIAJOBS_STORAGE_URL (objects) at a larger disk."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def is_partial(name: str) -> bool:
    """Whether a file of this name is one that `whole_file` has not finished."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)
