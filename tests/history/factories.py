"""Nouns with every field filled in; a test names only those it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.history.schema import job_history, jobs
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    MediaInfo,
    NewJob,
    Upload,
    UploadRole,
    new_id,
    new_trace_id,
    utc_now,
)

NOON = datetime(2026, 3, 4, 12, 0, 0, 123456, tzinfo=UTC)
DAY = date(2026, 3, 4)
TRACE = "0af7651916cd43dd8448eb211c80319c"
THUMB = "upload_thumb_v1"


def an_upload(**overrides: Any) -> Upload:
    values = {
        "id": new_id(),
        "role": UploadRole.SOURCE,
        "storage_key": "uploads/one/source.mp4",
        "filename": "Ferien am See 🏖.mp4",
        "bytes": 1000,
        "etag": "abc",
        "created_at": NOON,
        "trace_id": TRACE,
    }
    return Upload(**values | overrides)


def a_media_info(seconds: float = 12.5) -> MediaInfo:
    return MediaInfo(container="mov,mp4", duration_seconds=seconds, bytes=1000)


def a_new_job(**overrides: Any) -> NewJob:
    values = {
        "job_type": THUMB,
        "subject_id": "upload-1",
        "subject_day": DAY,
        "trace_id": TRACE,
        "params": {"seconds": 0.2},
        "idempotency_key": new_id(),
    }
    return NewJob(**values | overrides)


def some_new_jobs(count: int, **overrides: Any) -> list[NewJob]:
    return [a_new_job(subject_id=f"upload-{number}", **overrides) for number in range(count)]


def an_attempt(**overrides: Any) -> Attempt:
    """A successful attempt that belongs to no job."""
    values = {
        "id": new_id(),
        "job_id": None,
        "job_name": "schedule_sync",
        "attempt": 1,
        "run_id": "run-1",
        "trace_id": new_trace_id(),
        "status": AttemptStatus.SUCCESS,
        "started_at": NOON,
        "completed_at": NOON,
        "duration_ms": 100,
        "host": "worker-1",
        "created_at": NOON,
    }
    return Attempt(**values | overrides)


def claimed(history: History, *, now: datetime | None = None, **overrides: Any) -> Claim:
    """A fresh job that a worker has just started on; with `now`, its record says that it did so then."""
    [enqueued] = history.jobs.enqueue([a_new_job(**overrides)], dispatch_id=new_id(), lease_s=60, now=now)
    assert enqueued.job.dispatch_id is not None
    claim = history.leases.claim(enqueued.job.dispatch_id, run_id="run-1", host="worker-1", lease_s=60)
    assert claim is not None
    return claim if now is None else begun_at(history, claim, now)


def begun_at(history: History, claim: Claim, moment: datetime) -> Claim:
    """The same claim, whose record says that the attempt began at that moment."""
    begun = {"started_at": moment, "created_at": moment}
    with history._database.write() as connection:
        connection.execute(sa.update(job_history).where(job_history.c.id == claim.attempt.id).values(**begun))
    return replace(claim, attempt=claim.attempt.model_copy(update=begun))


def let_pass(history: History, seconds: float) -> None:
    """Let so many seconds pass by the database's clock: every moment of the queue is so much longer ago.

    Negative: the clock is set back.
    """
    columns = [jobs.c[name] for name in ("lease_expires_at", "not_before", "created_at", "updated_at")]
    with history._database.write() as connection:
        for row in connection.execute(sa.select(jobs.c.id, *columns)).mappings().all():
            moved = {
                column.name: row[column.name] - timedelta(seconds=seconds)
                for column in columns
                if row[column.name] is not None  # as what is due at once
            }
            connection.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(**moved))


def ended(claim: Claim, status: AttemptStatus = AttemptStatus.SUCCESS, **overrides: Any) -> Attempt:
    """The claim's attempt as its worker reports it at the end."""
    values: dict[str, Any] = {"status": status, "completed_at": utc_now(), "duration_ms": 1200}
    if status in (AttemptStatus.FAILURE, AttemptStatus.LOST):
        values |= {"error_code": "DISK_FULL", "blame": Blame.SYSTEM, "error": "The scratch disk is full."}
    return claim.attempt.model_copy(update=values | overrides)
