"""The one answer function: from a job to why it stands where it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Job, JobStatus, SubjectKind
from mediajobs_dagster.resilience.held import Held
from mediajobs_dagster.resilience.hosts import Quarantine
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.resilience.states import moment_words
from mediajobs_dagster.use_cases.references import NamedJob
from mediajobs_dagster.use_cases.why.answer import Cause, CauseKind, Why
from mediajobs_dagster.use_cases.why.ended import cause_of_end, whether_again
from mediajobs_dagster.use_cases.why.for_uploaders import words_of_job
from mediajobs_dagster.use_cases.why.signs import Signs
from mediajobs_dagster.use_cases.why.waiting import Waiting


@dataclass(frozen=True)
class Explaining:
    """Explains jobs."""

    history: History
    registry: Registry
    policy: RetryPolicy
    held: Callable[[str], Held | None]
    """What holds back jobs of a type."""
    quarantine: Callable[[], Quarantine | None]
    """That of this machine; None where runs execute elsewhere."""
    signs: Signs | None = None
    """Who knows of runs; None: the answer is without them."""

    def of(self, named: NamedJob) -> Why:
        """Why a job waits, is at work, or ended."""
        job, at = named.job, self.history.now()
        job_type = next((each for each in self.registry if each.name == job.job_type), None)
        is_of_nobody = job_type is not None and job_type.subject is SubjectKind.TICK
        causes = self._causes(job, at, job_type.lane.value if job_type else None)
        return Why(named, at, causes, self._again(job, at), None if is_of_nobody else words_of_job(job))

    def _causes(self, job: Job, at: datetime, lane: str | None) -> tuple[Cause, ...]:
        if job.status is JobStatus.PROCESSING:
            return (self._at_work(job, at),)
        if job.status.is_final:
            attempts = self.history.attempts.of_job(job.id)
            return (cause_of_end(job, attempts[-1] if attempts else None),)
        held, quarantine = self.held(job.job_type), self.quarantine()
        waiting = tuple(Waiting(self.history, job, at, held, quarantine, lane, self.signs).causes())
        if job.status is JobStatus.FAILED:
            attempts = self.history.attempts.of_job(job.id)
            return (*waiting, cause_of_end(job, attempts[-1] if attempts else None))
        return waiting

    def _at_work(self, job: Job, at: datetime) -> Cause:
        attempts, lease = self.history.attempts.of_job(job.id), job.lease_expires_at
        where = f" by {attempts[-1].host}" if attempts and attempts[-1].host else ""
        if lease and lease <= at:
            return Cause(
                CauseKind.SILENT,
                f"Its worker{where.replace(' by', '')} has not been heard of: its lease ended at "
                f"{moment_words(lease, at)}. Recovery gives the job to another worker within a minute, if "
                "`mediajobs up` or the daemon is running.",
            )
        since = f" since {moment_words(attempts[-1].started_at, at)}" if attempts else ""
        return Cause(CauseKind.AT_WORK, f"It is being worked on{where}{since}.")

    def _again(self, job: Job, at: datetime) -> str | None:
        if job.status not in (JobStatus.FAILED, JobStatus.DEAD):
            return None
        policy = self.registry.retry_policy(job.job_type, self.policy)
        past = policy.past(self.history, job.model_copy(update={"attempts": job.attempts + 1}))
        return whether_again(job, past, at)
