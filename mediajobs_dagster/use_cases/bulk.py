"""Retries or cancels every job that matches a filter: in small batches, and on record with count, reason and person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import Action, History, JobFilter
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Job, JobStatus, JsonObject
from mediajobs_dagster.records import JobQueued

_BATCH = 100
"""Jobs changed in one transaction; on SQLite it keeps every other writer waiting."""
_NAMED = 20
"""How many of the jobs are listed."""

RETRIED = (JobStatus.FAILED, JobStatus.DEAD)
"""The statuses of the jobs that a retry acts on unless others are asked for."""
CANCELLED = (JobStatus.QUEUED, JobStatus.FAILED, JobStatus.PROCESSING)
"""The statuses of the jobs that a cancellation acts on unless others are asked for."""


@dataclass
class BulkDone:
    """What was done to the jobs that match a filter, or would be."""

    action: str
    is_dry_run: bool
    by_type: Counter[str] = field(default_factory=Counter[str])
    """How many jobs, by their type."""
    left: Counter[str] = field(default_factory=Counter[str])
    """How many matched and were left as they are, by the reason why."""
    examples: list[Job] = field(default_factory=list[Job])
    """The first twenty, as they were before."""

    @property
    def count(self) -> int:
        """To how many jobs it was done."""
        return self.by_type.total()

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "action": self.action,
            "dryRun": self.is_dry_run,
            "count": self.count,
            "byType": dict(self.by_type),
            "left": dict(self.left),
            "examples": [job.id for job in self.examples],
        }


@dataclass(frozen=True)
class Bulk:
    """Acts on all jobs that match a filter."""

    history: History
    listeners: Listeners
    refusal: Callable[[Job], str | None]
    """Why a retry of a job could only fail; None: it may succeed."""

    def retry(self, filter: JobFilter, *, force: bool = False, reason: str = "", dry_run: bool = False) -> BulkDone:
        """Put every job that matches back into the queue.

        Without a status in the filter, those are meant that failed or are dead. A job whose upload is gone is left: it
        would only fail again. `force` makes outputs again even if they are up to date. With `dry_run` nothing is
        changed. Raises RequestError for a filter without any condition, or with a status that cannot be retried.
        """
        chosen = _with_statuses(filter, RETRIED, JobStatus.QUEUED)

        def change(batch: list[Job], done: BulkDone) -> list[Job]:
            refused = {job.id: why for job in batch if (why := self.refusal(job))}
            done.left.update(refused.values())
            able = [job for job in batch if job.id not in refused]
            if dry_run:
                return able
            changed = self.history.jobs.retry_many([job.id for job in able], chosen.statuses, force=force)
            self.listeners.tell_all([JobQueued(job=job) for job in changed])
            return changed

        return self._act("jobs retry", chosen, change, reason=reason, dry_run=dry_run)

    def cancel(self, filter: JobFilter, *, reason: str = "", dry_run: bool = False) -> BulkDone:
        """Cancel every job that matches; without a status in the filter, all that wait or are processing.

        With `dry_run` nothing is changed. Raises RequestError for a filter without any condition, or with a status that
        cannot be cancelled.
        """
        chosen = _with_statuses(filter, CANCELLED, JobStatus.CANCELLED)

        def change(batch: list[Job], _done: BulkDone) -> list[Job]:
            return batch if dry_run else self.history.jobs.cancel_many([job.id for job in batch], chosen.statuses)

        return self._act("jobs cancel", chosen, change, reason=reason, dry_run=dry_run)

    def _act(
        self,
        name: str,
        chosen: JobFilter,
        change: Callable[[list[Job], BulkDone], Sequence[Job]],
        *,
        reason: str,
        dry_run: bool,
    ) -> BulkDone:
        done = BulkDone(name, dry_run)
        try:
            for batch in _batches(self.history.jobs.iterate(chosen)):
                left_before = done.left.total()
                changed = {job.id for job in change(batch, done)}
                done.by_type.update(job.job_type for job in batch if job.id in changed)
                missed = len(batch) - len(changed) - (done.left.total() - left_before)
                if missed:  # a worker or another person was faster
                    done.left["has changed meanwhile"] += missed
                done.examples += [job for job in batch if job.id in changed][: _NAMED - len(done.examples)]
        finally:
            # Also after an interrupt: what was done by then is done.
            if done.count and not dry_run:
                target = ", ".join(f"{count} {job_type}" for job_type, count in done.by_type.most_common())
                action = Action(
                    action=name, target=target, count=done.count, reason=reason, details=_conditions_of(chosen)
                )
                self.history.actions.record(action)
        return done


def _with_statuses(filter: JobFilter, default: Sequence[JobStatus], to: JobStatus) -> JobFilter:
    if filter == JobFilter():
        raise RequestError("Say which jobs are meant: name one, or give conditions such as --failed or --type.")
    for status in filter.statuses:
        if not status.may_become(to) or (to is JobStatus.QUEUED and status is JobStatus.PROCESSING):
            raise RequestError(f"A job that is {status} cannot become {to}. Choose other jobs.")
    return replace(filter, statuses=filter.statuses or tuple(default))


def _batches(found: Iterator[Job]) -> Iterator[list[Job]]:
    while batch := list(islice(found, _BATCH)):
        yield batch


def _conditions_of(filter: JobFilter) -> JsonObject:
    given = {
        "type": filter.job_type,
        "statuses": [str(status) for status in filter.statuses],
        "trace": filter.trace_id,
        "subject": filter.subject_id,
        "error": filter.error_code,
        "since": filter.since.isoformat() if filter.since else None,
        "until": filter.until.isoformat() if filter.until else None,
        "host": filter.host,
        "longerThanMs": filter.longer_than_ms,
        "shorterThanMs": filter.shorter_than_ms,
        "text": filter.text,
    }
    return {name: value for name, value in given.items() if value is not None}
