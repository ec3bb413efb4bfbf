"""The breaker of a job type: it stops new runs while system or external faults keep failing them.

It has no state of its own. Everything follows from the job history: which jobs failed by such faults since the last
success, and when. So it survives restarts, and every process sees the same breaker.

    closed     fewer than `failures` such jobs in the window: dispatch as usual
    open       enough of them, and the latest failed less than the cool-down ago: dispatch nothing
    half-open  enough of them, the cool-down is over: let one probe job through; its success closes the breaker, its
               failure opens it for another cool-down

A person can open it, for as long as they like, and close it, after which earlier failures do not count (`Switch`).
Failures on machines that are quarantined do not count (`hosts.py`).

The probe is a job that has not failed yet. A job that failed before may be the probe only if there is no other, and a
cool-down after the last failure: what made it fail may be its input. For the same reason it counts once, by its first
failure: when it fails again, jobs that have not failed yet need not wait another cool-down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediajobs_dagster.history import FailedJob, History
from mediajobs_dagster.history.switches import Switch, SwitchScope
from mediajobs_dagster.models import Attempt, AttemptStatus, derived_id
from mediajobs_dagster.resilience.hosts import HostBreaker
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings

BREAKER_OPEN = "BREAKER_OPEN"
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class BreakerReading:
    """The breaker of one job type, as read from the history at one moment."""

    job_type: str
    state: BreakerState
    failures: tuple[FailedJob, ...] = ()
    """The jobs that failed by system or external faults since the last success, newest first."""
    retry_at: datetime | None = None
    """When an open breaker lets the next job try that has not failed yet."""
    again_at: datetime | None = None
    """When it lets a job try that has failed before."""
    opened_at: datetime | None = None
    """When it opened; it has not been closed since. None: it is closed."""
    by_hand: Switch | None = None
    """Set if a person has opened it: it stays open until a person closes it."""

    @property
    def error_codes(self) -> tuple[str, ...]:
        """What its jobs failed by at last, the most frequent first."""
        return tuple(code for code, _ in Counter(each.error_code for each in self.failures).most_common() if code)


@dataclass(frozen=True)
class Breaker:
    """The rule that opens and closes breakers."""

    failures: int = 3
    window_s: float = 3600.0
    cooldown_s: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> Breaker:
        """The rule that the settings ask for."""
        return cls(settings.breaker_failures, settings.breaker_window_s, settings.breaker_cooldown_s)

    def read(self, history: History, job_type: str, *, now: datetime) -> BreakerReading:
        """The state of the breaker of `job_type`."""
        switch = history.switches.get(SwitchScope.JOB_TYPE, job_type)
        if switch and switch.is_open:
            return BreakerReading(job_type, BreakerState.OPEN, opened_at=switch.since, by_hand=switch)
        window_began = now - timedelta(seconds=self.window_s)
        # What failed before that is over: a job succeeded, or a person closed the breaker.
        reset_at = max(
            history.attempts.last_success_at(job_type) or _EVER, (switch.closed_at if switch else None) or _EVER
        )
        failures = history.attempts.operator_failures(job_type, since=max(window_began, reset_at))
        if len(failures) >= self.failures:
            failures = self._without_bad_hosts(failures, history, now)
        if len(failures) < self.failures:
            return BreakerReading(job_type, BreakerState.CLOSED, tuple(failures))
        cooldown = timedelta(seconds=self.cooldown_s)
        retry_at = max(failed.first_at for failed in failures) + cooldown
        again_at = max(failed.last_at for failed in failures) + cooldown
        state = BreakerState.OPEN if now < retry_at else BreakerState.HALF_OPEN
        # It may have opened before the window.
        known = failures if reset_at >= window_began else history.attempts.operator_failures(job_type, since=reset_at)
        return BreakerReading(job_type, state, tuple(failures), retry_at, again_at, self._opened_at(known, now))

    def _without_bad_hosts(self, failures: Sequence[FailedJob], history: History, now: datetime) -> Sequence[FailedJob]:
        """The failures but those of machines that are quarantined: they are to blame, and the job type is not."""
        hosts = HostBreaker(self.failures, self.window_s, self.cooldown_s).all(history, now=now)
        return [failed for failed in failures if failed.host not in hosts]

    def _opened_at(self, failures: Sequence[FailedJob], now: datetime) -> datetime | None:
        """When, at last, so many jobs counted that it opened. A job counts until a window after its last failure."""
        window = timedelta(seconds=self.window_s)
        changes = [(each.first_at, 1) for each in failures] + [(each.last_at + window, -1) for each in failures]
        counting, opened_at = 0, None
        for moment, change in sorted(changes):
            if moment <= now:
                counting += change
                opened_at = moment if change == 1 and counting == self.failures else opened_at
        return opened_at


def skip_row(reading: BreakerReading, reason: str, *, now: datetime) -> Attempt:
    """The history row for a skipped dispatch. One opening of the breaker always gives the same id."""
    opened_at = max((failed.first_at for failed in reading.failures), default=reading.opened_at)
    assert opened_at  # it is open
    return Attempt(
        id=derived_id(opened_at, reading.job_type),
        job_id=None,
        job_name=reading.job_type,
        attempt=0,
        run_id=None,
        trace_id=None,
        status=AttemptStatus.SKIPPED,
        started_at=now,
        completed_at=now,
        duration_ms=0,
        error_code=BREAKER_OPEN,
        error=reason,
        result={
            "skipped": "breaker_open",
            "jobs": [failed.job_id for failed in reading.failures],
            "retryAt": reading.retry_at.isoformat() if reading.retry_at else None,
        },
        created_at=now,
    )
