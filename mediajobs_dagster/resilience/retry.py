"""When a failed job is tried again: capped exponential backoff with full jitter.

The formula is the "full jitter" of Amazon's Builders' Library ("Timeouts, retries, and backoff with jitter"): a delay
drawn evenly between 0 and min(cap, base · 2^(attempt - 1)). Jobs that failed together do not come back together.
If a service asked for a pause (`retry_after_s`), the drawn delay is added to it, for the same reason.

An outage (`MediaJobsError.is_outage`: a full disk, a storage that is down) takes minutes or hours to mend, and no job
is at fault. Its attempts do not count. Pauses are longer, and grow to a quarter of an hour, so that an outage of hours
leaves some dozens of attempts; when it has lasted for `outage_limit_s`, the job is dead.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from mediajobs_dagster.errors import Blame, MediaJobsError
from mediajobs_dagster.history import History
from mediajobs_dagster.models import Job, JobStatus, utc_now
from mediajobs_dagster.settings import Settings

LONGEST_FLOOR_S = 24 * 3600.0
"""The longest pause that a service can ask for, seconds: a day."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a job after an attempt that failed."""

    status: JobStatus
    pause_s: float | None = None
    """How long a failed job waits for its next attempt, seconds; None: it does not wait."""
    note: str = ""
    """What to add to the message of the failure: why the job is given up."""


@dataclass(frozen=True)
class Outages:
    """The attempts that outages have ended, of those that a job was granted at first or by the latest retry by hand."""

    attempts: int = 0
    """How many, without the present one."""
    in_a_row: int = 0
    """How many of them came just before the present one."""
    since: datetime | None = None
    """When the first of these failed; None: the present one is the first."""

    @classmethod
    def of(cls, history: History, job: Job) -> Outages:
        """Those of a job whose attempt has just failed."""
        codes = _codes_of_outages()
        attempts = in_a_row = 0
        since = None
        for error_code, ended_at in history.attempts.ends_of(job.id, before=job.attempts):
            if error_code in codes:
                attempts, in_a_row = attempts + 1, in_a_row + 1
                since = since or ended_at
            else:
                in_a_row, since = 0, None
        return cls(attempts, in_a_row, since)


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after how long, a failed job is tried again."""

    base_s: float = 5.0
    cap_s: float = 300.0
    outage_base_s: float = 30.0
    outage_cap_s: float = 900.0
    outage_limit_s: float = 12 * 3600.0

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        """The policy that the settings ask for."""
        return cls(
            settings.retry_base_s,
            settings.retry_cap_s,
            settings.outage_base_s,
            settings.outage_cap_s,
            settings.outage_limit_s,
        )

    def longest_delay_s(self, attempt: int) -> float:
        """The upper end of the delay after attempt number `attempt` (1, 2, …), seconds."""
        doublings = min(attempt - 1, 64)  # past any cap, and short of what a float can hold
        return min(self.cap_s, self.base_s * 2.0**doublings)

    def judge(
        self,
        job: Job,
        error: MediaJobsError,
        *,
        chance: random.Random,
        outages: Outages = Outages(),  # it is frozen
        now: datetime | None = None,
    ) -> Verdict:
        """What becomes of `job` after `error`; `job.attempts` includes the attempt that failed, at `now`."""
        if error.blame is Blame.CANCELLED:
            return Verdict(JobStatus.CANCELLED)
        if not error.retryable or job.max_attempts <= 1:
            return Verdict(JobStatus.DEAD)
        if error.is_outage and self.outage_limit_s:
            return self._outlast(error, outages, now or utc_now(), chance)
        counted = job.attempts - outages.attempts if self.outage_limit_s else job.attempts
        if counted >= job.max_attempts:
            return Verdict(JobStatus.DEAD)
        delay = chance.uniform(0.0, self.longest_delay_s(counted))
        return Verdict(JobStatus.FAILED, _floor_s(error) + delay)

    def _outlast(self, error: MediaJobsError, outages: Outages, now: datetime, chance: random.Random) -> Verdict:
        lasted_s = (now - (outages.since or now)).total_seconds()
        if lasted_s >= self.outage_limit_s:
            return Verdict(JobStatus.DEAD, note=_GIVEN_UP.format(lasted_s / 3600, outages.in_a_row + 1))
        longest = min(self.outage_cap_s, self.outage_base_s * 2.0 ** min(outages.in_a_row, 64))
        # Never at once, other than a fault that may have passed: at least half of it.
        return Verdict(JobStatus.FAILED, _floor_s(error) + chance.uniform(longest / 2, longest))


_GIVEN_UP = "This has lasted for {:.1f} hours and {} attempts, so the job is given up. Retry it when that is mended."


def _floor_s(error: MediaJobsError) -> float:
    return min(max(0.0, error.retry_after_s or 0.0), LONGEST_FLOOR_S)


def _codes_of_outages(kind: type[MediaJobsError] = MediaJobsError) -> frozenset[str]:
    own = frozenset({kind.code} if kind.is_outage else ())
    return own.union(*(_codes_of_outages(below) for below in kind.__subclasses__()))
