"""Finds the jobs of dead workers, records their attempts as lost, and puts the jobs back into the queue."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Protocol

from mediajobs_dagster.attempts.measures import RECOVERED, counted, counted_once
from mediajobs_dagster.attempts.recorder import manifest_of_lost
from mediajobs_dagster.errors import WorkerLostError
from mediajobs_dagster.history import AttemptFilter, Claim, History
from mediajobs_dagster.history.series import Measure
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.resilience.retry import RetryPolicy, Verdict
from mediajobs_dagster.settings import Settings

SETTLING_S = 5.0
"""How long a worker may still write its records after its run ended, seconds, such as when a person forces the
termination."""
_RUNNING = 1000
"""How many attempts one recovery reads; there are about as many under way as the machines have cores."""


class RunState(StrEnum):
    """What happened to the run of a dispatch."""

    ALIVE = "alive"
    """It is queued or running, and may still claim its jobs."""
    GONE = "gone"
    """It will not claim them any more."""
    CANCELLED = "cancelled"
    """A person terminated it."""


class LossReason(StrEnum):
    """Why a job was taken from its worker."""

    SILENT = "lease_expired"
    """The worker fell silent, and its lease ran out."""
    RUN_GONE = "run_over"
    """Its run is over without having recorded how the attempt ended."""
    RUN_CANCELLED = "run_cancelled"
    """A person terminated its run."""
    UNSTARTED = "never_started"
    """Its run never claimed it."""


_REASONS = {RunState.GONE: LossReason.RUN_GONE, RunState.CANCELLED: LossReason.RUN_CANCELLED}


@dataclass(frozen=True)
class Recovered:
    """What a recovery found."""

    lost: tuple[Claim, ...]
    """Attempts whose worker died. Their jobs are queued again or dead."""
    over: tuple[Claim, ...]
    """All attempts that were closed or had just ended: those of `lost`, and those at jobs that were cancelled
    meanwhile. What they published has to be withdrawn unless they succeeded."""
    released: int
    """Jobs that went back into the queue because their run never claimed them."""
    cancelled: int
    """Jobs that were cancelled with their run."""

    @property
    def summary(self) -> str:
        """In a sentence."""
        return (
            f"Attempts lost with their worker: {len(self.lost):,}; jobs given back unstarted: {self.released:,}; "
            f"jobs cancelled with their run: {self.cancelled:,}."
        )


class RunStates(Protocol):
    """Tells what happened to runs."""

    def of_dispatch(self, dispatch_id: str) -> RunState:
        """The state of the run of a dispatch whose lease has run out."""
        ...

    def of_run(self, run_id: str) -> RunState:
        """The state of a run that has attempts under way."""
        ...

    def is_over(self, dispatch_id: str) -> bool:
        """Whether a dispatch has a run, and that is over; a run that is not known yet may still come."""
        ...


def recover(
    history: History,
    settings: Settings,
    run_states: RunStates,
    registry: Registry | None = None,
    *,
    settling_s: float = SETTLING_S,
) -> Recovered:
    """Recover the jobs of every dead worker: its leases ran out, or its run is over.

    Each job is tried again as its job type in `registry` says, else as the settings say. The worker of a run that is
    over gets `settling_s` to write its last records.
    """
    history.leases.heed_clock(lease_s=settings.lease_s)
    if left_behind := list(_left_behind(history, run_states)):
        # Waited for, not compared with the time at which the run ended: that is another machine's.
        time.sleep(settling_s)
    # After the wait: a worker may have renewed its lease meanwhile.
    silent_claims = (*history.leases.lost(), *history.leases.forsaken(lease_s=settings.lease_s))
    dead = [(claim, LossReason.SILENT) for claim in silent_claims]
    silent = {claim.attempt.id for claim, _ in dead}
    dead += [(claim, _REASONS[state]) for claim, state in left_behind if claim.attempt.id not in silent]
    loss = _Loss(
        history, registry or Registry(()), RetryPolicy.of(settings), random.Random(), history.now(), settings.metrics
    )
    over = [(claim, loss.record(claim, reason)) for claim, reason in dead]
    released = cancelled = 0
    expired = history.leases.expired_dispatches()
    for dispatch_id in (*expired, *_never_begun(history, run_states, expired)):
        match run_states.of_dispatch(dispatch_id):
            case RunState.ALIVE:
                history.leases.renew(dispatch_id, lease_s=settings.lease_s)
            case RunState.GONE:
                released += history.leases.release(dispatch_id, measures=partial(_unstarted, settings))
            case RunState.CANCELLED:
                cancelled += history.leases.cancel_assigned(dispatch_id)
    lost = tuple(claim for claim, is_lost in over if is_lost)
    return Recovered(lost, tuple(claim for claim, _ in over), released, cancelled)


def _left_behind(history: History, run_states: RunStates) -> Iterator[tuple[Claim, RunState]]:
    """Attempts recorded as under way in runs that are over. There is no need to wait for their leases."""
    running = history.attempts.list(AttemptFilter(statuses=(AttemptStatus.RUNNING,)), limit=_RUNNING)
    by_run = {attempt.run_id: run_states.of_run(attempt.run_id) for attempt in running if attempt.run_id}
    for attempt in running:
        run_state = by_run.get(attempt.run_id, RunState.ALIVE) if attempt.run_id else RunState.ALIVE
        if run_state is not RunState.ALIVE and attempt.job_id:
            yield Claim(history.jobs.get(attempt.job_id), attempt), run_state


def _never_begun(history: History, run_states: RunStates, expired: Sequence[str]) -> Iterator[str]:
    """Dispatches whose run is known to be over before it claimed all of their jobs. They need not wait for a lease."""
    for dispatch_id in history.leases.waiting_dispatches():
        if dispatch_id not in expired and run_states.is_over(dispatch_id):
            yield dispatch_id


def _unstarted(settings: Settings, jobs: int) -> tuple[Measure, ...]:
    return counted(RECOVERED, jobs, reason=LossReason.UNSTARTED) if settings.metrics else ()


@dataclass(frozen=True)
class _Loss:
    history: History
    registry: Registry
    policy: RetryPolicy
    chance: random.Random
    now: datetime
    is_measured: bool

    def record(self, claim: Claim, reason: LossReason) -> bool:
        """Record the attempt as lost; False if it, or its job, has ended in the meantime."""
        error = WorkerLostError(
            f"The worker {claim.attempt.host} fell silent during attempt {claim.attempt.attempt} at this job."
        )
        policy = self.registry.retry_policy(claim.job.job_type, self.policy)
        past = policy.past(self.history, claim.job)
        verdict = policy.judge(claim.job, error, chance=self.chance, past=past)
        if verdict.note:
            error = error.with_message(f"{error.message} {verdict.note}")
        if reason is LossReason.RUN_CANCELLED:
            verdict = Verdict(JobStatus.CANCELLED)
        now = max(self.now, claim.attempt.started_at)  # which is the worker's time
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
        leases = self.history.leases
        measures = counted_once(RECOVERED, reason=reason) if self.is_measured else ()
        finished = leases.finish(row, job_status=verdict.status, pause_s=verdict.pause_s, measures=measures)
        is_lost = finished is not None
        if not is_lost:
            leases.give_up(row)
        return is_lost
