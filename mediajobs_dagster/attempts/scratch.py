"""Working files: one folder per worker, one folder per attempt, removed on every exit.

A worker holds a lock on its folder, which the kernel releases when the process ends, however it ends. So a folder whose
lock is free is an orphan. The next worker that starts removes it, on this machine or another that shares the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mediajobs_dagster.errors import DiskFullError, SettingsError
from mediajobs_dagster.job_types.material import SOURCE
from mediajobs_dagster.media.orphans import kill_orphans
from mediajobs_dagster.models import new_id
from mediajobs_dagster.resilience.retention import Removed

_LOCK = ".lock"
_MIB = 1024 * 1024


class Scratch:
    """The folder of one worker for working files. Threads may share it."""

    def __init__(self, folder: Path, lock: int, *, reserve_mb: int, idle_mb: int) -> None:
        self._folder, self._lock = folder, lock
        self._reserve, self._idle_limit = reserve_mb * _MIB, idle_mb * _MIB
        self._linking = threading.Lock()
        self._used: dict[Path, set[Path]] = {}
        """The fetched sources in use, by the folder of the attempt that uses them."""
        self._idle: dict[Path, int] = {}
        """The sources that no attempt uses, longest idle first."""

    @classmethod
    def open(cls, root: Path, *, reserve_mb: int, idle_mb: int = 0) -> Scratch:
        """Remove the orphans below `root`, then make and lock a folder.

        `reserve_mb` of the disk must stay free, whatever `require` asks for. Fetched sources that no attempt uses may
        take `idle_mb`. Raises DiskFullError, and SettingsError when the folder cannot be made for another reason.
        """
        name = f"worker-{new_id()}"
        unlocked = root / f".{name}"  # `sweep` ignores this name until the folder is locked
        try:
            unlocked.mkdir(parents=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError from error
            raise SettingsError(
                f"The scratch folder {root} cannot be used: {error.strerror}. Point MEDIAJOBS_HOME, or "
                "MEDIAJOBS_SCRATCH_DIR, at a folder that this user may write to."
            ) from error
        lock = os.open(unlocked / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        scratch = cls(unlocked.rename(root / name), lock, reserve_mb=reserve_mb, idle_mb=idle_mb)
        sweep(root)
        return scratch

    def close(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    @contextmanager
    def attempt_folder(self, attempt_id: str) -> Generator[Path]:
        """A folder for one attempt, removed afterwards."""
        folder = self._folder / f"attempt-{attempt_id}"
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder)
            self._end_use(folder)

    def link_source(self, folder: Path, name: str, link: str = SOURCE) -> Path:
        """The path for the fetched source `name`, which may exist already. It stays while the attempt of `folder` runs.

        Afterwards it stays for the next attempt, until idle sources take more than their limit. In the attempt's
        folder it is a link with the name `link`, which begins with SOURCE.
        """
        path = self._folder / "sources" / name
        path.parent.mkdir(exist_ok=True)
        with self._linking:
            self._used.setdefault(folder, set()).add(path)
            self._idle.pop(path, None)
        (folder / link).symlink_to(path)
        return path

    def require(self, size: int, purpose: str) -> None:
        """Raise DiskFullError unless `size` bytes fit on the disk and leave the reserve free.

        Fetched sources that no attempt uses are removed to make room.
        """
        if shutil.disk_usage(self._folder).free < size + self._reserve:
            self._drop_idle(0)
        free = shutil.disk_usage(self._folder).free
        if free < size + self._reserve:
            needed = f"{size // _MIB} MiB" if size >= _MIB else "less than 1 MiB"
            raise DiskFullError(
                f"The scratch disk has {free // _MIB} MiB free, and {purpose} needs {needed} with "
                f"{self._reserve // _MIB} MiB staying free (MEDIAJOBS_SCRATCH_RESERVE_MB). Free some space, or point "
                "MEDIAJOBS_SCRATCH_DIR at a larger disk."
            )

    def _end_use(self, folder: Path) -> None:
        with self._linking:
            ended = self._used.pop(folder, set[Path]())
            for path in sorted(ended.difference(*self._used.values())):
                if size := _size(path):  # a source that could not be fetched has no size
                    self._idle[path] = size
                else:
                    path.unlink(missing_ok=True)
        if ended:
            self._drop_idle(self._idle_limit)

    def _drop_idle(self, limit: int) -> None:
        """Remove idle sources, the longest idle first, until they take no more than `limit` bytes."""
        with self._linking:
            taken = sum(self._idle.values())
            for path, size in list(self._idle.items()):
                if taken <= limit:
                    return
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
        # Nearly always there are only a few files, for which `rmtree` takes three times as long.
        for name in os.listdir(folder):
            os.unlink(folder / name)
        folder.rmdir()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> int:
    """Remove the folders of dead workers, and kill processes that still work in them; returns how many."""
    swept = 0
    for folder in root.glob("worker-*"):
        with _of_dead_worker(folder) as is_dead:
            if is_dead:
                kill_orphans(folder)  # an ffmpeg whose worker was killed goes on and fills the disk
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept


@contextmanager
def _of_dead_worker(folder: Path) -> Generator[bool]:
    """Whether the worker of a folder is dead; while the block lasts, nobody else finds that."""
    try:
        # Creates the lock file if it is missing: an interrupted removal leaves a folder without one.
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False  # its owner has just removed it, or it is another user's
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False  # its worker is alive
        else:
            yield True
    finally:
        os.close(lock)


@dataclass(frozen=True)
class ScratchSweeper:
    """A `Sweeper` of what dead workers left in the scratch folder of this machine, however old that is."""

    root: Path
    kinds: tuple[str, ...] = ("scratch",)

    def sweep(self, kind: str, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
        """Remove the folders of dead workers."""
        del before
        count = size = 0
        for folder in self.root.glob("worker-*"):
            with _of_dead_worker(folder) as is_dead:
                if is_dead:
                    count += 1
                    size += sum(_size(path) for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
        if not dry_run:
            sweep(self.root)
        yield Removed(kind=kind, rows=count, bytes=size)
