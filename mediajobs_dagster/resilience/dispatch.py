"""Decides which jobs go into the next run of a job type, or why none do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mediajobs_dagster.history import Dispatch, History
from mediajobs_dagster.history.switches import SwitchScope
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.records import BreakerChanged, JobsDispatched
from mediajobs_dagster.resilience.breaker import Breaker, BreakerReading, skip_row
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.hosts import HostBreaker, Quarantine
from mediajobs_dagster.resilience.states import BreakerState


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
        self,
        job_type: str,
        *,
        batch_size: int,
        now: datetime | None = None,
        besides: Collection[str] = (),
        host: str | None = None,
    ) -> Dispatch | Held | None:
        """Assign waiting jobs of one trace and day to a new dispatch; None when nothing waits.

        Traces take turns. Those of `besides` have had enough for now.

        An open breaker holds everything back and leaves one history row that says so; a half-open one lets a single
        job through, and no second one while that is under way. `host` is the machine on which the run will execute, if
        that is known: while it is quarantined it gets nothing, or one job at a time. `now` is for the breakers; by
        default the database's time.
        """
        now = now or self.history.now()
        reading = self.breaker.read(self.history, job_type, now=now)
        self._tell_change(reading, now)
        if reading.state is BreakerState.OPEN:
            return self._hold(reading, now)
        if host and (quarantine := self.hosts.of_host(self.history, host, now=now)):
            if quarantine.state is BreakerState.OPEN or self.history.witnesses.running_on(host):
                return self._held_on(quarantine, job_type) if self._is_due(job_type) else None
            batch_size = 1
        if reading.state is BreakerState.HALF_OPEN:
            found = self._probe(reading, now)
        else:
            found = self.history.leases.assign(job_type, limit=batch_size, lease_s=self.lease_s, besides=besides)
        if isinstance(found, Dispatch):
            self.listeners.tell(JobsDispatched(dispatch_id=found.id, jobs=found.jobs))
        return found

    def look(self, job_type: str, *, now: datetime) -> None:
        """Tell listeners if the breaker of a type has changed since this process last looked."""
        self._tell_change(self.breaker.read(self.history, job_type, now=now), now)

    def held(self, job_type: str, *, now: datetime | None = None) -> Held | None:
        """What the breaker holds back of a type; None when it is closed, or nothing waits. Changes nothing."""
        now = now or self.history.now()
        reading = self.breaker.read(self.history, job_type, now=now)
        return None if reading.state is BreakerState.CLOSED else self._held(reading, now)

    @property
    def hosts(self) -> HostBreaker:
        """The rule that quarantines machines: that of job types."""
        return HostBreaker(self.breaker.failures, self.breaker.window_s, self.breaker.cooldown_s)

    def _held_on(self, quarantine: Quarantine, job_type: str) -> Held | None:
        waiting = self.history.jobs.waiting(job_type).get(job_type)
        if waiting is None:
            return None
        return Held(
            job_type=job_type,
            by=HeldBy.HOST,
            waiting=waiting.jobs,
            at=quarantine.at,
            since=quarantine.since,
            error_codes=quarantine.error_codes,
            retry_at=quarantine.retry_at,
            quarantine=quarantine,
        )

    def _tell_change(self, reading: BreakerReading, now: datetime) -> None:
        before = self.seen.get(reading.job_type, BreakerState.CLOSED)
        self.seen[reading.job_type] = reading.state
        if before is not reading.state:
            is_closed = reading.state is BreakerState.CLOSED
            reason = (
                self._why_closed(reading.job_type, now)
                if is_closed
                else f"{reading.job_type}: {self.told(reading, now).cause}."
            )
            change = BreakerChanged(
                job_type=reading.job_type,
                before=before,
                after=reading.state,
                reason=reason,
                since=reading.opened_at,
                error_codes=reading.error_codes,
                job_ids=tuple(failed.job_id for failed in reading.failures if failed.job_id),
                by_hand=reading.by_hand is not None,
            )
            self.listeners.tell(change)

    def _why_closed(self, job_type: str, now: datetime) -> str:
        switch = self.history.switches.get(SwitchScope.JOB_TYPE, job_type)
        succeeded_at = self.history.attempts.last_success_at(job_type)
        began = now - timedelta(seconds=self.breaker.window_s)
        if switch and (closed_at := switch.closed_at) and closed_at >= max(began, succeeded_at or began):
            why = f": {switch.reason.rstrip('.')}" if switch.reason else ""
            return f"{switch.who} closed it{why}."
        return "A job succeeded." if succeeded_at and succeeded_at >= began else "Its failures are old."

    def _probe(self, reading: BreakerReading, now: datetime) -> Dispatch | Held | None:
        job_type = reading.job_type
        # Reads first: this is asked every second, and an assignment takes SQLite's write lock even if it finds nothing.
        if self.history.jobs.active(job_type):
            return self._held(reading, now)
        probe = self._assign_probe(job_type, only_fresh=True)
        assert reading.again_at  # it is half open
        if probe is None and now >= reading.again_at:
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
        row = skip_row(reading, held.reason, now=now)
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
        retry_at = reading.retry_at if waiting.fresh or reading.by_hand else self._failed_again_at(reading, now)
        return replace(
            self.told(reading, now),
            waiting=waiting.jobs,
            retry_at=None if is_trying else retry_at,
            is_trying=is_trying,
        )

    @staticmethod
    def told(reading: BreakerReading, now: datetime) -> Held:
        """What a breaker that is not closed holds back, whether anything waits or not: for its words."""
        return Held(
            job_type=reading.job_type,
            by=HeldBy.BREAKER,
            waiting=0,
            at=now,
            since=reading.opened_at,
            error_codes=reading.error_codes,
            retry_at=reading.retry_at,
            by_hand=reading.by_hand,
        )

    def _failed_again_at(self, reading: BreakerReading, now: datetime) -> datetime | None:
        """When one of the jobs that failed may be the next to try: its pause is over, and so is the cool-down."""
        due = self.history.jobs.next_due([reading.job_type])
        paused_until = now + timedelta(seconds=due.in_s) if due else now
        assert reading.again_at  # failures keep it open
        return max(reading.again_at, paused_until)

    def _is_due(self, job_type: str) -> bool:
        waiting = self.history.jobs.next_due([job_type])
        return waiting is not None and waiting.is_now
