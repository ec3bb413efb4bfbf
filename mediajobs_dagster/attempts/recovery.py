"""Finds the jobs whose worker fell silent, records their attempts as lost, and puts them back into the queue."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mediajobs_dagster.attempts.recorder import manifest_of_lost
from mediajobs_dagster.errors import WorkerLostError
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.models import AttemptStatus, utc_now
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import Settings


class Fate(StrEnum):
    """What became of the run of a dispatch."""

    ALIVE = "alive"
    """It waits its turn or works, and may still come to its jobs."""
    GONE = "gone"
    """It will not come to them any more."""
    CANCELLED = "cancelled"
    """Somebody called it off."""


@dataclass(frozen=True)
class Recovered:
    """What a recovery found."""

    lost: tuple[Claim, ...]
    """Attempts whose worker died."""
    released: int
    """Jobs that were assigned to a run which never came to them, and are back in the queue."""
    cancelled: int
    """Jobs that were called off with their run."""

    @property
    def summary(self) -> str:
        """In a sentence."""
        return (
            f"{len(self.lost)} attempts were lost with their worker, {self.released} jobs were given back unstarted, "
            f"{self.cancelled} were called off with their run."
        )


def recover(history: History, settings: Settings, fate: Callable[[str], Fate]) -> Recovered:
    """Recover every job whose lease has run out; `fate` tells what became of the run of a dispatch."""
    now = utc_now()
    policy, chance = RetryPolicy.of(settings), random.Random()
    lost = [claim for claim in history.jobs.lost(now) if _record_loss(history, claim, policy, chance, now)]
    released = cancelled = 0
    for dispatch_id in history.jobs.expired_dispatches(now):
        match fate(dispatch_id):
            case Fate.ALIVE:
                history.jobs.renew(dispatch_id, lease_s=settings.lease_s, now=now)
            case Fate.GONE:
                released += history.jobs.release(dispatch_id)
            case Fate.CANCELLED:
                cancelled += history.jobs.cancel_assigned(dispatch_id)
    return Recovered(tuple(lost), released, cancelled)


def _record_loss(history: History, claim: Claim, policy: RetryPolicy, chance: random.Random, now: datetime) -> bool:
    error = WorkerLostError(
        f"The worker {claim.attempt.host} fell silent during attempt {claim.attempt.attempt} at this job."
    )
    verdict = policy.judge(claim.job, error, now=now, chance=chance)
    manifest = manifest_of_lost(claim, error, now)
    row = claim.attempt.model_copy(
        update={
            "status": AttemptStatus.LOST,
            "completed_at": now,
            "duration_ms": manifest.duration_ms,
            "error_code": error.code,
            "blame": error.blame,
            "error": error.message,
            "manifest": manifest.to_json(),
        }
    )
    return history.jobs.finish(row, job_status=verdict.status, not_before=verdict.not_before)
