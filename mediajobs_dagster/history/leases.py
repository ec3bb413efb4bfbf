"""Who works on which job, and until when.

A dispatch is a batch of jobs for one run. `assign` takes jobs out of the queue for it, `claim` starts them one at a
time, `renew` keeps them, `finish` ends them. A worker that stops renewing loses its jobs when the lease runs out.
A job has a dispatch id exactly while it is assigned (and waiting) or processing.

Every moment of a lease is the database's: written by its clock and compared with its clock. A worker or a daemon whose
own clock is wrong neither loses jobs nor takes any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history.attempts import complete_attempt, insert_first_entry, is_final_as, running_attempts
from mediajobs_dagster.history.clock import DatabaseTime, db_now, db_time_in
from mediajobs_dagster.history.current import point_at, replaced_by
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.enqueueing import insert_jobs
from mediajobs_dagster.history.folding import fold_in_turn
from mediajobs_dagster.history.job_rows import JOB_COLUMNS, NO_LEASE, check_transition, job_of, lock_job
from mediajobs_dagster.history.schema import IS_FREE, IS_WAITING, job_counts, job_history, jobs
from mediajobs_dagster.history.series import Measure, add_measures
from mediajobs_dagster.history.trace_outbox import write_attempt_end, write_given_up, write_job_ends
from mediajobs_dagster.history.turns import first_turn
from mediajobs_dagster.history.uploads import put_upload
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    Job,
    JobProgress,
    JobStatus,
    NewJob,
    Upload,
    new_id,
    utc_now,
)
from mediajobs_dagster.trace_context import TraceParent, attempt_span_id


@dataclass(frozen=True)
class Dispatch:
    """A batch of jobs of one type, one trace and one day, taken out of the queue for one run."""

    id: str
    job_type: str
    trace_id: str
    subject_day: date
    priority: int
    """The highest of its jobs."""
    jobs: tuple[Job, ...]
    """In the order in which they will be claimed."""


@dataclass(frozen=True)
class Claim:
    """A job that is being worked on, and the attempt that does it."""

    job: Job
    attempt: Attempt


@dataclass(frozen=True)
class Finished:
    """What the recorded end of an attempt changed beside the job."""

    replaced: str | None = None
    """The attempt whose outputs were the subject's current ones before, None if there was none."""


DispatchIds = list[str]

RENEWED_AT_ONCE = 1000
"""Most waiting jobs of a dispatch that one heartbeat renews; far more than a run that dispatch starts has."""

_LEASES_AHEAD = 3
"""A lease that ends later than so many leases from now was made before the clock was set back."""
_SHORTENED_AT_ONCE = 500
_TOLERANCE_S = 1.0
"""How far a clock may be corrected back without notice, seconds."""

_LAST_TURN = 2**63 - 1
_OF_TYPE = sa.bindparam("of_type", type_=sa.String())
_LEASE_S = sa.bindparam("lease_s", type_=sa.Float())
_PROBE_LOCK = 0x6D6A7031  # "mjp1" in ASCII; only has to differ from other programs' locks


class Leases:
    """Hands jobs to workers and takes them back."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def assign(
        self,
        job_type: str,
        *,
        limit: int,
        lease_s: float,
        only_if_idle: bool = False,
        only_fresh: bool = False,
        besides: Collection[str] = (),
    ) -> Dispatch | None:
        """Take the first due job of a type, and others of its trace and day, for a new run: up to `limit` in all.

        The first job is the one with the highest priority, then the one whose turn it is (`turns.py`), then the oldest.
        None when no job of the type is due. With `only_if_idle`, also None when one is assigned or processing; of
        several callers at once, one gets a dispatch. With `only_fresh`, jobs that wait for their next try after a
        failure are left in the queue. Jobs of the traces `besides` are left too; then, only jobs of the highest
        priority that is due and of this turn and the next are looked at.
        """
        dispatch_id = new_id()
        statement = _assigning(only_fresh=only_fresh, only_of_others=bool(besides))
        of = {"of_type": job_type, "most": limit, "for_dispatch": dispatch_id, "lease_s": lease_s}
        with self._database.write() as connection:
            if only_if_idle and not self._is_idle(connection, job_type):
                return None
            rows = connection.execute(statement, {**of, "besides": list(besides)} if besides else of).mappings()
            taken = [job_of(row) for row in rows]
        if not taken:
            return None
        taken.sort(key=lambda job: (-job.priority, job.id))
        first = taken[0]
        return Dispatch(dispatch_id, job_type, first.trace_id, first.subject_day, first.priority, tuple(taken))

    def _is_idle(self, connection: sa.Connection, job_type: str) -> bool:
        if not self._database.is_sqlite:
            # On PostgreSQL a transaction does not see what another is about to assign, so callers take turns.
            turn = sa.func.pg_advisory_xact_lock(_PROBE_LOCK, sa.func.hashtext(job_type))
            connection.execute(sa.select(turn))
        is_active = sa.exists().where(jobs.c.job_type == job_type, jobs.c.dispatch_id.is_not(None))
        return not connection.scalar(sa.select(is_active))

    def claim(
        self,
        dispatch_id: str,
        *,
        run_id: str | None,
        host: str,
        lease_s: float,
        instance_type: str | None = None,
        side_by_side: int | None = None,
    ) -> Claim | None:
        """Start the next waiting job of a dispatch; None when there is none. Two workers never get the same job.

        The attempt's `running` row is written in the same transaction, so every start is on record, with what is known
        of the machine: of an attempt that is lost there will be nothing else.
        """
        with self._database.write() as connection:
            of = {"of_dispatch": dispatch_id, "lease_s": lease_s}
            row = connection.execute(_CLAIMING, of).mappings().one_or_none()
            if row is None:
                return None
            job = job_of(row)
            on_machine = {"host": host, "instance_type": instance_type, "side_by_side": side_by_side}
            attempt = _first_entry(job, run_id).model_copy(update=on_machine)
            insert_first_entry(connection, attempt)
        return Claim(job, attempt)

    def renew(
        self, dispatch_id: str, *, lease_s: float, progress: Mapping[str, JobProgress] | None = None
    ) -> dict[str, JobStatus]:
        """Extend the lease of a dispatch's jobs: the heartbeat. Returns the status of each job that it still has.

        `progress` is how far its running jobs are, by their ids; it is stored with them.

        A claimed job that is missing, or not `processing`, was cancelled or recorded as lost: stop working on it. At
        most RENEWED_AT_ONCE waiting jobs are renewed and returned, which keeps the others too: see
        `expired_dispatches`.
        """
        statement = _RENEWING.values(_progress_of(progress)) if progress else _RENEWING
        with self._database.write() as connection:
            rows = connection.execute(statement, {"of_dispatch": dispatch_id, "lease_s": lease_s})
            return {row.id: JobStatus(row.status) for row in rows}

    def finish(
        self,
        attempt: Attempt,
        *,
        job_status: JobStatus,
        pause_s: float | None = None,
        children: Sequence[NewJob] = (),
        uploads: Sequence[Upload] = (),
        measures: Sequence[Measure] = (),
    ) -> Finished | None:
        """End an attempt and its job, and add its children, uploads and `measures`, all in one transaction.

        A success becomes the one whose outputs are the subject's current ones. None, and nothing is written, when the
        job does not belong to this attempt any more (cancelled, or recorded as lost): then the attempt ends with
        `give_up`. May be called again when its answer did not arrive. A failed job may be tried again after `pause_s`,
        by the database's clock; None: at once. Raises NotFoundError, IllegalTransitionError.
        """
        if not attempt.status.is_final:
            raise IllegalTransitionError(f"Attempt {attempt.id} cannot finish as {attempt.status}.")
        finished = self._finish(attempt, job_status, pause_s, children, uploads, measures)
        if finished is not None:
            fold_in_turn(self._database, attempt.id)
        return finished

    def _finish(
        self,
        attempt: Attempt,
        job_status: JobStatus,
        pause_s: float | None,
        children: Sequence[NewJob],
        uploads: Sequence[Upload],
        measures: Sequence[Measure],
    ) -> Finished | None:
        with self._database.write() as connection:
            job = lock_job(connection, attempt.job_id)
            of_subject = {"subject_id": job.subject_id, "job_type": job.job_type}
            if job.status is not JobStatus.PROCESSING or job.attempts != attempt.attempt:
                # Only the attempt itself writes how it ended, unless it was lost: an earlier call of this did.
                if attempt.status is AttemptStatus.LOST or not is_final_as(connection, attempt):
                    return None
                is_made = attempt.status in (AttemptStatus.SUCCESS, AttemptStatus.SKIPPED)
                return Finished(replaced_by(connection, attempt, **of_subject) if is_made else None)
            check_transition(job, job_status)
            complete_attempt(connection, attempt)
            of = {"of_job": job.id, "job_status": job_status, "job_error": attempt.error_code}
            if pause_s is None:
                connection.execute(_ENDING, of)
            else:
                connection.execute(_PAUSING, {**of, "pause_s": pause_s})
            for upload in uploads:
                put_upload(connection, upload)
            insert_jobs(connection, children, now=utc_now(), caused_by=self._span_of(job, attempt))
            if self._database.is_traced:
                write_attempt_end(connection, attempt, job_status if job_status.is_final else None)
            add_measures(connection, measures)
            is_made = attempt.status is AttemptStatus.SUCCESS
            return Finished(point_at(connection, attempt, **of_subject) if is_made else None)

    def _span_of(self, job: Job, attempt: Attempt) -> TraceParent | None:
        """The span that causes the children of an attempt; None where traces are off."""
        return TraceParent(job.trace_id, attempt_span_id(attempt.id)) if self._database.is_traced else None

    def give_up(self, attempt: Attempt, *, measures: Sequence[Measure] = ()) -> None:
        """End an attempt whose job does not belong to it any more. Its row is completed, unless it is final already.

        With the row `measures` are added.

        Raises NotFoundError, and IllegalTransitionError for an attempt that is running or has made something.
        """
        if not attempt.status.is_final or attempt.status in (AttemptStatus.SUCCESS, AttemptStatus.SKIPPED):
            raise IllegalTransitionError(f"Attempt {attempt.id} cannot be given up as {attempt.status}.")
        with self._database.write() as connection:
            job = lock_job(connection, attempt.job_id)
            if complete_attempt(connection, attempt):
                add_measures(connection, measures)
                if self._database.is_traced:
                    write_given_up(connection, attempt, job)
            _forget_lease(connection, job, attempt)
        fold_in_turn(self._database, attempt.id)

    def release(self, dispatch_id: str, *, measures: Callable[[int], Sequence[Measure]] = lambda _: ()) -> int:
        """Return the jobs of a dispatch that were never started to the queue; returns how many.

        With them what `measures` says of that number is added.

        They are next: their turns were those of their trace before others came, who must not all go first.
        """
        with self._database.write() as connection:
            released = connection.execute(_RELEASING, {"of_dispatch": dispatch_id}).rowcount
            add_measures(connection, measures(released))
            return released

    def cancel_assigned(self, dispatch_id: str) -> int:
        """Cancel the jobs of a dispatch that were never started; returns how many."""
        cancelled = {"status": JobStatus.CANCELLED, "updated_at": db_now()}
        statement = sa.update(jobs).where(jobs.c.dispatch_id == dispatch_id, IS_WAITING).values(**cancelled, **NO_LEASE)
        with self._database.write() as connection:
            if not self._database.is_traced:
                return connection.execute(statement).rowcount
            ended = [job_of(row) for row in connection.execute(statement.returning(*JOB_COLUMNS)).mappings()]
            write_job_ends(connection, [job.id for job in ended], JobStatus.CANCELLED)
            return len(ended)

    def any_of(self, dispatch_ids: Sequence[str]) -> bool:
        """Whether one of these dispatches has a job that waits for its run or is being worked on."""
        statement = sa.select(sa.exists().where(jobs.c.dispatch_id.in_(dispatch_ids)))
        with self._database.read() as connection:
            return bool(connection.scalar(statement))

    def expired_dispatches(self) -> DispatchIds:
        """Dispatches whose lease ran out before their run started all of their jobs.

        The lease of a dispatch is the latest of its jobs, so that a run need not renew a hundred thousand jobs.
        """
        waiting = sa.func.count().filter(IS_WAITING)
        expired = (sa.func.max(jobs.c.lease_expires_at) < db_now(), waiting > 0)
        of_dispatch = sa.select(jobs.c.dispatch_id).where(jobs.c.dispatch_id.is_not(None)).group_by(jobs.c.dispatch_id)
        with self._database.read() as connection:
            found = connection.scalars(of_dispatch.having(sa.and_(*expired)))
            return [dispatch_id for dispatch_id in found if dispatch_id is not None]

    def waiting_dispatches(self) -> DispatchIds:
        """Dispatches with jobs that their run has not started."""
        statement = sa.select(jobs.c.dispatch_id).where(jobs.c.dispatch_id.is_not(None), IS_WAITING).distinct()
        with self._database.read() as connection:
            return [dispatch_id for dispatch_id in connection.scalars(statement) if dispatch_id is not None]

    def heed_clock(self, *, lease_s: float) -> int:
        """Shorten leases and pauses that were made before the clock was set back; returns how many jobs had one.

        Otherwise a dead worker would keep its jobs, and a failed job would wait, for as much longer as the clock was
        set back. A worker that lives renews its lease before the shortened one ends.
        """
        longest = _LEASES_AHEAD * lease_s
        leases = sa.select(jobs.c.id).where(jobs.c.lease_expires_at > db_time_in(longest))
        with self._database.read() as connection:
            # Reads first: nearly always there is nothing to write, and on SQLite a write waits for all others.
            leased = connection.scalars(leases.limit(_SHORTENED_AT_ONCE)).all()
            paused = connection.scalars(_OVERTAKEN).all()
        if leased or paused:
            shorten = sa.update(jobs).where(jobs.c.id.in_(leased)).values(lease_expires_at=db_time_in(longest))
            resume = sa.update(jobs).where(jobs.c.id.in_(paused), IS_FREE).values(not_before=None, updated_at=db_now())
            with self._database.write() as connection:
                connection.execute(shorten)
                connection.execute(resume)
        return len(leased) + len(paused)

    def lost(self, *, limit: int = 100) -> list[Claim]:
        """Jobs whose lease has run out while their attempt was running, the earliest first.

        Cancelled jobs are among them if their worker died before it recorded the cancellation. End each attempt as
        `lost`: with `finish`, or with `give_up` if its job was cancelled.
        """
        statement = (
            sa.select(*JOB_COLUMNS)
            .join(job_history, sa.and_(job_history.c.job_id == jobs.c.id, job_history.c.attempt == jobs.c.attempts))
            .where(jobs.c.lease_expires_at < db_now(), job_history.c.status == AttemptStatus.RUNNING)
            .where(jobs.c.status.in_((JobStatus.PROCESSING, JobStatus.CANCELLED)))
            .order_by(jobs.c.lease_expires_at)
            .limit(limit)
        )
        with self._database.read() as connection:
            found = [job_of(row) for row in connection.execute(statement).mappings()]
            running = running_attempts(connection, [job.id for job in found])
        pairs = [(job, running.get((job.id, job.attempts))) for job in found]
        return [Claim(job, attempt) for job, attempt in pairs if attempt is not None]

    def forsaken(self, *, lease_s: float, limit: int = 100) -> list[Claim]:
        """Attempts that are under way by their record although their job went on without them, a lease ago or more.

        The job was cancelled and asked for again before its worker noticed. One that lives ends its attempt at the next
        heartbeat, so this one has died. End them with `give_up`.
        """
        went_on = sa.or_(jobs.c.attempts > job_history.c.attempt, jobs.c.status.in_(_GONE_ON))
        statement = (
            sa.select(*JOB_COLUMNS, job_history.c.id.label("attempt_id"))
            .join(job_history, job_history.c.job_id == jobs.c.id)
            .where(job_history.c.status == AttemptStatus.RUNNING, went_on, jobs.c.updated_at < db_time_in(-lease_s))
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings().all()
            found = {row["attempt_id"]: job_of({name: row[name] for name in Job.model_fields}) for row in rows}
            running = running_attempts(connection, [job.id for job in found.values()])
        return [Claim(found[attempt.id], attempt) for attempt in running.values() if attempt.id in found]


_GONE_ON = tuple(status for status in JobStatus if status not in (JobStatus.PROCESSING, JobStatus.CANCELLED))


@cache
def _assigning(*, only_fresh: bool, only_of_others: bool) -> ReturningUpdate[Any]:
    # Common table expressions, because PostgreSQL runs one that locks rows exactly once. It may run an
    # IN (SELECT … LIMIT) again for every row of the outer query, and so take more rows than the limit.
    is_due = sa.and_(jobs.c.job_type == _OF_TYPE, jobs.c.not_before <= db_now(), IS_FREE)
    if only_fresh:
        is_due = sa.and_(is_due, jobs.c.status == JobStatus.QUEUED)
    order = (jobs.c.priority.desc(), jobs.c.turn, jobs.c.id)
    is_first = sa.and_(is_due, _is_of_others(is_due)) if only_of_others else is_due
    head = (
        sa.select(jobs.c.trace_id, jobs.c.subject_day)
        .where(is_first)
        .order_by(*order)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("head")
    )
    batch = (
        sa.select(jobs.c.id)
        # Compared with single values rather than joined, so that every planner looks the trace up in its index.
        .where(
            is_due,
            jobs.c.trace_id == sa.select(head.c.trace_id).scalar_subquery(),
            jobs.c.subject_day == sa.select(head.c.subject_day).scalar_subquery(),
        )
        .order_by(*order)
        .limit(sa.bindparam("most", type_=sa.Integer()))
        .with_for_update(skip_locked=True)
        .cte("batch")
    )
    return (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(batch.c.id)))
        .values(
            dispatch_id=sa.bindparam("for_dispatch"),
            lease_expires_at=db_time_in(_LEASE_S),
            # Since when it has been due, for the record: from here on nobody asks any more whether it is.
            not_before=sa.case((jobs.c.not_before < jobs.c.updated_at, jobs.c.updated_at), else_=jobs.c.not_before),
            updated_at=db_now(),
        )
        .returning(*JOB_COLUMNS)
    )


def _is_of_others(is_due: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Whether a job is one of the foremost of another trace.

    Each trace that waits has a job in this turn or the next, unless it has just been served. Without that bound, each
    job of a large folder would be looked at, to find in the end that there is no other trace.
    """
    due = sa.select(jobs.c.priority).where(is_due).order_by(jobs.c.priority.desc()).limit(1)
    foremost = due.correlate(None).scalar_subquery()
    this_turn = first_turn(_OF_TYPE, foremost)
    # Where none is new there are few: those that failed.
    is_soon = jobs.c.turn <= sa.func.coalesce(this_turn + 1, _LAST_TURN)
    is_other = jobs.c.trace_id.not_in(sa.bindparam("besides", expanding=True))
    return sa.and_(is_other, jobs.c.priority == foremost, is_soon)


def _claiming() -> ReturningUpdate[Any]:
    # Wait for a locked row and do not skip it: an `assign` that began before this dispatch was made can still hold the
    # row for a moment, and a skipped job would wait until its lease runs out.
    first = (
        sa.select(jobs.c.id)
        .where(jobs.c.dispatch_id == sa.bindparam("of_dispatch"), IS_WAITING)
        .order_by(jobs.c.priority.desc(), jobs.c.id)
        .limit(1)
        .with_for_update()
        .cte("first_job")
    )
    return (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(first.c.id)))
        .values(
            status=JobStatus.PROCESSING,
            attempts=jobs.c.attempts + 1,
            progress=sa.null(),
            lease_expires_at=db_time_in(_LEASE_S),
            assigned_at=jobs.c.updated_at,  # nothing but the assignment changed it since
            updated_at=db_now(),
        )
        .returning(*JOB_COLUMNS)
    )


def _ending(*, not_before: DatabaseTime | None) -> sa.Update:
    return (
        sa.update(jobs)
        .where(jobs.c.id == sa.bindparam("of_job"))
        .values(
            status=sa.bindparam("job_status"),
            error_code=sa.bindparam("job_error"),
            not_before=not_before,
            updated_at=db_now(),
            progress=sa.null(),
            **NO_LEASE,
        )
    )


def _renewing() -> ReturningUpdate[Any]:
    is_of_dispatch = jobs.c.dispatch_id == sa.bindparam("of_dispatch")
    waiting = sa.select(jobs.c.id).where(is_of_dispatch, IS_WAITING).limit(RENEWED_AT_ONCE)
    return (
        sa.update(jobs)
        .where(is_of_dispatch, sa.or_(jobs.c.status == JobStatus.PROCESSING, jobs.c.id.in_(waiting)))
        .values(lease_expires_at=db_time_in(_LEASE_S))
        .returning(jobs.c.id, jobs.c.status)
    )


def _releasing() -> sa.Update:
    now_served = first_turn(jobs.c.job_type, jobs.c.priority).correlate(jobs)
    turn = sa.case((now_served < jobs.c.turn, now_served), else_=jobs.c.turn)
    return (
        sa.update(jobs)
        .where(jobs.c.dispatch_id == sa.bindparam("of_dispatch"), IS_WAITING)
        .values(not_before=None, updated_at=db_now(), turn=turn, **NO_LEASE)
    )


def _progress_of(progress: Mapping[str, JobProgress]) -> dict[str, Any]:
    """The column `progress` of each of these jobs."""
    kind = jobs.c.progress.type
    values = [(jobs.c.id == job_id, sa.literal(each.to_json(), kind)) for job_id, each in progress.items()]
    return {"progress": sa.case(*values, else_=jobs.c.progress)}


# The statements of every attempt are built once: building one takes longer than executing it.
_CLAIMING = _claiming()
_RENEWING = _renewing()
_RELEASING = _releasing()
_ENDING = _ending(not_before=None)
_PAUSING = _ending(not_before=db_time_in(sa.bindparam("pause_s", type_=sa.Float())))


def _overtaken() -> sa.Select[Any]:
    """Pauses that began in the future. By type, because the index of what is due begins with it."""
    kind = sa.select(job_counts.c.job_type).distinct().subquery("kind")
    is_paused = sa.and_(jobs.c.job_type == kind.c.job_type, jobs.c.not_before > db_now(), IS_FREE)
    return (
        sa.select(jobs.c.id)
        .join_from(kind, jobs, is_paused)
        .where(jobs.c.updated_at > db_time_in(_TOLERANCE_S))
        .limit(_SHORTENED_AT_ONCE)
    )


_OVERTAKEN = _overtaken()


def _first_entry(job: Job, run_id: str | None) -> Attempt:
    # A job that is tried for the first time has waited since it was asked for, even if a run gave it back meanwhile.
    since = job.not_before if job.attempts > 1 and job.not_before else job.created_at
    waited = job.updated_at - since
    now = utc_now()  # the worker's clock, as for all that it records of the attempt
    return Attempt(
        id=new_id(),
        job_id=job.id,
        job_name=job.job_type,
        attempt=job.attempts,
        run_id=run_id,
        trace_id=job.trace_id,
        status=AttemptStatus.RUNNING,
        started_at=now,
        queue_ms=max(0, round(waited.total_seconds() * 1000)),
        created_at=now,
    )


def _forget_lease(connection: sa.Connection, job: Job, attempt: Attempt) -> None:
    # A cancelled job keeps its lease until its worker has ended the attempt, see `Jobs.cancel`.
    if job.status is JobStatus.CANCELLED and job.attempts == attempt.attempt:
        statement = sa.update(jobs).where(jobs.c.id == job.id).values(lease_expires_at=None)
        connection.execute(statement)
