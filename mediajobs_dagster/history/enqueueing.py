"""Puts jobs into the queue, within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import insert_new
from mediajobs_dagster.history.job_rows import JOB_COLUMNS, NO_LEASE, job_of
from mediajobs_dagster.history.schema import jobs
from mediajobs_dagster.history.turns import give_turns
from mediajobs_dagster.models import Job, JobStatus, NewJob, new_id
from mediajobs_dagster.trace_context import TraceParent, followed

_CHUNK = 1000
"""Keys looked up at once, well below SQLite's limit of bound parameters."""


@dataclass(frozen=True)
class Enqueued:
    """The answer to a request for a job."""

    job: Job
    created: bool
    """False: a job had the same idempotency key. That one was not changed."""


@dataclass(frozen=True)
class Assignment:
    """A dispatch to which new jobs belong from the start."""

    dispatch_id: str
    lease_s: float


def insert_jobs(
    connection: sa.Connection,
    new_jobs: Sequence[NewJob],
    *,
    now: datetime,
    assignment: Assignment | None = None,
    caused_by: TraceParent | None = None,
) -> list[Enqueued]:
    """Insert those requests whose idempotency key is new; the answers come in the order of the requests.

    `caused_by` is the span that caused those of its trace; by default the one that is followed here.
    """
    if not new_jobs:
        return []
    cause = caused_by or followed()
    rows = [_row_of(new_job, now, cause) for new_job in new_jobs]
    before = _known_keys(connection, [new_job.idempotency_key for new_job in new_jobs])
    give_turns(connection, [row for row in rows if row["idempotency_key"] not in before])
    # All writers insert in the order of the keys, so that two overlapping batches cannot deadlock.
    by_key = sorted(rows, key=lambda row: row["idempotency_key"])
    insert_new(connection, jobs, by_key, also=_changed_now(assignment))
    known = _by_idempotency_key(connection, [new_job.idempotency_key for new_job in new_jobs])
    answers = [(known[row["idempotency_key"]], row["id"]) for row in rows]
    return [Enqueued(job=job, created=job.id == row_id) for job, row_id in answers]


def _row_of(new_job: NewJob, now: datetime, caused_by: TraceParent | None) -> dict[str, Any]:
    row = new_job.model_dump() | {
        "id": new_id(),
        "status": JobStatus.QUEUED,
        "attempts": 0,
        "allowance": new_job.max_attempts,
        "not_before": None,
        "created_at": now,
        "error_code": None,
        "turn": 0,
    }
    if caused_by is None:
        return row
    return {**row, "caused_by_span": caused_by.span_id if caused_by.trace_id == new_job.trace_id else None}


def _changed_now(assignment: Assignment | None) -> dict[str, Any]:
    """What all rows have alike. Changes are dated by the database's clock, for whoever looks for the latest ones."""
    return {"updated_at": db_now(), **(_lease_of(assignment) if assignment else NO_LEASE)}


def _lease_of(assignment: Assignment) -> dict[str, Any]:
    return {"dispatch_id": assignment.dispatch_id, "lease_expires_at": db_time_in(assignment.lease_s)}


def _known_keys(connection: sa.Connection, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(keys), _CHUNK):
        found.update(connection.scalars(_KNOWN, {"keys": keys[start : start + _CHUNK]}))
    return found


def _by_idempotency_key(connection: sa.Connection, keys: Sequence[str]) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for start in range(0, len(keys), _CHUNK):
        rows = connection.execute(_WITH_KEYS, {"keys": keys[start : start + _CHUNK]}).mappings()
        found.update((row["idempotency_key"], job_of(row)) for row in rows)
    return found


# Built once, see `leases.py`.
_HAS_KEY = jobs.c.idempotency_key.in_(sa.bindparam("keys", expanding=True))
_KNOWN = sa.select(jobs.c.idempotency_key).where(_HAS_KEY)
_WITH_KEYS = sa.select(*JOB_COLUMNS).where(_HAS_KEY)
