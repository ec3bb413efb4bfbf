"""Keeps what came in of a video for the next attempt on this machine, so that it goes on where the last one ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from mediajobs_dagster.errors import DiskFullError, MediaJobsError, SitePausedError
from mediajobs_dagster.models import new_id

_FOLDER = "downloads"
_LOCK = ".lock"
_KEPT_S = 24 * 3600.0
_ID_BYTES = 36
_BUSY_S = 10.0
_BUSY = "Another job fetches this video on this machine now. What it fetches is taken then."


@contextmanager
def kept_folder(scratch: Path, video_id: str, job_id: str, own: Path) -> Generator[Path]:
    """A folder of a video below `scratch`, which stays if the work fails in a way that the next attempt may mend.

    It is `own`, the attempt's folder, while a frozen attempt at the same job has that of the video. What nobody has
    gone on with for a day is removed. Raises SitePausedError while another job fetches the video.
    """
    root = scratch / _FOLDER
    _sweep(root)
    folder = root / video_id
    lock, is_ours = _locked(folder)
    try:
        if not is_ours:
            if os.pread(lock, _ID_BYTES, 0).decode() != job_id:
                raise SitePausedError(_BUSY, retry_after_s=_BUSY_S)
            yield own
            return
        os.pwrite(lock, job_id.encode(), 0)
        os.utime(folder)
        try:
            yield folder
        except MediaJobsError as error:
            # A part that fills the disk is in the way of everything else.
            if not _may_go_on(error):
                _remove(folder)
            raise
        _remove(folder)
    finally:
        os.close(lock)


def _locked(folder: Path) -> tuple[int, bool]:
    """The lock file of a folder, open, and whether the lock is ours now."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the folder was removed between the two calls
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock, False
        if _is_still(lock, folder / _LOCK):
            return lock, True
        os.close(lock)  # whoever had the lock has removed the folder with it: this is the lock of nothing


def _is_still(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    """Remove a folder whose lock is ours. It is renamed first, so whoever comes next begins with an empty one."""
    gone = folder.with_name(f"{folder.name}.{new_id()}")
    with suppress(OSError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _may_go_on(error: MediaJobsError) -> bool:
    is_over = not (error.retryable or error.is_interruption)
    return not is_over and not isinstance(error, DiskFullError)


def _sweep(root: Path) -> None:
    oldest = time.time() - _KEPT_S
    for folder in root.glob("*"):
        try:
            if folder.stat().st_mtime < oldest:
                _remove_unused(folder)
        except OSError:
            continue  # somebody else has just removed it


def _remove_unused(folder: Path) -> None:
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(lock, folder / _LOCK):
            _remove(folder)
    except BlockingIOError:
        pass  # it is at work
    finally:
        os.close(lock)
