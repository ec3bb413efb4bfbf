"""The job log: the history as a plain file for scripts. It holds one JSON array, with one entry a line.

    [
    {"format":"mediajobs.job_log/1","jobId":"…",…},
    {"format":"mediajobs.job_log/1","jobId":"…",…}
    ]

An append overwrites the closing bracket with one write. So it costs the same at any length, and leaves a whole array:
`jq` can read the file at any time. Threads and processes take turns under a lock on the file.

Durability: appends are not flushed to the disk one by one. If a process dies, nothing that was logged is lost. A loss
of power can lose the last seconds, which the history database still has. If either leaves half an entry, the next
append removes it, with a warning that says what was removed.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from mediajobs_dagster.errors import DiskFullError, JobLogError
from mediajobs_dagster.history import job_log_tail as tail
from mediajobs_dagster.history.export import csv_cell
from mediajobs_dagster.models import Attempt, AttemptStatus, JsonObject, Value

logger = logging.getLogger(__name__)


class StageTiming(Value):
    """How long one stage took, whether it succeeded or not."""

    name: str
    duration_ms: int
    status: str = Field(description="ok, or the code of the error.")


class LoggedOutput(Value):
    """A file that a job made."""

    key: str
    bytes: int
    exists: bool | None = Field(
        default=None, description="Whether it existed when the entry was made; None: not checked."
    )


class LoggedError(Value):
    """Why a job failed."""

    code: str
    message: str


class JobLogEntry(Value):
    """One attempt, in a form for scripts."""

    format: Literal["mediajobs.job_log/1"] = "mediajobs.job_log/1"
    job_id: str | None
    job_type: str
    trace_id: str | None = None
    inputs: JsonObject = Field(default_factory=dict)
    worker: str | None = None
    stage: str | None = Field(default=None, description="The last stage that was reached.")
    stages: tuple[StageTiming, ...] = ()
    outputs: tuple[LoggedOutput, ...] = ()
    success: bool
    error: LoggedError | None = None
    started_at: datetime
    finished_at: datetime | None = None
    duration_ms: int | None = None

    @classmethod
    def of(cls, attempt: Attempt, *, exists: Callable[[str], bool] | None = None) -> JobLogEntry:
        """The entry for a history row and its manifest; `exists` says whether there is an object under a key."""
        manifest = attempt.manifest or {}
        stages = tuple(
            StageTiming(name=stage["name"], duration_ms=stage["durationMs"], status=stage["status"])
            for stage in manifest.get("stages", ())
        )
        outputs = tuple(
            LoggedOutput(key=made["key"], bytes=made["bytes"], exists=exists(made["key"]) if exists else None)
            for made in manifest.get("outputs", ())
        )
        error = LoggedError(code=attempt.error_code, message=attempt.error or "") if attempt.error_code else None
        return cls(
            job_id=attempt.job_id,
            job_type=attempt.job_name,
            trace_id=attempt.trace_id,
            inputs=manifest.get("inputSummary") or {},
            worker=attempt.host,
            stage=stages[-1].name if stages else None,
            stages=stages,
            outputs=outputs,
            # The outputs of a skipped attempt existed already: nothing failed.
            success=attempt.status in (AttemptStatus.SUCCESS, AttemptStatus.SKIPPED),
            error=error,
            started_at=attempt.started_at,
            finished_at=attempt.completed_at,
            duration_ms=attempt.duration_ms,
        )


class JobLogStatistics(Value):
    """Totals over a job log."""

    total: int
    successful: int
    failed: int
    success_rate: float = Field(description="0 to 1; 0 when the log is empty.")
    average_duration_ms: float
    by_job_type: dict[str, int]
    by_error: dict[str, int]


class JobLogger:
    """Appends to, and reads, one job log file. Threads and processes may share the file, and threads the logger."""

    def __init__(self, path: str | Path) -> None:
        """Name the file; the first append creates it and its folder."""
        # A symbolic link is followed once, here, so that clearing replaces the file and not the link.
        self.path = Path(os.path.realpath(path))

    def log_job(self, entry: JobLogEntry) -> None:
        """Append one entry. Raises JobLogError when the file is not a job log, DiskFullError; neither changes it."""
        self.log_jobs_batch([entry])

    def log_jobs_batch(self, entries: Sequence[JobLogEntry]) -> None:
        """Append several entries with one write; when one of them cannot be written, none is."""
        if not entries:
            return
        lines = ",\n".join(_to_line(entry) for entry in entries).encode("ascii")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as file:
            end = self._mend(file)
            _append(file, end, lines)

    def get_all_jobs(self) -> list[JobLogEntry]:
        """Every entry, the oldest first; none when there is no file. Raises JobLogError when it is not a job log."""
        return list(self._entries())

    def get_failed_jobs(self) -> list[JobLogEntry]:
        """The entries of attempts that did not succeed."""
        return [entry for entry in self._entries() if not entry.success]

    def get_successful_jobs(self) -> list[JobLogEntry]:
        """The entries of attempts that succeeded."""
        return [entry for entry in self._entries() if entry.success]

    def get_jobs_by_stage(self, stage: str) -> list[JobLogEntry]:
        """The entries of attempts that got as far as `stage` and no further."""
        return [entry for entry in self._entries() if entry.stage == stage]

    def get_statistics(self) -> JobLogStatistics:
        """Totals over the whole log; zeros when it is empty."""
        total = successful = timed = duration_ms = 0
        by_job_type: dict[str, int] = {}
        by_error: dict[str, int] = {}
        for entry in self._entries():
            total += 1
            successful += entry.success
            by_job_type[entry.job_type] = by_job_type.get(entry.job_type, 0) + 1
            if entry.error is not None:
                by_error[entry.error.code] = by_error.get(entry.error.code, 0) + 1
            if entry.duration_ms is not None:
                timed += 1
                duration_ms += entry.duration_ms
        return JobLogStatistics(
            total=total,
            successful=successful,
            failed=total - successful,
            success_rate=successful / total if total else 0.0,
            average_duration_ms=duration_ms / timed if timed else 0.0,
            by_job_type=by_job_type,
            by_error=by_error,
        )

    def export_csv(self, path: str | Path) -> int:
        """Write the log as CSV, nested values as JSON; returns the number of entries."""
        columns = [field.alias or name for name, field in JobLogEntry.model_fields.items() if name != "format"]
        count = 0
        with Path(path).open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(columns)
            for entry in self._entries():
                row = entry.to_json()
                writer.writerow(csv_cell(row[column]) for column in columns)
                count += 1
        return count

    def clear_log(self) -> None:
        """Empty the log: a reader sees all of it or nothing. Raises JobLogError when the file is not a job log."""
        if not self.path.exists():
            return
        with self._locked(os.O_RDWR, fcntl.LOCK_EX) as file:
            tail.whole_end(file, self.path)
            _replace(self.path, tail.EMPTY, mode=os.fstat(file).st_mode)

    def _entries(self) -> Iterator[JobLogEntry]:
        if not self.path.exists():
            return
        with self._locked(os.O_RDONLY, fcntl.LOCK_SH) as file:
            end = tail.whole_end(file, self.path)
            with os.fdopen(os.dup(file), "rb") as lines:
                position = len(lines.readline())  # the bracket
                for number, line in enumerate(lines, start=2):
                    if position >= end:
                        return  # the closing bracket, or what an append that was cut short left
                    yield self._entry_of(line[: end - position], number)
                    position += len(line)

    def _entry_of(self, line: bytes, number: int) -> JobLogEntry:
        try:
            return JobLogEntry.model_validate(json.loads(line.rstrip(b",\n")))
        except ValueError as error:  # pydantic's own is one too
            raise JobLogError(
                f"Line {number} of {self.path} is not an entry of a job log. The file was left as it is: correct the "
                "line, or move the file away."
            ) from error

    @contextmanager
    def _locked(self, flags: int, kind: int) -> Generator[int, None, None]:
        # Opened anew each time: a lock belongs to an open file, so threads too exclude each other, and no open file
        # is carried into a forked process.
        while True:
            file = os.open(self.path, flags | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(file, kind)
                if _is_still(file, self.path):
                    yield file
                    return
                # The log was cleared while this waited for the lock: this is the old file. Open the new one.
            finally:
                os.close(file)

    def _mend(self, file: int) -> int:
        """Remove what an append that was cut short left; returns where the last entry ends."""
        size = os.fstat(file).st_size
        if size == 0:
            return tail.HEAD_END
        end = tail.whole_end(file, self.path)
        if end + len(tail.CLOSING) != size or os.pread(file, len(tail.CLOSING), end) != tail.CLOSING:
            lost = os.pread(file, size - end, end)
            logger.warning(
                "The last append to %s was cut short. Removed %d bytes after the last whole entry: %r",
                self.path,
                len(lost),
                lost[:200],
            )
            os.ftruncate(file, end)
        return end


def _to_line(entry: JobLogEntry) -> str:
    # ASCII, with everything else escaped: file names may hold what UTF-8 cannot.
    return json.dumps(entry.to_json(), separators=(",", ":"), allow_nan=False)


def _append(file: int, end: int, lines: bytes) -> None:
    size = os.fstat(file).st_size
    # A log without entries is written from its first byte, because a new file has not even the bracket.
    start, before = (0, b"[\n") if end == tail.HEAD_END else (end, b",\n")
    pending = memoryview(before + lines + tail.CLOSING)
    try:
        while pending:  # one write, unless the disk fills up under it
            written = os.pwrite(file, pending, start)
            start += written
            pending = pending[written:]
    except OSError as error:
        os.ftruncate(file, end if size else 0)
        if size:
            os.pwrite(file, tail.CLOSING, end)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(f"The job log could not grow ({error.strerror}). Free some space.") from error
        raise


def _is_still(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    # Written beside it and renamed over it; flushed first, or a loss of power could leave a log of no bytes.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as new:
            os.fchmod(descriptor, stat.S_IMODE(mode))
            new.write(content)
            new.flush()
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
