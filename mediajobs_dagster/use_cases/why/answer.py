"""The answer to why a job waits or ended: causes with their sentences, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mediajobs_dagster.models import JobStatus, JsonObject
from mediajobs_dagster.use_cases.references import NamedJob


class CauseKind(StrEnum):
    """What keeps a job waiting, or ended it. The first seven are those of `resilience.held.HeldBy` and more."""

    NOT_INSTALLED = "not_installed"
    """No job type of that name is installed here."""
    BREAKER = "breaker"
    """The breaker of its type is not closed."""
    NEEDS = "needs"
    """No worker here offers what it needs."""
    QUOTA = "quota"
    """What it would take of a service is used up."""
    HOST = "host"
    """The machine that would work on it is quarantined."""
    PAUSE = "pause"
    """It failed, and its next try is due later."""
    NOBODY = "nobody"
    """Nothing is running that would start it."""
    LANE = "lane"
    """All slots of its lane are taken."""
    POSITION = "position"
    """Others are before it in the queue."""
    RUN_WAITS = "run_waits"
    """A run has it, and has not started."""
    BATCH = "batch"
    """A run has it, and works on other jobs of its batch first."""
    RUN_GONE = "run_gone"
    """The run that had it is over or gone; recovery gives it back."""
    AT_WORK = "at_work"
    """It is being worked on."""
    SILENT = "silent"
    """Its worker has not been heard of for longer than its lease."""
    STARTING = "starting"
    """Nothing keeps it: it is started next."""
    COMPLETED = "completed"
    UP_TO_DATE = "up_to_date"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Cause:
    """One reason."""

    kind: CauseKind
    text: str
    """In sentences. Times are UTC."""
    until: datetime | None = None
    """When it is over, if that is known."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"kind": self.kind, "text": self.text, "until": self.until.isoformat() if self.until else None}


@dataclass(frozen=True)
class Why:
    """Why a job waits, or why it ended as it did."""

    named: NamedJob
    at: datetime
    """By the database's clock."""
    causes: tuple[Cause, ...]
    """All that hold, the one that has to go first at the front. There is one at least."""
    again: str | None
    """Whether it will be tried again, and why or why not; None: it did not fail."""
    for_uploader: str | None
    """A sentence for the person whose file it is, without internals; None: it is nobody's file."""

    @property
    def status(self) -> JobStatus:
        """The status of the job."""
        return self.named.job.status

    @property
    def cause(self) -> Cause:
        """The cause that has to go first."""
        return self.causes[0]

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "jobId": self.named.job.id,
            "jobType": self.named.job.job_type,
            "subjectName": self.named.name,
            "status": self.status,
            "at": self.at.isoformat(),
            "causes": [cause.to_json() for cause in self.causes],
            "again": self.again,
            "forUploader": self.for_uploader,
        }
