"""Folders below the system's temporary folder that do not stay when their process is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_folder(purpose: str, root: Path | None = None) -> Generator[Path]:
    """A folder of this user alone, in `root`, or in the system's temporary folder. It is removed at the end.

    What killed processes left for the same purpose goes first.

    A process holds a lock on its folder, which the kernel releases when the process ends, however it ends.
    """
    root, prefix = root or Path(tempfile.gettempdir()), f"mediajobs-{purpose}-{os.getuid()}-"
    sweep_temporary(root, prefix)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=root))  # the sweep ignores this name
    lock = os.open(unlocked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = unlocked.rename(root / unlocked.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def sweep_temporary(root: Path, prefix: str) -> None:
    """Remove this user's folders of that prefix whose process is dead. Links, and folders of others, are left alone."""
    for folder in root.glob(f"{prefix}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # removed meanwhile, a link, or another user's
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its process lives
        finally:
            os.close(lock)
