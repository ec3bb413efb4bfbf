"""The queue: the jobs that were asked for, and their status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import IllegalTransitionError, NotFoundError
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.enqueueing import Assignment, Enqueued, insert_jobs
from mediajobs_dagster.history.folding import fold_in_turn
from mediajobs_dagster.history.job_filter import JobFilter
from mediajobs_dagster.history.job_rows import JOB_COLUMNS, check_transition, job_of, lock_job, set_job
from mediajobs_dagster.history.paging import newer_than, newest_of, older_than, pages, starting_after
from mediajobs_dagster.history.schema import (
    IS_FREE,
    IS_WAITING,
    UtcDateTime,
    job_counts,
    jobs,
)
from mediajobs_dagster.history.timelines import have_it_stay
from mediajobs_dagster.history.trace_outbox import write_job_ends
from mediajobs_dagster.models import Job, JobStatus, NewJob, Timeline, utc_now

_PAGE = 500


@dataclass(frozen=True)
class ErrorGroup:
    """Jobs with the same error."""

    code: str
    jobs: int
    by_span: tuple[int, ...] = ()
    """How many of them were asked for in each span of time, the oldest first."""


@dataclass(frozen=True)
class Due:
    """When a job may start, by the database's clock."""

    at: datetime
    """The moment; now, if the job may start at once."""
    in_s: float
    """How long until then, seconds."""

    @property
    def is_now(self) -> bool:
        """Whether it may start at once."""
        return self.in_s <= 0


@dataclass(frozen=True)
class Waiting:
    """How many jobs of a type wait in the queue; no run has them."""

    fresh: int
    """Not failed yet, or put back into the queue by hand. They are due."""
    failed: int
    """They pause before their next attempt, or the pause is over."""

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.fresh + self.failed


@dataclass(frozen=True)
class Leased:
    """Jobs that runs have been given."""

    jobs: int
    until: datetime | None
    """When the last of their leases ends, unless it is renewed; None: there are none."""


JobList = list[Job]
EnqueuedList = list[Enqueued]


_ONE = sa.select(*JOB_COLUMNS).where(jobs.c.id == sa.bindparam("id"))
"""Made once: that takes longer than its answer."""


class Jobs:
    """Reads and changes the table of jobs, for those who ask for jobs. Workers get jobs from `leases.py`."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def enqueue(
        self,
        new_jobs: Sequence[NewJob],
        *,
        dispatch_id: str | None = None,
        lease_s: float | None = None,
        now: datetime | None = None,
        about: Timeline | None = None,
    ) -> EnqueuedList:
        """Ask for jobs, all or none. For an idempotency key that a job has, the answer is that job.

        `about` is the timeline that they are about: a clean-up may be removing it, and it is stored again with them.

        With `dispatch_id` and `lease_s`, new jobs belong to that dispatch at once: a run that was started by hand works
        on the jobs that it asked for. Known jobs are not changed. `now` is when they were asked for.
        """
        assignment = None
        if dispatch_id is not None:
            if lease_s is None:
                raise ValueError("Jobs of a dispatch need a lease: give lease_s too.")
            assignment = Assignment(dispatch_id, lease_s)
        with self._database.write() as connection:
            if about is not None:
                have_it_stay(connection, about)
            answers = insert_jobs(connection, new_jobs, now=now or utc_now(), assignment=assignment)
        if answers:
            fold_in_turn(self._database, answers[0].job.id)
        return answers

    def get(self, job_id: str) -> Job:
        """The job with this id. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"id": job_id}).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no job {job_id}.")
        return job_of(row)

    def list(self, filter: JobFilter, *, limit: int = 50, after: str | None = None) -> JobList:
        """One page, the newest first; `after` is the last id of the page before.

        Raises NotFoundError when the job `after` is gone.
        """
        with self._database.read() as connection:
            behind = starting_after(connection, jobs, after)
            alternatives = [conditions + behind for conditions in filter.alternatives(connection)]
            return [job_of(row) for row in newest_of(connection, jobs, JOB_COLUMNS, alternatives, limit=limit)]

    def iterate(self, filter: JobFilter) -> Iterator[Job]:
        """All of them, the newest first, a page at a time; jobs added meanwhile do not show up."""

        def fetch(last: Job | None) -> JobList:
            behind = [] if last is None else [older_than(jobs, last.created_at, last.id)]
            with self._database.read() as connection:
                alternatives = [conditions + behind for conditions in filter.alternatives(connection)]
                return [job_of(row) for row in newest_of(connection, jobs, JOB_COLUMNS, alternatives, limit=_PAGE)]

        return pages(fetch)

    def changed(self, since: datetime, after: str = "", *, limit: int) -> JobList:
        """The jobs that changed after a moment, the earliest change first; of those of that very moment, after an id.

        A change is seen when its transaction ends, which may be after changes that are dated later. A heartbeat is no
        change, although it brings progress.
        """
        statement = (
            sa.select(*JOB_COLUMNS)
            .where(newer_than(jobs, since, after, "updated_at"))
            .order_by(jobs.c.updated_at, jobs.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [job_of(row) for row in connection.execute(statement).mappings()]

    def cancel(self, job_id: str) -> Job:
        """Cancel a job. Raises NotFoundError, and IllegalTransitionError when it is final already.

        If it is processing, its worker notices at the next heartbeat and ends the attempt. The lease stays until then,
        so that `Leases.lost` finds the attempt if the worker has died.
        """
        with self._database.write() as connection:
            job = lock_job(connection, job_id)
            check_transition(job, JobStatus.CANCELLED)
            lease = job.lease_expires_at if job.status is JobStatus.PROCESSING else None
            change = {"status": JobStatus.CANCELLED, "dispatch_id": None, "lease_expires_at": lease}
            if self._database.is_traced and job.status is not JobStatus.PROCESSING:
                write_job_ends(connection, [job.id], JobStatus.CANCELLED)
            return set_job(connection, job_id, change)

    def retry(self, job_id: str, *, force: bool = False, dispatch_id: str | None = None, lease_s: float = 0.0) -> Job:
        """Put a failed or final job back into the queue, due now, with as many further attempts as it had at first.

        A job that waits in the queue becomes due now. `force` makes its output again even if it is up to date. With
        `dispatch_id` and `lease_s` it belongs to that dispatch at once, and no other run takes it. Raises
        NotFoundError, and IllegalTransitionError for a job that is processing or that a run is about to start.
        """
        with self._database.write() as connection:
            job = lock_job(connection, job_id)
            _check_retry(job, dispatch_id)
            if self._database.is_traced and job.status is JobStatus.FAILED:
                write_job_ends(connection, [job.id], job.status)
            change: dict[str, Any] = {
                "status": JobStatus.QUEUED,
                "max_attempts": jobs.c.attempts + jobs.c.allowance,
                "not_before": db_now() if dispatch_id else None,
                "error_code": None,
                "force": job.force or force,
                "dispatch_id": dispatch_id,
                "lease_expires_at": db_time_in(lease_s) if dispatch_id else None,
            }
            return set_job(connection, job_id, change)

    def cancel_many(self, job_ids: Sequence[str], statuses: Sequence[JobStatus]) -> JobList:
        """Cancel those of these jobs that still have one of these statuses; returns them. All in one transaction.

        Those that are processing keep their lease, as in `cancel`. Ask for a hundred at a time.
        """
        is_processing = jobs.c.status == JobStatus.PROCESSING
        change = {
            "status": JobStatus.CANCELLED,
            "dispatch_id": None,
            "lease_expires_at": sa.case((is_processing, jobs.c.lease_expires_at), else_=sa.null()),
        }
        may = [each for each in statuses if each.may_become(JobStatus.CANCELLED)]
        return self._change_many(job_ids, may, change, end=JobStatus.CANCELLED)

    def retry_many(self, job_ids: Sequence[str], statuses: Sequence[JobStatus], *, force: bool = False) -> JobList:
        """Put those of these jobs that still have one of these statuses into the queue again; returns them.

        As `retry` does, all in one transaction; a job that a run has been given is left to that. Ask for a hundred at a
        time.
        """
        change: dict[str, Any] = {
            "status": JobStatus.QUEUED,
            "max_attempts": jobs.c.attempts + jobs.c.allowance,
            "not_before": None,
            "error_code": None,
            "force": sa.true() if force else jobs.c.force,
        }
        may = [each for each in statuses if each.may_become(JobStatus.QUEUED) and each is not JobStatus.PROCESSING]
        return self._change_many(job_ids, may, change, jobs.c.dispatch_id.is_(None), end=JobStatus.FAILED)

    def _change_many(
        self,
        job_ids: Sequence[str],
        statuses: Sequence[JobStatus],
        change: dict[str, Any],
        *also: sa.ColumnElement[bool],
        end: JobStatus,
    ) -> JobList:
        # By id, as everybody who locks several jobs: two of them cannot wait for each other.
        chosen = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.status.in_(statuses), *also)
        locked = chosen.order_by(jobs.c.id).with_for_update().cte("chosen")
        statement = (
            sa.update(jobs)
            .where(jobs.c.id.in_(sa.select(locked.c.id)))
            .values(**change, updated_at=db_now())
            .returning(*JOB_COLUMNS)
        )
        with self._database.write() as connection:
            if self._database.is_traced:
                found = chosen.add_columns(jobs.c.status).order_by(jobs.c.id).with_for_update()
                waiting = [row.id for row in connection.execute(found) if JobStatus(row.status).is_waiting]
                write_job_ends(connection, waiting, end)
            return [job_of(row) for row in connection.execute(statement).mappings()]

    def counts(self, job_type: str | None = None) -> dict[str, dict[JobStatus, int]]:
        """How many jobs there are, by job type and status. Every status is listed; a type without jobs is not."""
        columns = job_counts.c
        statement = sa.select(columns.job_type, columns.status, sa.func.sum(columns.jobs))
        if job_type is not None:
            statement = statement.where(columns.job_type == job_type)
        by_status = statement.group_by(columns.job_type, columns.status).having(sa.func.sum(columns.jobs) > 0)
        found: dict[str, dict[JobStatus, int]] = {}
        with self._database.read() as connection:
            for name, status, count in connection.execute(by_status):
                found.setdefault(name, dict.fromkeys(JobStatus, 0))[JobStatus(status)] = int(count)
        return found

    def errors(self, filter: JobFilter, spans: Sequence[datetime] = ()) -> list[ErrorGroup]:
        """The jobs that match and have an error, by it, the most frequent first.

        `spans` are moments, the oldest first; between each two lies a span of `ErrorGroup.by_span`.
        """
        number, since = sa.func.count(), jobs.c.created_at
        within = [number.filter(since >= start, since < end) for start, end in pairwise(spans)]
        with self._database.read() as connection:
            statement = (
                sa.select(jobs.c.error_code, number, *within)
                .where(jobs.c.error_code.is_not(None), *filter.conditions(connection))
                .group_by(jobs.c.error_code)
                .order_by(number.desc(), jobs.c.error_code)
            )
            found = connection.execute(statement).all()
        return [ErrorGroup(code, int(count), tuple(map(int, counts))) for code, count, *counts in found]

    def tally(self, trace_id: str) -> dict[JobStatus, int]:
        """How many jobs of a trace have each status; every status is listed."""
        statement = sa.select(jobs.c.status, sa.func.count()).where(jobs.c.trace_id == trace_id).group_by(jobs.c.status)
        with self._database.read() as connection:
            found = {JobStatus(status): number for status, number in connection.execute(statement)}
        return {status: found.get(status, 0) for status in JobStatus}

    def waiting(self, job_type: str | None = None) -> dict[str, Waiting]:
        """How many jobs wait in the queue, by job type; a type of which none waits is not listed."""
        known, active = job_counts.c, jobs.c
        counted = sa.select(known.job_type, known.status, sa.func.sum(known.jobs)).where(
            known.status.in_(JobStatus.waiting())
        )
        # What a run has been given keeps its status until it is claimed.
        given = sa.select(active.job_type, active.status, -sa.func.count()).where(active.dispatch_id.is_not(None))
        if job_type is not None:
            counted, given = counted.where(known.job_type == job_type), given.where(active.job_type == job_type)
        statement = sa.union_all(
            counted.group_by(known.job_type, known.status),
            given.where(IS_WAITING).group_by(active.job_type, active.status),
        )
        found: Counter[tuple[str, JobStatus]] = Counter()
        with self._database.read() as connection:
            for name, status, number in connection.execute(statement):
                found[name, JobStatus(status)] += int(number)
        types = sorted({name for (name, _), number in found.items() if number > 0})
        return {name: Waiting(*(max(0, found[name, status]) for status in JobStatus.waiting())) for name in types}

    def next_due(self, job_types: Sequence[str] | None = None) -> Due | None:
        """When the next unassigned job may start; None when none waits.

        Cheap enough for many calls a second: one index look-up for each job type.
        """
        statement, of = (_NEXT_DUE, {}) if job_types is None else (_NEXT_DUE_OF, {"job_types": list(job_types)})
        with self._database.read() as connection:
            due, now = connection.execute(statement, of).one()
        return None if due is None else Due(max(due, now), max(0.0, (due - now).total_seconds()))

    def leased(self, trace_id: str | None = None) -> Leased:
        """How many jobs, of a trace or at all, are assigned to a run or processing, and until when nobody gets them."""
        statement = sa.select(sa.func.count(), sa.func.max(jobs.c.lease_expires_at)).where(
            jobs.c.dispatch_id.is_not(None)
        )
        if trace_id is not None:
            statement = statement.where(jobs.c.trace_id == trace_id)
        with self._database.read() as connection:
            return Leased(*connection.execute(statement).one())

    def oldest_waiting(self, job_type: str) -> datetime | None:
        """When the job of a type that waits longest was asked for; None when none waits."""
        waiting = [
            sa.select(sa.func.min(jobs.c.created_at)).where(jobs.c.job_type == job_type, jobs.c.status == status)
            for status in JobStatus.waiting()
        ]
        with self._database.read() as connection:
            return min((found for each in waiting if (found := connection.scalar(each))), default=None)

    def active(self, job_type: str) -> int:
        """How many jobs of a type are assigned to a run or processing."""
        statement = sa.select(sa.func.count()).where(jobs.c.job_type == job_type, jobs.c.dispatch_id.is_not(None))
        with self._database.read() as connection:
            return connection.scalar(statement) or 0


def _check_retry(job: Job, dispatch_id: str | None) -> None:
    """Raise IllegalTransitionError if the job is under way, or about to be."""
    if job.status is JobStatus.PROCESSING:
        raise IllegalTransitionError(f"Job {job.id} is processing. Cancel it before you retry it.")
    # A queued job that is due later was put there by an older version, and the clock was set back since.
    is_postponed = job.status is JobStatus.QUEUED and job.not_before is not None and job.dispatch_id is None
    if not is_postponed or dispatch_id:
        check_transition(job, JobStatus.QUEUED)


def _next_due(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    kind = sa.select(job_counts.c.job_type).where(*conditions).distinct().subquery("kind")
    # With the type of any other moment, because what is due at once would look as if nothing waited.
    due_at = sa.type_coerce(jobs.c.not_before, UtcDateTime)
    first = sa.select(due_at).where(jobs.c.job_type == kind.c.job_type, IS_FREE).correlate(kind)
    due = first.order_by(jobs.c.not_before).limit(1).scalar_subquery()
    return sa.select(sa.func.min(due), db_now()).select_from(kind)


# Built once: building the statement takes longer than executing it.
_NEXT_DUE = _next_due()
_NEXT_DUE_OF = _next_due(job_counts.c.job_type.in_(sa.bindparam("job_types", expanding=True)))
