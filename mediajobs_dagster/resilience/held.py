"""Why jobs of a type wait although they could be started: the values, and the one sentence that tells them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mediajobs_dagster.history.switches import Switch
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.records import JobsHeld
from mediajobs_dagster.resilience.hosts import Quarantine
from mediajobs_dagster.resilience.states import moment_words


class HeldBy(StrEnum):
    """What keeps jobs in the queue."""

    BREAKER = "breaker"
    """The breaker of their type is open, or half open."""
    NEEDS = "needs"
    """No worker here has what their type needs."""
    QUOTA = "quota"
    """Too little is left of the quota of a service."""
    NOT_INSTALLED = "not_installed"
    """No job type of that name is installed here."""
    HOST = "host"
    """This machine, on which its runs would execute, is quarantined."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Jobs of a type wait, and none of them is started now."""

    job_type: str
    by: HeldBy
    waiting: int
    """How many jobs of the type wait, those that pause before their next attempt included."""
    at: datetime
    """When this was found out."""
    since: datetime | None = None
    """When the breaker opened; None: it is not the breaker."""
    error_codes: tuple[str, ...] = ()
    """What the jobs that keep the breaker open failed by, the most frequent first."""
    retry_at: datetime | None = None
    """When the breaker lets the next job try; a moment that has passed: as soon as a run can start. None: nobody knows,
    or it is being tried now."""
    is_trying: bool = False
    """Whether the breaker is half open and its job is under way."""
    lacking: tuple[str, ...] = ()
    """What the type needs and no worker here offers."""
    shortage: str = ""
    """What is left of a quota, what is needed, and when it resets."""
    by_hand: Switch | None = None
    """Set if a person has opened the breaker."""
    quarantine: Quarantine | None = None
    """Set if the machine is quarantined."""

    @property
    def reason(self) -> str:
        """All of that in a sentence. Times are UTC, with their date if it is not the day on which this was found."""
        jobs = f"1 {self.job_type} job waits" if self.waiting == 1 else f"{self.waiting} {self.job_type} jobs wait"
        return f"{jobs}: {self.cause}."

    @property
    def cause(self) -> str:
        """Why, as a clause without a full stop."""
        match self.by:
            case HeldBy.BREAKER:
                since = f" since {self._time(self.since)}" if self.since else ""
                if self.by_hand:
                    why = f": {self.by_hand.reason.rstrip('.')}" if self.by_hand.reason else ""
                    close = f"`mediajobs breaker close {self.job_type}` lets them start"
                    return f"breaker opened by {self.by_hand.who}{since}{why}; {close}"
                codes = f" ({', '.join(self.error_codes)})" if self.error_codes else ""
                return f"breaker open{since}{codes}, {self._next_try}"
            case HeldBy.HOST:
                assert self.quarantine  # it is held by it
                return self.quarantine.reason.rstrip(".")
            case HeldBy.NEEDS:
                return f"no worker here offers {', '.join(self.lacking)}. Install it, and name it in MEDIAJOBS_OFFERS"
            case HeldBy.QUOTA:
                return self.shortage.rstrip(".")
            case HeldBy.NOT_INSTALLED:
                return "no job type of that name is installed here. Install the package that brings it"

    @property
    def _next_try(self) -> str:
        if self.is_trying:
            return "one job is being tried now"
        if self.retry_at is None:
            return "next try unknown"
        if self.retry_at <= self.at:
            return "next try now"
        return f"next try {self._time(self.retry_at)}, or at once by `mediajobs breaker close {self.job_type}`"

    def _time(self, moment: datetime) -> str:
        return moment_words(moment, self.at)

    def record(self) -> JobsHeld:
        """The record that tells listeners of it."""
        return JobsHeld(
            job_type=self.job_type,
            reason=self.reason,
            waiting=self.waiting,
            since=self.since,
            error_codes=self.error_codes,
            retry_at=self.retry_at,
        )

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "jobType": self.job_type,
            "by": self.by,
            "waiting": self.waiting,
            "since": self.since.isoformat() if self.since else None,
            "errorCodes": list(self.error_codes),
            "retryAt": self.retry_at.isoformat() if self.retry_at else None,
            "isTrying": self.is_trying,
            "lacking": list(self.lacking),
            "byHand": self.by_hand.to_json() if self.by_hand else None,
            "quarantine": self.quarantine.to_json() if self.quarantine else None,
            "reason": self.reason,
        }
