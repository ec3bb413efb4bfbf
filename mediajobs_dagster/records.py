"""Frozen records of what happens: everything that a listener receives.

`listeners.py` delivers them. The code that does the work sends a record and does not know who listens: metrics, logs,
progress bars and alerts depend on these records alone. `attempts.outcome.AttemptEnded` is one too; it has the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mediajobs_dagster.models import FfmpegCommand, Job, NewJob, Progress, ServiceCall, StorageOp, utc_now


@dataclass(frozen=True, kw_only=True)
class Record:
    """Something that happened."""

    at: datetime = field(default_factory=utc_now)


# --- jobs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JobQueued(Record):
    """A job was put into the queue, by a new request or by a request to retry it."""

    job: NewJob


@dataclass(frozen=True, kw_only=True)
class JobsDispatched(Record):
    """Jobs were taken out of the queue for one run."""

    dispatch_id: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, kw_only=True)
class JobsHeld(Record):
    """Jobs of a type are waiting, and none is started for now."""

    job_type: str
    reason: str
    retry_at: datetime | None = None
    """When the next one will be tried; None: unknown."""


@dataclass(frozen=True, kw_only=True)
class BreakerChanged(Record):
    """The state of a job type's breaker has changed since this process last read it."""

    job_type: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LeaseLost(Record):
    """The worker of an attempt let its lease run out, and the attempt was recorded as lost."""

    job: Job
    attempt_id: str
    host: str | None


# --- attempts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttemptKey:
    """The attempt, and its job, that a record is about."""

    attempt_id: str
    job_type: str
    subject_id: str
    job_id: str | None = None
    number: int = 1
    trace_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class AttemptRecord(Record):
    """Something that happened in an attempt."""

    key: AttemptKey


@dataclass(frozen=True, kw_only=True)
class AttemptStarted(AttemptRecord):
    """An attempt begins."""


@dataclass(frozen=True, kw_only=True)
class StageStarted(AttemptRecord):
    """An attempt enters a stage."""

    stage: str


@dataclass(frozen=True, kw_only=True)
class AttemptProgressed(AttemptRecord):
    """The progress of an attempt. Sent about twice a second, and whenever a stage reports progress of its own."""

    progress: Progress


@dataclass(frozen=True, kw_only=True)
class CommandEnded(AttemptRecord):
    """A process of an attempt has ended, well or not."""

    stage: str | None
    command: FfmpegCommand


@dataclass(frozen=True, kw_only=True)
class StorageOpEnded(AttemptRecord):
    """An operation on the storage has ended, well or not."""

    stage: str | None
    op: StorageOp


@dataclass(frozen=True, kw_only=True)
class CallEnded(AttemptRecord):
    """A call to an outside service has ended, well or not."""

    stage: str | None
    call: ServiceCall
