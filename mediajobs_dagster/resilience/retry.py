"""When a failed job is tried again: capped exponential backoff with full jitter.

The formula is the "full jitter" of Amazon's Builders' Library ("Timeouts, retries, and backoff with jitter"): a delay
drawn evenly between 0 and min(cap, base · 2^(attempt - 1)). Jobs that failed together do not come back together.
If a service asked for a pause (`retry_after_s`), the drawn delay is added to it, for the same reason.

An outage (`MediaJobsError.is_outage`: a full disk, a storage that is down) takes minutes or hours to mend, and no job
is at fault. Its attempts do not count. Pauses are longer, and grow to a quarter of an hour, so that an outage of hours
leaves some dozens of attempts; when it has lasted for `outage_limit_s`, the job is dead.

An interruption (a worker that was stopped, killed or lost with its machine) does not count either: it says nothing of
the job. Only a job whose worker died under it three times in a row is dead, because it may be what kills them.

A job that ran out of memory is tried once more, with fewer threads and alone on its machine (`attempts/alone.py`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mediajobs_dagster.errors import Blame, MediaJobsError, WorkerLostError, all_errors
from mediajobs_dagster.history import History
from mediajobs_dagster.models import Job, JobStatus, utc_now
from mediajobs_dagster.settings import Settings

DEADLY = 3
"""A job is dead when its worker has died under it so many times in a row."""
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
class Past:
    """How earlier attempts ended, of those that a job was granted at first or by the latest retry by hand.

    The present attempt is not among them.
    """

    outages: int = 0
    """How many were ended by outages."""
    outages_in_a_row: int = 0
    """How many of these came just before the present one; interruptions between them do not matter."""
    since: datetime | None = None
    """When the first of these in a row failed; None: there is none."""
    interruptions: int = 0
    """How many were interrupted, or lost with their worker."""
    deaths_in_a_row: int = 0
    """How many lost their worker just before the present one; workers that were stopped between do not matter."""
    tried_alone: int = 0
    """How many ended with an error after which the job is tried alone on its machine."""
    attempts: int = 0
    """How many there were."""
    before: int = 0
    """How many there were before these, before the latest retry by hand."""

    def after(self, error_code: str | None, ended_at: datetime | None, *, outages_count: bool = False) -> Past:
        """The same with one more attempt, which ended with that error.

        With `outages_count`, an outage is as any other failure.
        """
        kinds, attempts = [kind for kind in all_errors() if kind.code == error_code], self.attempts + 1
        if any(kind.is_interruption for kind in kinds):
            deaths = self.deaths_in_a_row + (error_code == WorkerLostError.code)
            return replace(self, interruptions=self.interruptions + 1, deaths_in_a_row=deaths, attempts=attempts)
        if any(kind.is_outage for kind in kinds) and not outages_count:
            in_a_row, since = self.outages_in_a_row + 1, self.since or ended_at
            change = {"outages": self.outages + 1, "outages_in_a_row": in_a_row, "since": since}
            return replace(self, **change, deaths_in_a_row=0, attempts=attempts)
        alone = self.tried_alone + any(kind.is_retried_alone for kind in kinds)
        return replace(self, outages_in_a_row=0, since=None, deaths_in_a_row=0, tried_alone=alone, attempts=attempts)


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after how long, a failed job is tried again."""

    base_s: float = 5.0
    cap_s: float = 300.0
    outage_base_s: float = 30.0
    outage_cap_s: float = 900.0
    outage_limit_s: float = 12 * 3600.0
    attempts: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many attempts a job gets that fails by an error code, by the code, or by the job type, a slash and the code.

    Other codes: as many as the job was granted. A code named here is no outage.
    """

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        """The policy that the settings ask for."""
        return cls(
            settings.retry_base_s,
            settings.retry_cap_s,
            settings.outage_base_s,
            settings.outage_cap_s,
            settings.outage_limit_s,
            settings.attempts_by_code,
        )

    def past(self, history: History, job: Job) -> Past:
        """What came before the latest attempt of a job, which is under way or has just ended."""
        past = Past()
        for error_code, ended_at in history.attempts.ends_of(job.id, before=job.attempts):
            past = past.after(error_code, ended_at, outages_count=self._counts_outages_by(job, error_code or ""))
        return replace(past, before=max(0, job.attempts - 1 - past.attempts))

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
        past: Past = Past(),  # it is frozen
        now: datetime | None = None,
    ) -> Verdict:
        """What becomes of `job` after `error`; `job.attempts` includes the attempt that failed, at `now`."""
        if error.blame is Blame.CANCELLED:
            return Verdict(JobStatus.CANCELLED)
        if error.is_interruption:
            return self._after_death(past, chance)
        limit = self._limit_of(job, error.code, past)
        if not error.retryable or limit <= 1:
            return Verdict(JobStatus.DEAD)
        if error.is_outage and not self._counts_outages_by(job, error.code):
            return self._outlast(error, past, now or utc_now(), chance)
        counted = job.attempts - past.before - past.interruptions - (past.outages if self.outage_limit_s else 0)
        if error.is_retried_alone and past.tried_alone:
            return Verdict(JobStatus.DEAD, note=_NOT_EVEN_ALONE)
        if counted >= limit:
            return Verdict(JobStatus.DEAD)
        delay = chance.uniform(0.0, self.longest_delay_s(counted))
        return Verdict(JobStatus.FAILED, _floor_s(error) + delay)

    def _limit_of(self, job: Job, error_code: str, past: Past) -> int:
        """How many attempts that count a job gets, at first and after a retry by hand, if it fails by that code."""
        named = _names(job, error_code)
        return next((self.attempts[name] for name in named if name in self.attempts), job.max_attempts - past.before)

    def _counts_outages_by(self, job: Job, error_code: str) -> bool:
        return not self.outage_limit_s or any(name in self.attempts for name in _names(job, error_code))

    def _after_death(self, past: Past, chance: random.Random) -> Verdict:
        deaths = past.deaths_in_a_row + 1
        if deaths >= DEADLY:
            return Verdict(JobStatus.DEAD, note=_DEADLY)
        return Verdict(JobStatus.FAILED, chance.uniform(0.0, self.longest_delay_s(deaths)))

    def _outlast(self, error: MediaJobsError, past: Past, now: datetime, chance: random.Random) -> Verdict:
        lasted_s = (now - (past.since or now)).total_seconds()
        if lasted_s >= self.outage_limit_s:
            return Verdict(JobStatus.DEAD, note=_GIVEN_UP.format(lasted_s / 3600, past.outages_in_a_row + 1))
        longest = min(self.outage_cap_s, self.outage_base_s * 2.0 ** min(past.outages_in_a_row, 64))
        # Never at once, other than a fault that may have passed: at least half of it.
        return Verdict(JobStatus.FAILED, _floor_s(error) + chance.uniform(longest / 2, longest))


_DEADLY = "Its worker has died three times in a row, so the job may be what kills it: it is given up."
_NOT_EVEN_ALONE = "That was with half of the threads, and with nothing beside it on its machine."
_GIVEN_UP = "This has lasted for {:.1f} hours and {} attempts, so the job is given up. Retry it when that is mended."


def _names(job: Job, error_code: str) -> tuple[str, str]:
    """Under which settings may name the code, the one that wins first."""
    return f"{job.job_type}/{error_code}", error_code


def _floor_s(error: MediaJobsError) -> float:
    return min(max(0.0, error.retry_after_s or 0.0), LONGEST_FLOOR_S)
