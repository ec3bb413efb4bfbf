"""A queue to which anything may happen in any order, and what holds all the same: a state machine of hypothesis.

The tests play a few short games of it. For many long ones: `python -m tests.resilience.machine 1000`. It stops at the
first that goes wrong and prints its shortest form.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mediajobs_dagster.attempts.recovery import RunState, recover
from mediajobs_dagster.errors import (
    CancelledError,
    DiskFullError,
    FfmpegKilledError,
    IllegalTransitionError,
    InputCorruptError,
    MediaJobsError,
    OutOfMemoryError,
    WorkerLostError,
)
from mediajobs_dagster.history import Claim, Dispatch, History, JobFilter
from mediajobs_dagster.history.schema import breaker_switches, job_counts, job_history, jobs
from mediajobs_dagster.history.switches import Switch, SwitchScope, SwitchState
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.retry import DEADLY, RetryPolicy
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings
from tests.history.factories import THUMB, a_new_job, ended

LEASE_S = 60.0
ALLOWANCE = 3
ERRORS = (FfmpegKilledError, DiskFullError, InputCorruptError, OutOfMemoryError)
# No sum of a few of them is a lease, a cool-down or the window.
JUMPS = (-20, 7, 61, 401, 3701)
_MOMENTS = {
    jobs: ("lease_expires_at", "not_before", "created_at", "updated_at"),
    job_history: ("started_at", "completed_at", "created_at"),
    breaker_switches: ("since",),
}
_KEYS = {jobs: ("id",), job_history: ("id",), breaker_switches: ("scope", "name")}


@dataclass
class Worker:
    """Somebody who has claimed a job."""

    claim: Claim
    dispatch_id: str
    is_asleep: bool = False
    """It is suspended: it does not renew its lease."""


@dataclass
class Runs:
    """Knows which runs live: those whose dispatch was not forgotten."""

    alive: set[str] = field(default_factory=set[str])

    def of_dispatch(self, dispatch_id: str) -> RunState:
        return RunState.ALIVE if dispatch_id in self.alive else RunState.GONE

    def of_run(self, run_id: str) -> RunState:
        return RunState.ALIVE  # only the leases tell

    def is_over(self, dispatch_id: str) -> bool:
        return dispatch_id not in self.alive


class Queue(RuleBasedStateMachine):
    """Jobs of one type on one machine, several workers, a breaker, a clock that jumps, and recovery."""

    history: History
    """Set by who plays: without rows, and not used by anybody else."""

    def __init__(self) -> None:
        super().__init__()
        clear(self.history)
        self.dispatcher = Dispatcher(self.history, Breaker(failures=3, window_s=3600, cooldown_s=300), LEASE_S)
        self.policy = RetryPolicy()
        self.settings = Settings.load(_env_file=None, lease_s=LEASE_S)
        self.runs = Runs()
        self.workers: list[Worker] = []
        self.keys: dict[str, str] = {}
        """The id of each job by its idempotency key."""
        self.completed: Counter[str] = Counter()
        self.asked_again: Counter[str] = Counter()
        """How often a completed job was asked for again."""
        self.state = BreakerState.CLOSED
        self.happened = "nothing"

    # --- what people do ----------------------------------------------------------------------------------------------

    @rule(key=st.integers(0, 5), priority=st.integers(0, 1), trace=st.integers(0, 1))
    def submit(self, key: int, priority: int, trace: int) -> None:
        new = a_new_job(idempotency_key=f"key-{key}", priority=priority, trace_id=str(trace) * 32)
        [found] = self.history.jobs.enqueue([new])
        assert found.created == (new.idempotency_key not in self.keys)
        assert self.keys.setdefault(new.idempotency_key, found.job.id) == found.job.id
        self.happened = "submit"

    @precondition(lambda self: self.keys)
    @rule(which=st.integers(0, 5))
    def cancel(self, which: int) -> None:
        job = self.some_job(which)
        try:
            self.history.jobs.cancel(job.id)
        except IllegalTransitionError:
            assert job.status.is_final
        self.happened = "cancel"

    @precondition(lambda self: self.keys)
    @rule(which=st.integers(0, 5))
    def ask_again(self, which: int) -> None:
        job = self.some_job(which)
        try:
            self.history.jobs.retry(job.id)
        except IllegalTransitionError:
            assert job.status in (JobStatus.PROCESSING, JobStatus.QUEUED)
        else:
            self.asked_again[job.id] += job.status is JobStatus.COMPLETED
        self.happened = "ask_again"

    @rule(state=st.sampled_from(SwitchState))
    def switch(self, state: SwitchState) -> None:
        now = self.history.now()
        self.history.switches.set(
            Switch(scope=SwitchScope.JOB_TYPE, name=THUMB, state=state, since=now, reason="", who="a person")
        )
        self.happened = "switch"

    # --- what runs and workers do ------------------------------------------------------------------------------------

    @rule(size=st.integers(1, 3))
    def dispatch(self, size: int) -> None:
        state, active = self.reading(), self.history.jobs.active(THUMB)
        found = self.dispatcher.next(THUMB, batch_size=size, host="worker-1")
        if isinstance(found, Dispatch):
            assert state is not BreakerState.OPEN
            assert state is BreakerState.CLOSED or (len(found.jobs) == 1 and not active)
            self.runs.alive.add(found.id)
        self.happened = "dispatch"

    @precondition(lambda self: self.runs.alive)
    @rule(which=st.integers(0, 5))
    def claim(self, which: int) -> None:
        dispatch_id = sorted(self.runs.alive)[which % len(self.runs.alive)]
        claim = self.history.leases.claim(dispatch_id, run_id="run", host="worker-1", lease_s=LEASE_S)
        if claim is not None:
            assert claim.job.status is JobStatus.PROCESSING
            self.workers.append(Worker(claim, dispatch_id))
        self.happened = "claim"

    @precondition(lambda self: self.awake)
    @rule(which=st.integers(0, 5))
    def succeed(self, which: int) -> None:
        worker = self.leave(self.awake[which % len(self.awake)])
        if self.finish(worker, AttemptStatus.SUCCESS, JobStatus.COMPLETED):
            self.completed[worker.claim.job.id] += 1
        self.happened = "succeed"

    @precondition(lambda self: self.awake)
    @rule(which=st.integers(0, 5), kind=st.sampled_from(ERRORS))
    def fail(self, which: int, kind: type[MediaJobsError]) -> None:
        worker = self.leave(self.awake[which % len(self.awake)])
        job, error = worker.claim.job, kind()
        verdict = self.policy.judge(job, error, chance=random.Random(which), past=self.policy.past(self.history, job))
        assert verdict.status in (JobStatus.FAILED, JobStatus.DEAD)
        change = {"error_code": error.code, "blame": error.blame}
        self.finish(worker, AttemptStatus.FAILURE, verdict.status, pause_s=verdict.pause_s, **change)
        self.happened = "fail"

    @precondition(lambda self: self.awake)
    @rule(which=st.integers(0, 5))
    def interrupt(self, which: int) -> None:
        worker = self.leave(self.awake[which % len(self.awake)])
        error = CancelledError()
        change = {"error_code": error.code, "blame": error.blame}
        self.finish(worker, AttemptStatus.CANCELLED, JobStatus.QUEUED, **change)
        self.happened = "interrupt"

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 5))
    def crash(self, which: int) -> None:
        worker = self.leave(self.workers[which % len(self.workers)])
        self.runs.alive.discard(worker.dispatch_id)
        self.happened = "crash"

    @precondition(lambda self: self.awake)
    @rule(which=st.integers(0, 5))
    def suspend(self, which: int) -> None:
        self.awake[which % len(self.awake)].is_asleep = True
        self.happened = "suspend"

    @precondition(lambda self: len(self.awake) < len(self.workers))
    @rule(which=st.integers(0, 5))
    def wake(self, which: int) -> None:
        asleep = [worker for worker in self.workers if worker.is_asleep]
        asleep[which % len(asleep)].is_asleep = False
        self.happened = "wake"

    @rule()
    def beat(self) -> None:
        for dispatch_id in {worker.dispatch_id for worker in self.awake}:
            self.history.leases.renew(dispatch_id, lease_s=LEASE_S)
        self.happened = "beat"

    @rule(seconds=st.sampled_from(JUMPS))
    def jump(self, seconds: int) -> None:
        let_pass(self.history, seconds)
        self.happened = "jump"

    @rule()
    def recover(self) -> None:
        recover(self.history, self.settings, self.runs, settling_s=0)
        self.happened = "recover"

    # --- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def no_job_is_lost(self) -> None:
        """Each is there, and counted; one that a run has is leased, so that it comes back."""
        found = self.all_jobs()
        assert sorted(job.id for job in found) == sorted(self.keys.values())
        with self.history._database.read() as connection:
            counted = dict(
                connection.execute(
                    sa.select(job_counts.c.status, sa.func.sum(job_counts.c.jobs)).group_by(job_counts.c.status)
                ).all()
            )
        assert {status: count for status, count in counted.items() if count} == Counter(job.status for job in found)
        for job in found:
            assert (job.dispatch_id is None) or not job.status.is_final
            assert job.status is not JobStatus.PROCESSING or job.dispatch_id
            assert not job.dispatch_id or job.lease_expires_at

    @invariant()
    def every_attempt_is_on_record_once(self) -> None:
        """Numbered from 1; at most the last one runs, and only one of a job at work or cancelled."""
        for job in self.all_jobs():
            rows = self.history.attempts.of_job(job.id)
            assert [row.attempt for row in rows] == list(range(1, job.attempts + 1))
            running = [row.attempt for row in rows if row.status is AttemptStatus.RUNNING]
            if job.status is JobStatus.PROCESSING:
                assert running == [job.attempts]

    @invariant()
    def none_is_completed_twice(self) -> None:
        """As often as it was asked for, and only by who had it."""
        for job in self.all_jobs():
            rows = self.history.attempts.of_job(job.id)
            successes = sum(row.status is AttemptStatus.SUCCESS for row in rows)
            assert successes == self.completed[job.id] <= 1 + self.asked_again[job.id]
            assert job.status is not JobStatus.COMPLETED or rows[-1].status is AttemptStatus.SUCCESS

    @invariant()
    def attempts_stay_within_bounds(self) -> None:
        for job in self.all_jobs():
            past = self.policy.past(self.history, job.model_copy(update={"attempts": job.attempts + 1}))
            assert past.attempts - past.interruptions - past.outages <= ALLOWANCE
            assert past.deaths_in_a_row <= DEADLY
            assert past.tried_alone <= 2
            if job.status is JobStatus.FAILED:
                assert past.deaths_in_a_row < DEADLY

    @invariant()
    def the_breaker_changes_for_a_reason(self) -> None:
        before, after = self.state, self.reading()
        self.state = after
        if before is not after:
            assert self.happened in _REASONS[before, after], f"{before} to {after} by {self.happened}"

    def teardown(self) -> None:
        """However it stands: when all is well again, every job comes to an end."""
        self.switch(SwitchState.CLOSED)
        self.workers.clear()  # whoever was at work is dead
        self.runs.alive.clear()
        for _ in range(30):
            let_pass(self.history, 4000)
            recover(self.history, self.settings, self.runs, settling_s=0)
            while isinstance(found := self.dispatcher.next(THUMB, batch_size=9, host="worker-1"), Dispatch):
                while claim := self.history.leases.claim(found.id, run_id="run", host="worker-1", lease_s=LEASE_S):
                    self.history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
            if all(job.status.is_final for job in self.all_jobs()):
                break
        assert {job.status for job in self.all_jobs() if not job.status.is_final} == set()

    # --- the parts ---------------------------------------------------------------------------------------------------

    @property
    def awake(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.is_asleep]

    def leave(self, worker: Worker) -> Worker:
        self.workers.remove(worker)
        return worker

    def finish(self, worker: Worker, status: AttemptStatus, job_status: JobStatus, **how: Any) -> bool:
        """Record an end as workers do; False if the job is not theirs any more, and then nothing counts."""
        claim, pause_s = worker.claim, how.pop("pause_s", None)
        job = self.history.jobs.get(claim.job.id)
        is_own = job.status is JobStatus.PROCESSING and job.attempts == claim.attempt.attempt
        row = ended(claim, status, completed_at=self.history.now(), **how)
        finished = self.history.leases.finish(row, job_status=job_status, pause_s=pause_s)
        assert (finished is not None) == is_own
        if finished is None:
            lost = ended(claim, AttemptStatus.LOST, completed_at=self.history.now(), error_code=WorkerLostError.code)
            self.history.leases.give_up(lost)
            after = self.history.jobs.get(job.id)
            assert (after.status, after.attempts, after.dispatch_id) == (job.status, job.attempts, job.dispatch_id)
        return is_own

    def reading(self) -> BreakerState:
        return self.dispatcher.breaker.read(self.history, THUMB, now=self.history.now()).state

    def all_jobs(self) -> list[Job]:
        return self.history.jobs.list(JobFilter(), limit=100)

    def some_job(self, which: int) -> Job:
        ids = sorted(self.keys.values())
        return self.history.jobs.get(ids[which % len(ids)])


_FAILURES = {"fail", "recover", "succeed", "interrupt"}
"""The last two, because a worker that comes too late records that its attempt was lost."""
_REASONS = {
    (BreakerState.CLOSED, BreakerState.OPEN): _FAILURES | {"switch", "jump"},  # back to a moment in the window
    (BreakerState.CLOSED, BreakerState.HALF_OPEN): {"jump", "recover"},
    (BreakerState.OPEN, BreakerState.HALF_OPEN): {"jump"},
    (BreakerState.OPEN, BreakerState.CLOSED): {"succeed", "switch", "jump", "fail"},  # by proof that it is the input
    (BreakerState.HALF_OPEN, BreakerState.OPEN): _FAILURES | {"switch", "jump"},
    (BreakerState.HALF_OPEN, BreakerState.CLOSED): {"succeed", "switch", "jump", "fail"},
}


def let_pass(history: History, seconds: float) -> None:
    """Let so many seconds pass by the database's clock: every moment is so much longer ago."""
    with history._database.write() as connection:
        for table, names in _MOMENTS.items():
            for row in connection.execute(sa.select(table)).mappings().all():
                moved: dict[str, datetime] = {
                    name: row[name] - timedelta(seconds=seconds) for name in names if row[name] is not None
                }
                own = sa.and_(*(table.c[key] == row[key] for key in _KEYS[table]))
                connection.execute(sa.update(table).where(own).values(**moved))


def clear(history: History) -> None:
    """Remove every row, and the counts last: triggers write them."""
    names = ("actions", "breaker_switches", "current_outputs", "job_history", "jobs")
    with history._database.write() as connection:
        for name in (*names, "job_counts", "metric_entries", "metric_totals", "metric_hosts"):
            connection.execute(sa.text(f"DELETE FROM {name}"))


def play(history: History, *, games: int, steps: int) -> None:
    """Play so many games of so many steps at most. Raises what went wrong first, in its shortest form."""

    class Played(Queue):
        pass

    Played.history = history
    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=games,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, History.open(f"sqlite:///{Path(folder) / 'queue.db'}") as opened:
        play(opened, games=int(sys.argv[1]) if len(sys.argv) > 1 else 200, steps=60)
