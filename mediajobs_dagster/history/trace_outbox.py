"""What has ended and is not yet told to a collector of traces.

A row is written in the transaction that ends an attempt, or a job that waits, and only where traces are on. So nothing
is passed over, in whatever order transactions commit: a row is there until it is told, and nobody keeps a place in a
list.

    written ──► due ──► claimed by one exporter ──► told, and removed
                 ▲              │
                 └──────────────┘ the collector did not take it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.attempts import LIGHT_COLUMNS, attempt_of
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.job_rows import JOB_COLUMNS, job_of
from mediajobs_dagster.history.outboxes import claim_due
from mediajobs_dagster.history.schema import job_history, jobs, trace_outbox
from mediajobs_dagster.models import Attempt, Job, JobStatus, new_id

KEPT_S = 7 * 86_400.0
"""How long it is tried to tell something, seconds."""


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended, or a job, or both."""

    id: str
    attempt_id: str | None
    """None: a job ended while it waited."""
    job_id: str
    attempts_before: int
    """How many attempts the job had had when it was asked for, or last asked for again by hand."""
    job_status: JobStatus | None
    """How the job ended with it; None: it goes on. `FAILED`: it was asked for again before its next try was due."""
    assigned_at: datetime | None
    """When a run was given the job."""
    ended_at: datetime


@dataclass(frozen=True)
class TracedJob:
    """A job, and the attempts that were made since it was asked for, or last asked for again by hand."""

    job: Job
    caused_by_span: str | None
    """The id of the span that caused it, 16 hexadecimal digits."""
    attempts: tuple[Attempt, ...]
    """Without manifests, the oldest first."""


Endings = list[Ended]
_COLUMNS = tuple(trace_outbox.c[name] for name in Ended.__dataclass_fields__)


class TraceOutbox:
    """Hands what has ended to exporters. Several may take from it at the same time."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def is_due(self) -> bool:
        """Whether something waits to be told. One look into an index."""
        statement = sa.select(trace_outbox.c.id).where(trace_outbox.c.due_at <= db_now()).limit(1)
        with self._database.read() as connection:
            return connection.scalar(statement) is not None

    def claim(self, limit: int, *, hold_s: float) -> Endings:
        """Take what has been due the longest, in the order in which it ended. No two exporters get the same.

        An exporter that dies before it says what came of it loses them after `hold_s` seconds.
        """
        due = [trace_outbox.c.due_at <= db_now()]
        with self._database.write() as connection:
            rows = claim_due(connection, trace_outbox, due, _COLUMNS, until=db_time_in(hold_s), limit=limit)
            found = [_ended_of(row) for row in rows]
        return sorted(found, key=lambda each: (each.ended_at, each.id))

    def told(self, ids: Sequence[str]) -> None:
        """The collector has these; or they can never be told."""
        with self._database.write() as connection:
            connection.execute(sa.delete(trace_outbox).where(trace_outbox.c.id.in_(ids)))

    def not_told(self, ids: Sequence[str], *, wait_s: float = 0.0) -> None:
        """The collector did not take these. They are due again, before what ended later; or after `wait_s` seconds."""
        change = sa.update(trace_outbox).where(trace_outbox.c.id.in_(ids))
        with self._database.write() as connection:
            connection.execute(change.values(due_at=db_time_in(wait_s) if wait_s else trace_outbox.c.ended_at))

    def forget_old(self, limit: int = 1000) -> int:
        """Remove some of what ended longer ago than it is kept; returns how many."""
        old = sa.select(trace_outbox.c.id).where(trace_outbox.c.ended_at < db_time_in(-KEPT_S)).limit(limit)
        with self._database.write() as connection:
            return connection.execute(sa.delete(trace_outbox).where(trace_outbox.c.id.in_(old))).rowcount

    def waiting(self) -> int:
        """How many wait to be told."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(trace_outbox)) or 0

    def job_of(self, ended: Ended) -> TracedJob | None:
        """The job that something is about; None if it is gone."""
        finding = sa.select(*JOB_COLUMNS, jobs.c.caused_by_span).where(jobs.c.id == ended.job_id)
        since = (job_history.c.job_id == ended.job_id, job_history.c.attempt > ended.attempts_before)
        listing = sa.select(*LIGHT_COLUMNS).where(*since).order_by(job_history.c.attempt)
        with self._database.read() as connection:
            row = connection.execute(finding).mappings().one_or_none()
            if row is None:
                return None
            attempts = tuple(attempt_of(each) for each in connection.execute(listing).mappings())
        return TracedJob(job_of({name: row[name] for name in Job.model_fields}), row["caused_by_span"], attempts)


def _ended_of(row: sa.RowMapping) -> Ended:
    status = row["job_status"]
    return replace(Ended(**row), job_status=None if status is None else JobStatus(status))


def write_attempt_end(connection: sa.Connection, attempt: Attempt, job_status: JobStatus | None) -> None:
    """Note within a transaction that an attempt has ended, and how its job ended with it; None: it goes on."""
    of = {"of_attempt": attempt.id, "of_job": attempt.job_id, "ended_as": job_status}
    connection.execute(_WRITING_ATTEMPT, {**of, "row_id": new_id()})


def write_given_up(connection: sa.Connection, attempt: Attempt, job: Job) -> None:
    """Note that an attempt ended whose job does not belong to it any more.

    A cancelled job ends with it. If it was asked for again meanwhile, this attempt counts for itself.
    """
    is_last = job.status is JobStatus.CANCELLED and job.attempts == attempt.attempt
    write_attempt_end(connection, attempt, JobStatus.CANCELLED if is_last else None)
    overtaken = sa.update(trace_outbox).where(
        trace_outbox.c.attempt_id == attempt.id, trace_outbox.c.attempts_before >= attempt.attempt
    )
    connection.execute(overtaken.values(attempts_before=attempt.attempt - 1, job_status=JobStatus.CANCELLED))


def write_job_ends(connection: sa.Connection, job_ids: Sequence[str], job_status: JobStatus) -> None:
    """Note within a transaction that jobs end while they wait: nobody works on them.

    Before they are changed: one that is asked for again counts its attempts anew.
    """
    if rows := [{"of_job": each, "ended_as": job_status, "row_id": new_id()} for each in job_ids]:
        connection.execute(_WRITING_JOB, rows)


def _writing(**also: Any) -> sa.Insert:
    values: dict[str, Any] = {
        "id": sa.bindparam("row_id", type_=sa.String()),
        "job_id": jobs.c.id,
        "attempts_before": jobs.c.max_attempts - jobs.c.allowance,
        "job_status": sa.bindparam("ended_as", type_=sa.String()),
        "ended_at": db_now(),
        "due_at": db_now(),
        **also,
    }
    found = sa.select(*values.values()).where(jobs.c.id == sa.bindparam("of_job"))
    return sa.insert(trace_outbox).from_select(list(values), found)


# Built once, as those of `leases.py`.
_WRITING_ATTEMPT = _writing(
    attempt_id=sa.bindparam("of_attempt", type_=sa.String()),
    assigned_at=jobs.c.assigned_at,
)
_WRITING_JOB = _writing()
