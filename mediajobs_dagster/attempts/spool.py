"""Ends of attempts that the database could not take: kept in files, and recorded later.

The first time that the database refuses an end, the worker keeps it here, and goes on trying. So the record outlives a
worker that is killed meanwhile. Whoever recovers jobs on this machine, or starts the next run, delivers what is left.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mediajobs_dagster.errors import CancelledError, IllegalTransitionError, NotFoundError, WorkerLostError
from mediajobs_dagster.history import Claim, Finished, History
from mediajobs_dagster.history.series import Measure
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus, NewJob, Upload, Value

_log = logging.getLogger(__name__)

_ROOM = ".room"
_ROOM_BYTES = 1024 * 1024
"""Kept free for ends on a disk that is full. One takes about 20 KB, and never more than some hundred."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class End(Value):
    """What `Leases.finish` needs to end an attempt."""

    attempt: Attempt
    job_status: JobStatus
    pause_s: float | None = None
    children: tuple[NewJob, ...] = ()
    uploads: tuple[Upload, ...] = ()
    measures: tuple[Measure, ...] = ()

    def record(self, history: History) -> Finished | None:
        """End the attempt. Returns and raises as `Leases.finish`."""
        return history.leases.finish(
            self.attempt,
            job_status=self.job_status,
            pause_s=self.pause_s,
            children=self.children,
            uploads=self.uploads,
            measures=self.measures,
        )


@dataclass(frozen=True)
class Spool:
    """A folder of ends that are not recorded yet. Processes of one machine share it."""

    folder: Path

    def make_room(self) -> None:
        """Occupy some of the disk, so that there is room for ends when it is full."""
        room = self.folder / _ROOM
        if room.exists():
            return
        with suppress(OSError):  # there is no room now either; the next run tries again
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(room, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                _write_all(descriptor, bytes(_ROOM_BYTES))
            except OSError:
                room.unlink()
            finally:
                os.close(descriptor)

    @contextmanager
    def kept(self, end: End) -> Generator[Kept]:
        """Keep an end while the block tries to record it. Nobody else delivers it meanwhile."""
        path = self.folder / f"{end.attempt.id}.json"
        content = end.model_dump_json().encode()
        try:
            lock = self._write(path, content)
        except OSError as error:
            _log.warning("The end of attempt %s could not be kept in %s: %s", end.attempt.id, path, error)
            yield Kept(None)
            return
        try:
            yield Kept(path)
        finally:
            os.close(lock)

    def _write(self, path: Path, content: bytes) -> int:
        """Write a file and lock it; returns its descriptor."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _write_locked(path, content)
        except OSError as error:
            if error.errno not in _FULL:
                raise
        (path.parent / _ROOM).unlink(missing_ok=True)
        return _write_locked(path, content)

    def deliver(self, history: History, withdraw: Callable[[Claim], object]) -> int:
        """Record what dead workers left; returns how many ends. `withdraw` removes what an attempt published in vain.

        Raises what `Leases.finish` raises when the database still cannot take them.
        """
        delivered = 0
        for path in sorted(self.folder.glob("*.json")):
            with _locked(path) as content:
                if content is not None:
                    _deliver(content, path, history, withdraw)
                    path.unlink(missing_ok=True)
                    delivered += 1
        return delivered


@dataclass(frozen=True)
class Kept:
    """An end that is kept, until `forget`."""

    path: Path | None
    """None: it could not be kept."""

    def forget(self) -> None:
        """It is recorded."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _deliver(content: bytes, path: Path, history: History, withdraw: Callable[[Claim], object]) -> None:
    try:
        end = End.model_validate_json(content)
        if end.record(history) is None and end.attempt.job_id:
            job = history.jobs.get(end.attempt.job_id)
            attempt = _too_late(end.attempt, is_cancelled=job.status is JobStatus.CANCELLED)
            history.leases.give_up(attempt, measures=end.measures)
            withdraw(Claim(job, attempt))
    except (ValidationError, NotFoundError, IllegalTransitionError) as error:
        _log.warning("What was kept in %s cannot be recorded any more: %s", path, error)


def _too_late(attempt: Attempt, *, is_cancelled: bool) -> Attempt:
    """The attempt as it ends when its job was cancelled, or went to another worker: what it made does not count."""
    if attempt.status not in (AttemptStatus.SUCCESS, AttemptStatus.SKIPPED):
        return attempt
    if is_cancelled:
        status, error = AttemptStatus.CANCELLED, CancelledError("The job was cancelled before this end was recorded.")
    else:
        status, error = AttemptStatus.LOST, WorkerLostError("The job was taken away before this end was recorded.")
    changed = {"status": status, "error_code": error.code, "blame": error.blame, "error": error.message}
    manifest = attempt.manifest and {**attempt.manifest, "status": status, "outputs": []}
    return attempt.model_copy(update={**changed, "result": None, "manifest": manifest})


def _write_locked(path: Path, content: bytes) -> int:
    unfinished = path.with_suffix(".new")  # `deliver` ignores this name
    descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _write_all(descriptor, content)
        os.fsync(descriptor)
        unfinished.rename(path)
    except OSError:
        os.close(descriptor)
        unfinished.unlink(missing_ok=True)
        raise
    return descriptor


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


@contextmanager
def _locked(path: Path) -> Generator[bytes | None]:
    """The content of a file that no worker holds any more; None if one does, or if the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Gone, if another process delivered it between the two calls.
        yield file.read() if path.exists() else None
