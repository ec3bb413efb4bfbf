"""The use cases of quotas: how they stand, and what becomes of jobs that do not fit into what is left."""

from __future__ import annotations

from dataclasses import dataclass

from mediajobs_dagster.errors import QuotaExhaustedError
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus, SubjectKind, utc_now
from mediajobs_dagster.printable import counted
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.quota import BucketStanding, Quota, skipped_result
from mediajobs_dagster.settings import Settings

_AT_ONCE = 50


@dataclass(frozen=True)
class Quotas:
    """The quotas of outside services."""

    history: History
    settings: Settings

    def standings(self) -> tuple[BucketStanding, ...]:
        """How every bucket stands now."""
        return Quota.of(self.history, self.settings).standings()

    def shortage(self, job_type: JobType) -> QuotaExhaustedError | None:
        """What a job of that type lacks to be started, as the error that its attempt would meet; None: nothing."""
        try:
            Quota.of(self.history, self.settings).require(job_type.quota_needed(self.settings))
        except QuotaExhaustedError as error:
            return error
        return None

    def held(self, job_type: JobType) -> Held | None:
        """What waits of a type for the reset of a quota; None: there is enough, or nothing waits. Changes nothing."""
        if not job_type.quota_needed(self.settings):
            return None
        waiting = self.history.jobs.waiting(job_type.name).get(job_type.name)
        if waiting is None or (shortage := self.shortage(job_type)) is None:
            return None
        return Held(
            job_type=job_type.name,
            by=HeldBy.QUOTA,
            waiting=waiting.jobs,
            at=self.history.now(),
            retry_at=shortage.resets_at,
            shortage=shortage.message,
        )

    def turn_away(self, job_type: JobType) -> str | None:
        """Start no job of a type whose quota is short; returns why, or None if there is enough or nothing waits.

        Jobs on ticks end as skipped, because their next tick comes anyway. Others stay in the queue until the reset.
        """
        held = self.held(job_type)
        if held is None or job_type.subject is not SubjectKind.TICK:
            return held and held.reason
        shortage = self.shortage(job_type)
        if shortage is None:  # the reset came in between
            return None
        skipped = self._skip_due(job_type, shortage)
        if not skipped:
            return held.reason  # they pause before their next attempt
        named = f"job {skipped[0]}" if len(skipped) == 1 else counted(len(skipped), "job")
        return f"Skipped {named} of {job_type.name}. {shortage.message}"

    def _skip_due(self, job_type: JobType, shortage: QuotaExhaustedError) -> list[str]:
        leases, lease_s = self.history.leases, self.settings.lease_s
        host = self.settings.host
        skipped: list[str] = []
        while batch := leases.assign(job_type.name, limit=_AT_ONCE, lease_s=lease_s):
            while claim := leases.claim(batch.id, run_id=None, host=host, lease_s=lease_s):
                leases.finish(_skipped(claim, shortage), job_status=JobStatus.SKIPPED)
                skipped.append(claim.job.id)
        return skipped


def _skipped(claim: Claim, shortage: QuotaExhaustedError) -> Attempt:
    """The row of an attempt that was not made."""
    now = max(utc_now(), claim.attempt.started_at)
    return claim.attempt.model_copy(
        update={
            "status": AttemptStatus.SKIPPED,
            "completed_at": now,
            "duration_ms": 0,
            "error_code": shortage.code,
            "error": shortage.message,
            "result": skipped_result(shortage),
        }
    )
