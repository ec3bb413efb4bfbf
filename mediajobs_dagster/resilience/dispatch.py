"""Decides which jobs go into the next run of a job type, or why none do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mediajobs_dagster.history import Dispatch, History
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.records import BreakerChanged, JobsDispatched
from mediajobs_dagster.resilience.breaker import Breaker, BreakerReading, BreakerState, skip_row
from mediajobs_dagster.resilience.held import Held, HeldBy


@dataclass(frozen=True)
class Dispatcher:
    """Takes the next batch of a job type from the queue, with the breaker in between."""

    history: History
    breaker: Breaker
    lease_s: float
    listeners: Listeners = field(default_factory=Listeners)
    seen: dict[str, BreakerState] = field(default_factory=dict[str, BreakerState])
    """The state in which this process last saw the breaker of each job type."""

    def next(
        self, job_type: str, *, batch_size: int, now: datetime | None = None, besides: Collection[str] = ()
    ) -> Dispatch | Held | None:
        """Assign waiting jobs of one trace and day to a new dispatch; None when nothing waits.

        Traces take turns. Those of `besides` have had enough for now.

        An open breaker holds everything back and leaves one history row that says so; a half-open one lets a single
        job through, and no second one while that is under way. `now` is for the breaker; default: the database's time.
        """
        now = now or self.history.now()
        reading = self.breaker.read(self.history, job_type, now=now)
        self._tell_change(reading)
        if reading.state is BreakerState.OPEN:
            return self._hold(reading, now)
        if reading.state is BreakerState.HALF_OPEN:
            found = self._probe(reading, now)
        else:
            found = self.history.leases.assign(job_type, limit=batch_size, lease_s=self.lease_s, besides=besides)
        if isinstance(found, Dispatch):
            self.listeners.tell(JobsDispatched(dispatch_id=found.id, jobs=found.jobs))
        return found

    def held(self, job_type: str, *, now: datetime | None = None) -> Held | None:
        """What the breaker holds back of a type; None when it is closed, or nothing waits. Changes nothing."""
        now = now or self.history.now()
        reading = self.breaker.read(self.history, job_type, now=now)
        return None if reading.state is BreakerState.CLOSED else self._held(reading, now)

    def _tell_change(self, reading: BreakerReading) -> None:
        before = self.seen.get(reading.job_type, BreakerState.CLOSED)
        self.seen[reading.job_type] = reading.state
        if before is not reading.state:
            reason = (
                "A job succeeded, or the failures are old." if reading.state is BreakerState.CLOSED else reading.reason
            )
            change = BreakerChanged(
                job_type=reading.job_type,
                before=before,
                after=reading.state,
                reason=reason,
                since=reading.opened_at,
                error_codes=reading.error_codes,
                job_ids=tuple(failed.job_id for failed in reading.failures if failed.job_id),
            )
            self.listeners.tell(change)

    def _probe(self, reading: BreakerReading, now: datetime) -> Dispatch | Held | None:
        job_type = reading.job_type
        # Reads first: this is asked every second, and an assignment takes SQLite's write lock even if it finds nothing.
        if self.history.jobs.active(job_type):
            return self._held(reading, now)
        probe = self._assign_probe(job_type, only_fresh=True)
        if probe is None and reading.again_at and now >= reading.again_at:
            probe = self._assign_probe(job_type, only_fresh=False)
        if probe is not None:
            return probe
        # Another dispatcher was faster, or all that is due has failed before and has to wait.
        return self._held(reading, now) if self.history.jobs.active(job_type) or self._is_due(job_type) else None

    def _assign_probe(self, job_type: str, *, only_fresh: bool) -> Dispatch | None:
        # Several dispatchers may get here at once: the database makes sure that only one of them gets a job.
        return self.history.leases.assign(
            job_type, limit=1, lease_s=self.lease_s, only_if_idle=True, only_fresh=only_fresh
        )

    def _hold(self, reading: BreakerReading, now: datetime) -> Held | None:
        held = self._held(reading, now) if self._is_due(reading.job_type) else None
        if held is None:
            return None
        # Check first: this happens every second while the breaker is open, and an insert takes SQLite's write lock even
        # if the row exists.
        row = skip_row(reading, now=now)
        if not self.history.attempts.exists(row.id):
            self.history.attempts.record(row)
            self.listeners.tell(held.record())
        return held

    def _held(self, reading: BreakerReading, now: datetime) -> Held | None:
        jobs, job_type = self.history.jobs, reading.job_type
        waiting = jobs.waiting(job_type).get(job_type)
        if waiting is None:
            return None
        is_trying = reading.state is BreakerState.HALF_OPEN and jobs.active(job_type) > 0
        retry_at = reading.retry_at if waiting.fresh else self._failed_again_at(reading, now)
        return Held(
            job_type=job_type,
            by=HeldBy.BREAKER,
            waiting=waiting.jobs,
            at=now,
            since=reading.opened_at,
            error_codes=reading.error_codes,
            retry_at=None if is_trying else retry_at,
            is_trying=is_trying,
        )

    def _failed_again_at(self, reading: BreakerReading, now: datetime) -> datetime | None:
        """When one of the jobs that failed may be the next to try: its pause is over, and so is the cool-down."""
        due = self.history.jobs.next_due([reading.job_type])
        paused_until = now + timedelta(seconds=due.in_s) if due else now
        return max(reading.again_at or now, paused_until)

    def _is_due(self, job_type: str) -> bool:
        waiting = self.history.jobs.next_due([job_type])
        return waiting is not None and waiting.is_now
