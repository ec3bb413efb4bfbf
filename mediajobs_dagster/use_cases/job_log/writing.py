"""Writes the job log: as jobs end, or all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.job_log import JobLogger, line_of
from mediajobs_dagster.history.job_log_entry import JobLogEntry
from mediajobs_dagster.models import Attempt, AttemptStatus
from mediajobs_dagster.records import AttemptStarted, JobCancelled, LeaseLost, Record
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.use_cases.job_log.gathering import Gathering
from mediajobs_dagster.use_cases.job_log.unlogged import Unlogged

_AT_ONCE = 100
"""How many attempts are looked up at once."""


class JobLogListener:
    """A listener that logs jobs as they end."""

    def __init__(
        self, log: JobLogger, history: Callable[[], History], storage: Callable[[], Storage], unlogged: Unlogged
    ) -> None:
        """Open history and storage only when a job ends."""
        self._log, self._history, self._storage, self._unlogged = log, history, storage, unlogged

    def __call__(self, record: Record) -> None:
        """Log the job that a record is about, if it has ended with an attempt and is not tried again."""
        match record:
            case AttemptStarted(key=key):
                self._unlogged.begin(key.attempt_id)
                self._log_left_behind()
            case AttemptEnded(attempt_id=attempt_id):
                with self._unlogged.ending(attempt_id):
                    self._log_job_of([self._history().attempts.get(attempt_id)])
            case LeaseLost(attempt_id=attempt_id):
                self._log_job_of([self._history().attempts.get(attempt_id)])
            case JobCancelled(job=job) if job.attempts:  # it waited for its next one, or is stopped in a moment
                self._log_job_of(self._history().attempts.of_job(job.id)[-1:])
            case _:
                pass

    def _log_left_behind(self) -> None:
        """Log what was recorded on this machine, and not logged: its process was killed, or the disk was full."""
        for attempt_id in self._unlogged.left_behind():
            try:
                attempt = self._history().attempts.get(attempt_id)
            except NotFoundError:
                self._unlogged.forget(attempt_id)
                continue
            if not attempt.status.is_final:
                continue  # its end is in the spool, or it will be found lost
            # One that was lost is logged by who finds that.
            if attempt.status is not AttemptStatus.LOST and not self._is_logged(attempt):
                self._log_job_of([attempt])
            self._unlogged.forget(attempt_id)

    def _is_logged(self, attempt: Attempt) -> bool:
        began = attempt.started_at.timestamp()
        return any(
            each["job_id"] == attempt.job_id and each["start_time"] == began for each in self._log.iterate_jobs()
        )

    def _log_job_of(self, attempts: Sequence[Attempt]) -> None:
        self._log.log_jobs_batch(list(Gathering(self._history(), self._storage).entries(attempts)))


def entries_of(attempts: Iterable[Attempt], gathering: Gathering) -> Iterator[JobLogEntry]:
    """The entries of all attempts that ended their job, in the same order; the attempts need their manifests."""
    rest = iter(attempts)
    while some := list(islice(rest, _AT_ONCE)):
        yield from gathering.entries(some)


def write_job_log(entries: Iterable[JobLogEntry], out: IO[str]) -> int:
    """Write a whole job log to `out`; returns the number of entries. A `JobLogger` can read it, and append to it."""
    count = 0
    for count, entry in enumerate(entries, start=1):
        out.write("[\n" if count == 1 else ",\n")
        out.write(line_of(entry))
    out.write("\n]\n" if count else "[\n]\n")
    return count
