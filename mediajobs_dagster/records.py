"""What happens, as frozen records: everything that a listener is told of.

`listeners.py` hands them on. Who does the work tells a record and does not know who listens: metrics, logs, progress
bars and alerts hang off these records alone. `attempts.outcome.AttemptEnded` belongs to them too; it has the manifest.
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
    """A job was put into the queue: asked for, or tried again at somebody's request."""

    job: NewJob


@dataclass(frozen=True, kw_only=True)
class JobsDispatched(Record):
    """Jobs were taken out of the queue for one run."""

    dispatch_id: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, kw_only=True)
class JobsHeld(Record):
    """Jobs of a type wait, and none is started now."""

    job_type: str
    reason: str
    retry_at: datetime | None = None
    """When the next one will be tried; None: not known."""


@dataclass(frozen=True, kw_only=True)
class BreakerChanged(Record):
    """The breaker of a job type is in another state than this process saw it in before."""

    job_type: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LeaseLost(Record):
    """The worker of an attempt fell silent, and the attempt was recorded as lost."""

    job: Job
    attempt_id: str
    host: str | None


# --- attempts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttemptKey:
    """Which attempt at which job a record is about."""

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
    """An attempt has come so far. Told about twice a second, and whenever a stage tells of itself."""

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
    """A call of an outside service has ended, well or not."""

    stage: str | None
    call: ServiceCall
