"""Working files: one folder a worker, one folder an attempt, removed on every exit.

A worker's folder is held by a lock that the kernel drops when the process ends, however it ends. So a folder whose lock
can be taken is an orphan, and the next worker to start sweeps it, here or on a machine that shares the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mediajobs_dagster.errors import DiskFullError, SettingsError
from mediajobs_dagster.job_types.material import SOURCE
from mediajobs_dagster.media.orphans import kill_orphans
from mediajobs_dagster.models import new_id

_LOCK = ".lock"
_MIB = 1024 * 1024


class Scratch:
    """A worker's folder for working files, from `open` to `close`. Threads may share it."""

    def __init__(self, folder: Path, lock: int, *, reserve_mb: int, idle_mb: int) -> None:
        self._folder, self._lock = folder, lock
        self._reserve, self._idle_limit = reserve_mb * _MIB, idle_mb * _MIB
        self._linking = threading.Lock()
        self._used: dict[Path, set[Path]] = {}
        """The fetched sources that attempts use, by the attempt's folder."""
        self._idle: dict[Path, None] = {}
        """Those that no attempt uses, in the order in which they fell idle."""

    @classmethod
    def open(cls, root: Path, *, reserve_mb: int, idle_mb: int = 0) -> Scratch:
        """Sweep the orphans below `root`, then make and hold a folder of our own.

        `reserve_mb` of the disk stays free beside what is asked for. Fetched sources that no attempt uses may take
        `idle_mb`. Raises DiskFullError, and SettingsError when there can be no folder for another reason.
        """
        name = f"worker-{new_id()}"
        unborn = root / f".{name}"  # no sweeper looks at it before it is locked
        try:
            unborn.mkdir(parents=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError from error
            raise SettingsError(
                f"The scratch folder {root} cannot be used: {error.strerror}. Point MEDIAJOBS_HOME, or "
                "MEDIAJOBS_SCRATCH_DIR, at a folder that this user may write to."
            ) from error
        lock = os.open(unborn / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        scratch = cls(unborn.rename(root / name), lock, reserve_mb=reserve_mb, idle_mb=idle_mb)
        sweep(root)
        return scratch

    def close(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    @contextmanager
    def attempt_folder(self, attempt_id: str) -> Generator[Path]:
        """A folder for one attempt, gone afterwards."""
        folder = self._folder / f"attempt-{attempt_id}"
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder)
            self._end_use(folder)

    def link_source(self, folder: Path, name: str, link: str = SOURCE) -> Path:
        """Where the fetched source `name` lies, or is to be put: it stays while the attempt of `folder` is under way.

        Afterwards it stays for the next attempt, as long as idle sources do not take more than their share. In the
        attempt's folder it is a link with the name `link`, which begins with SOURCE.
        """
        path = self._folder / "sources" / name
        path.parent.mkdir(exist_ok=True)
        with self._linking:
            self._used.setdefault(folder, set()).add(path)
            self._idle.pop(path, None)
        (folder / link).symlink_to(path)
        return path

    def require(self, size: int, purpose: str) -> None:
        """Raise DiskFullError unless `size` bytes fit on the disk with the reserve left over.

        Fetched sources that no attempt works on any more make room for it.
        """
        if shutil.disk_usage(self._folder).free < size + self._reserve:
            self._drop_idle(0)
        free = shutil.disk_usage(self._folder).free
        if free < size + self._reserve:
            raise DiskFullError(
                f"The scratch disk has {free // _MIB} MiB free, and {purpose} needs {size // _MIB} MiB with "
                f"{self._reserve // _MIB} MiB to be left over. Free some space, or point MEDIAJOBS_SCRATCH_DIR at a "
                "larger disk."
            )

    def _end_use(self, folder: Path) -> None:
        with self._linking:
            ended = self._used.pop(folder, set[Path]())
            self._idle |= dict.fromkeys(sorted(ended.difference(*self._used.values())))
        if ended:
            self._drop_idle(self._idle_limit)

    def _drop_idle(self, limit: int) -> None:
        """Remove idle sources, the longest idle first, until they take no more than `limit` bytes."""
        with self._linking:
            sizes = {path: _size(path) for path in self._idle}
            taken = sum(sizes.values())
            for path, size in sizes.items():
                if taken > limit or not size:  # one that could not be fetched has none
                    path.unlink(missing_ok=True)
                    del self._idle[path]
                    taken -= size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(folder: Path) -> None:
    try:
        # Nearly always a few files: `rmtree` would take thrice as long.
        for name in os.listdir(folder):
            os.unlink(folder / name)
        folder.rmdir()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> int:
    """Remove the folders of workers that are gone, and end what still works in them; returns how many."""
    swept = 0
    for folder in root.glob("worker-*"):
        try:
            # Made if need be: a folder without its lock was left by a removal that did not come to its end.
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            continue  # its owner has just removed it, or it is another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kill_orphans(folder)  # an ffmpeg whose worker was killed would run on, and fill the disk
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
        except BlockingIOError:
            pass  # its worker lives
        finally:
            os.close(lock)
    return swept
