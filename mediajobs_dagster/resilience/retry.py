"""When a failed job is tried again: capped exponential backoff with full jitter.

The formula is the "full jitter" of Amazon's Builders' Library ("Timeouts, retries, and backoff with jitter"): a delay
drawn evenly between 0 and min(cap, base · 2^(attempt - 1)). Jobs that failed together do not come back together.
If a service asked for a pause (`retry_after_s`), the drawn delay is added to it, for the same reason.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from mediajobs_dagster.errors import Blame, MediaJobsError
from mediajobs_dagster.models import Job, JobStatus
from mediajobs_dagster.settings import Settings

LONGEST_FLOOR_S = 24 * 3600.0
"""The longest pause that a service can ask for, seconds: a day."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a job after an attempt that failed."""

    status: JobStatus
    pause_s: float | None = None
    """How long a failed job waits for its next attempt, seconds; None: it does not wait."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after how long, a failed job is tried again."""

    base_s: float = 5.0
    cap_s: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        """The policy that the settings ask for."""
        return cls(settings.retry_base_s, settings.retry_cap_s)

    def longest_delay_s(self, attempt: int) -> float:
        """The upper end of the delay after attempt number `attempt` (1, 2, …), seconds."""
        doublings = min(attempt - 1, 64)  # past any cap, and short of what a float can hold
        return min(self.cap_s, self.base_s * 2.0**doublings)

    def judge(self, job: Job, error: MediaJobsError, *, chance: random.Random) -> Verdict:
        """What becomes of `job` after `error`; `job.attempts` includes the attempt that failed."""
        if error.blame is Blame.CANCELLED:
            return Verdict(JobStatus.CANCELLED)
        if not error.retryable or job.attempts >= job.max_attempts:
            return Verdict(JobStatus.DEAD)
        delay = chance.uniform(0.0, self.longest_delay_s(job.attempts))
        floor = min(max(0.0, error.retry_after_s or 0.0), LONGEST_FLOOR_S)
        return Verdict(JobStatus.FAILED, floor + delay)
