"""The job log: the history as a plain file for scripts. It holds one JSON array, with one entry a line.

    [
    {"job_id":"…","job_type":"…","trace_id":"…","video_id":"…",…},
    {"job_id":"…","job_type":"…","trace_id":"…","video_id":"…",…}
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
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict, cast

from pydantic import ValidationError

from mediajobs_dagster.errors import DiskFullError, JobLogError, RequestError, SettingsError
from mediajobs_dagster.fault_lists import listed, plain_words
from mediajobs_dagster.history import job_log_tail as tail
from mediajobs_dagster.history.export import csv_cell
from mediajobs_dagster.history.job_log_entry import KEYS, JobLogEntry
from mediajobs_dagster.models import JsonObject

DEFAULT_NAME = "processing_log.json"
"""The file of a log in a folder of notes."""
_NOT_IN_CSV = "transcript"
"""A spreadsheet's cell ends at 32,767 characters."""

_KNOWN = frozenset(KEYS)

logger = logging.getLogger(__name__)


class Statistics(TypedDict):
    """Totals over a job log."""

    total_jobs: int
    successful: int
    failed: int
    success_rate: float
    """From 0 to 1; 0 when the log is empty."""
    average_duration: float
    """Seconds, of all jobs; 0 when the log is empty."""
    total_files_created: int
    error_types: dict[str, int]
    """How many jobs failed by each error code, the most frequent first."""
    stages: dict[str, int]
    """How many jobs ended in each stage, the most frequent first."""


def create_default_logger(output_dir: str | Path) -> JobLogger:
    """The logger of a folder of notes: its file is `processing_log.json` in there."""
    return JobLogger(Path(output_dir) / DEFAULT_NAME)


class JobLogger:
    """Appends to, and reads, one job log file. Threads and processes may share the file, and threads the logger."""

    def __init__(self, path: str | Path) -> None:
        """Name the file; the first append creates it and its folder."""
        # A symbolic link is followed once, here, so that clearing replaces the file and not the link.
        self.path = Path(os.path.realpath(path))

    def log_job(self, job: JobLogEntry | Mapping[str, Any]) -> None:
        """Append one entry: a value, or a plain one as `get_all_jobs` returns it.

        Raises RequestError for what is no entry, JobLogError when the file is not a job log, and DiskFullError. None
        of them changes the file.
        """
        self.log_jobs_batch([job])

    def log_jobs_batch(self, jobs: Sequence[JobLogEntry | Mapping[str, Any]]) -> None:
        """Append several entries with one write; when one of them cannot be written, none is. Raises as `log_job`."""
        if not jobs:
            return
        lines = ",\n".join(map(line_of, jobs)).encode("ascii")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as file:
            end = self._mend(file)
            _append(file, end, lines)

    def get_all_jobs(self) -> list[JsonObject]:
        """Every entry, the oldest first; none when there is no file. Raises JobLogError when it is not a job log."""
        return list(self.iterate_jobs())

    def get_failed_jobs(self) -> list[JsonObject]:
        """The entries of jobs that failed."""
        return [entry for entry in self.iterate_jobs() if not entry["success"]]

    def get_successful_jobs(self) -> list[JsonObject]:
        """The entries of jobs that succeeded."""
        return [entry for entry in self.iterate_jobs() if entry["success"]]

    def get_jobs_by_stage(self, stage: str) -> list[JsonObject]:
        """The entries of jobs that ended in `stage`: completed, or the one in which they failed."""
        return [entry for entry in self.iterate_jobs() if entry["stage"] == stage]

    def get_statistics(self) -> Statistics:
        """Totals over the whole log; zeros when it is empty."""
        total = successful = files = 0
        seconds = 0.0
        errors, stages = Counter[str](), Counter[str]()
        for entry in self.iterate_jobs():
            total += 1
            successful += entry["success"]
            files += entry["total_files"]
            seconds += entry["processing_duration"]
            stages[entry["stage"]] += 1
            if not entry["success"]:
                errors[entry["error_code"] or entry["error"].partition(":")[0]] += 1
        return Statistics(
            total_jobs=total,
            successful=successful,
            failed=total - successful,
            success_rate=successful / total if total else 0.0,
            average_duration=seconds / total if total else 0.0,
            total_files_created=files,
            error_types=dict(errors.most_common()),
            stages=dict(stages.most_common()),
        )

    def export_csv(self, path: str | Path) -> int:
        """Write the log as CSV; returns the number of entries.

        Nested values are JSON. The text of transcripts, which is too long for spreadsheets, is left out.
        """
        columns = [key for key in KEYS if key != _NOT_IN_CSV]
        count = 0
        with Path(path).open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(columns)
            for entry in self.iterate_jobs():
                writer.writerow(csv_cell(entry[column]) for column in columns)
                count += 1
        return count

    def clear_log(self) -> None:
        """Empty the log: a reader sees all of it or nothing. Raises JobLogError when the file is not a job log."""
        if not self.path.exists():
            return
        with self._locked(os.O_RDWR, fcntl.LOCK_EX) as file:
            tail.whole_end(file, self.path)
            _replace(self.path, tail.EMPTY, mode=os.fstat(file).st_mode)

    def iterate_jobs(self) -> Iterator[JsonObject]:
        """Every entry that is there when the first is asked for, one at a time. All else as `get_all_jobs`.

        Nobody waits until all are read: what comes before the end of the last whole entry never changes.
        """
        if not self.path.exists():
            return
        with self._locked(os.O_RDONLY, fcntl.LOCK_SH) as file:
            end = tail.whole_end(file, self.path)
            # Opened anew, for a copy of a descriptor would keep the lock.
            lines = self.path.open("rb")
        with lines:
            position = len(lines.readline())  # the bracket
            for number, line in enumerate(lines, start=2):
                if position >= end:
                    return  # the closing bracket, or what an append that was cut short left
                yield self._entry_of(line[: end - position], number)
                position += len(line)

    def _entry_of(self, line: bytes, number: int) -> JsonObject:
        try:
            entry = json.loads(line.rstrip(b",\n"))
        except ValueError:
            entry = None
        if not (isinstance(entry, dict) and tail.begins_entry(line) and entry.keys() == _KNOWN):
            raise JobLogError(
                f"Line {number} of {self.path} is not an entry of a job log. The file was left as it is: correct the "
                "line, or move the file away."
            )
        return cast("JsonObject", entry)

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


def line_of(job: JobLogEntry | Mapping[str, Any]) -> str:
    """An entry as one line of a log, with the present moment unless it has one. Raises RequestError for no entry."""
    document = (job if isinstance(job, JobLogEntry) else _checked(job)).to_json()
    document["logged_at"] = document["logged_at"] or _local_now()
    # ASCII, with everything else escaped: file names may hold what UTF-8 cannot.
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def check_job_log(path: Path) -> str:
    """A sentence that says whether entries can be appended to `path`; the file is left as it is.

    Raises SettingsError when they cannot, and JobLogError for a file that is not a job log.
    """
    try:
        if path.exists():
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                tail.whole_end(file, path)
            finally:
                os.close(file)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
    except OSError as error:
        raise SettingsError(
            f"The job log {path} cannot be written: {error.strerror}. Point MEDIAJOBS_JOB_LOG at a file that this user "
            "may write."
        ) from error
    return f"{path} can be written"


def _checked(job: Mapping[str, Any]) -> JobLogEntry:
    try:
        return JobLogEntry.model_validate(dict(job))
    except ValidationError as error:
        faults = listed(
            f"{'.'.join(map(str, fault['loc'])) or 'it'}: {plain_words(fault['type'], fault['msg'])}"
            for fault in error.errors()
        )
        raise RequestError(f"That is no entry of a job log: {faults}.") from error


def _local_now() -> str:
    # Without a zone, as `datetime.now()` writes it: scripts compare it with that. Moments that have to hold everywhere
    # are start_time and end_time.
    return datetime.now(UTC).astimezone().replace(tzinfo=None).isoformat(timespec="microseconds")


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
