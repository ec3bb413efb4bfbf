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
    """When, in UTC."""


# --- jobs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class JobQueued(Record):
    """A job was put into the queue, by a new request or by a request to retry it."""

    job: NewJob
    """The request."""


@dataclass(frozen=True, kw_only=True)
class JobCancelled(Record):
    """A job was cancelled on request. One that is being processed stops at its worker's next heartbeat."""

    job: Job
    """The job, as it is now."""


@dataclass(frozen=True, kw_only=True)
class JobsDispatched(Record):
    """Jobs were taken out of the queue for one run."""

    dispatch_id: str
    """Names the batch; its run has the tag `mediajobs/dispatch`."""
    jobs: tuple[Job, ...]
    """All of them, of one trace and one day."""


@dataclass(frozen=True, kw_only=True)
class JobsHeld(Record):
    """Jobs of a type are waiting, and none is started for now."""

    job_type: str
    """The job type."""
    reason: str
    """All of it in a sentence."""
    waiting: int = 0
    """How many wait."""
    since: datetime | None = None
    """When the breaker opened."""
    error_codes: tuple[str, ...] = ()
    """What the jobs that opened it failed by, the most frequent first."""
    retry_at: datetime | None = None
    """When the next one will be tried; None: unknown."""


@dataclass(frozen=True, kw_only=True)
class ScheduleMissed(Record):
    """A schedule was due while nothing was running; the latest of the missed moments is made up for now."""

    job_type: str
    """The job type that the schedule asks for."""
    missed: int
    """How many moments were missed."""
    first: datetime
    """The first of them."""
    last: datetime
    """The last of them."""
    job: Job
    """The job that makes up for them."""
    reason: str
    """All of it in a sentence."""


@dataclass(frozen=True, kw_only=True)
class BreakerChanged(Record):
    """The state of a job type's breaker has changed since this process last read it."""

    job_type: str
    """The job type."""
    before: str
    """closed, open or half_open."""
    after: str
    """closed, open or half_open."""
    reason: str
    """In a sentence."""
    since: datetime | None = None
    """When it opened; None: it is closed."""
    error_codes: tuple[str, ...] = ()
    """What the jobs that opened it failed by, the most frequent first."""
    job_ids: tuple[str, ...] = ()
    """Those jobs, the one that failed last first."""
    by_hand: bool = False
    """Whether a person opened it; then it stays open until a person closes it."""


@dataclass(frozen=True, kw_only=True)
class HostBreakerChanged(Record):
    """A machine was quarantined, may try one job at a time, or claims jobs again."""

    host: str
    """Name of the machine."""
    before: str
    """closed, open or half_open."""
    after: str
    """closed, open or half_open."""
    reason: str
    """In a sentence."""
    since: datetime | None = None
    """When the first of the jobs failed that it is quarantined for; None: it claims jobs."""
    error_codes: tuple[str, ...] = ()
    """What those jobs failed by, the most frequent first."""


@dataclass(frozen=True, kw_only=True)
class LeaseLost(Record):
    """The worker of an attempt let its lease run out, and the attempt was recorded as lost."""

    job: Job
    """The job, as it was."""
    attempt_id: str
    """The attempt."""
    host: str | None
    """Name of the machine; None: not known."""


# --- attempts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttemptKey:
    """The attempt, and its job, that a record is about."""

    attempt_id: str
    """The attempt."""
    job_type: str
    """Its job type."""
    subject_id: str
    """What the job is about."""
    job_id: str | None = None
    """The job."""
    number: int = 1
    """Number of the attempt at the job, from 1."""
    trace_id: str | None = None
    """The trace."""
    run_id: str | None = None
    """The Dagster run."""


@dataclass(frozen=True, kw_only=True)
class AttemptRecord(Record):
    """Something that happened in an attempt."""

    key: AttemptKey
    """Which attempt."""


@dataclass(frozen=True, kw_only=True)
class AttemptStarted(AttemptRecord):
    """An attempt begins."""


@dataclass(frozen=True, kw_only=True)
class StageStarted(AttemptRecord):
    """An attempt enters a stage."""

    stage: str
    """Its name."""


@dataclass(frozen=True, kw_only=True)
class StageEnded(AttemptRecord):
    """A stage of an attempt has ended, well or not."""

    stage: str
    """Its name."""
    status: str
    """ok, or the code of the error."""
    duration_ms: int
    """How long it took, milliseconds."""


@dataclass(frozen=True, kw_only=True)
class AttemptProgressed(AttemptRecord):
    """The progress of an attempt. Sent about twice a second, and whenever a stage reports progress of its own."""

    progress: Progress
    """Of the whole attempt."""


@dataclass(frozen=True, kw_only=True)
class CommandStarted(AttemptRecord):
    """A process of an attempt is about to start."""

    argv: tuple[str, ...]
    """The command, as `CommandEnded` will have it: signed addresses redacted, paths relative to scratch."""


@dataclass(frozen=True, kw_only=True)
class CommandEnded(AttemptRecord):
    """A process of an attempt has ended, well or not."""

    stage: str | None
    """In which stage; None: between two."""
    command: FfmpegCommand
    """What was run, and how it ended."""


@dataclass(frozen=True, kw_only=True)
class StorageOpEnded(AttemptRecord):
    """An operation on the storage has ended, well or not."""

    stage: str | None
    """In which stage; None: between two."""
    op: StorageOp
    """What was done, and how it ended."""


@dataclass(frozen=True, kw_only=True)
class CallStarted(AttemptRecord):
    """A call to an outside service begins. Sent by `HttpClient`; a client of another kind may leave it out."""

    stage: str | None
    """In which stage; None: between two."""
    service: str
    """Which service."""
    op: str
    """What is asked of it."""
    target: str
    """The address, without secrets."""


@dataclass(frozen=True, kw_only=True)
class CallEnded(AttemptRecord):
    """A call to an outside service has ended, well or not."""

    stage: str | None
    """In which stage; None: between two."""
    call: ServiceCall
    """What was asked, and how it ended."""
