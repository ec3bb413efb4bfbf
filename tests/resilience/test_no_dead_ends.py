"""Every status of a job and everything that may befall it: none waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import Dispatch, History
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.settings import Settings
from tests.history.factories import THUMB, a_new_job, ended
from tests.resilience.machine import Runs, let_pass

LEASE_S = 60.0
Event = Callable[[History, Job], object]


def dispatched(history: History, job: Job) -> Job:
    assert history.leases.assign(THUMB, limit=1, lease_s=LEASE_S) is not None
    return history.jobs.get(job.id)


def at_work(history: History, job: Job) -> Job:
    assigned = dispatched(history, job)
    assert history.leases.claim(assigned.dispatch_id or "", run_id="run", host="h", lease_s=LEASE_S) is not None
    return history.jobs.get(job.id)


def end_as(status: AttemptStatus, job_status: JobStatus) -> Callable[[History, Job], Job]:
    def end(history: History, job: Job) -> Job:
        assigned = dispatched(history, job)
        claim = history.leases.claim(assigned.dispatch_id or "", run_id="run", host="h", lease_s=LEASE_S)
        assert claim is not None
        pause_s = 300.0 if job_status is JobStatus.FAILED else None
        history.leases.finish(ended(claim, status), job_status=job_status, pause_s=pause_s)
        return history.jobs.get(job.id)

    return end


STANDINGS: dict[str, Callable[[History, Job], Job]] = {
    "queued": lambda _, job: job,
    "queued, and a run has it": dispatched,
    "processing": at_work,
    "completed": end_as(AttemptStatus.SUCCESS, JobStatus.COMPLETED),
    "failed": end_as(AttemptStatus.FAILURE, JobStatus.FAILED),
    "dead": end_as(AttemptStatus.FAILURE, JobStatus.DEAD),
    "skipped": end_as(AttemptStatus.SKIPPED, JobStatus.SKIPPED),
    "cancelled": lambda history, job: history.jobs.cancel(job.id),
    "cancelled at work": lambda history, job: history.jobs.cancel(at_work(history, job).id),
}
"""Every way in which a job can stand."""

EVENTS: dict[str, Event] = {
    "nothing more happens": lambda *_: None,
    "it is asked for again": lambda history, job: history.jobs.retry(job.id),
    "the same is asked for": lambda history, job: history.jobs.enqueue(
        [a_new_job(idempotency_key=job.idempotency_key)]
    ),
    "it is cancelled": lambda history, job: history.jobs.cancel(job.id),
    "its run gives it back": lambda history, job: history.leases.release(job.dispatch_id or "none"),
    "its run is terminated": lambda history, job: history.leases.cancel_assigned(job.dispatch_id or "none"),
    "its run renews": lambda history, job: history.leases.renew(job.dispatch_id or "none", lease_s=LEASE_S),
    "its run dies and the lease ends": lambda history, _: let_pass(history, 61),
    "the clock is set back by a day": lambda history, _: let_pass(history, -86_400),
    "the clock is set forward by a day": lambda history, _: let_pass(history, 86_400),
    "recovery looks at once": lambda history, _: recover(history, SETTINGS, Runs(), settling_s=0),
    "everything of its status is retried": lambda history, job: history.jobs.retry_many([job.id], list(JobStatus)),
    "everything of its status is cancelled": lambda history, job: history.jobs.cancel_many([job.id], list(JobStatus)),
}
SETTINGS = Settings.load(_env_file=None, lease_s=LEASE_S)


def test_the_standings_are_all_there_are() -> None:
    """A new status has to be thought of here."""
    assert {name.partition(",")[0].partition(" at")[0] for name in STANDINGS} == set(JobStatus)


@pytest.mark.parametrize("standing", STANDINGS)
def test_whatever_happens_it_comes_to_an_end(history: History, standing: str) -> None:
    """Whoever had it is dead by then. In at most four minutes of recovery and pauses it is done, or was over before."""
    for number, (event, happen) in enumerate(EVENTS.items()):
        [entry] = history.jobs.enqueue([a_new_job(idempotency_key=f"key-{number}")])
        job = STANDINGS[standing](history, entry.job)
        with suppress(IllegalTransitionError):  # refused, so that nothing has happened
            happen(history, job)
        for _ in range(3):
            let_pass(history, 4 * LEASE_S)
            recover(history, SETTINGS, Runs(), settling_s=0)
            work_off(history)
        found = history.jobs.get(job.id)
        rows = history.attempts.of_job(job.id)
        assert found.status.is_final, f"{standing}, {event}: {found.status}"
        assert all(row.status.is_final for row in rows), f"{standing}, {event}"
        assert (found.dispatch_id, found.lease_expires_at) == (None, None), f"{standing}, {event}"


def work_off(history: History) -> None:
    """Do all that may start now."""
    dispatcher = Dispatcher(history, Breaker(failures=1000), LEASE_S)
    while isinstance(found := dispatcher.next(THUMB, batch_size=9), Dispatch):
        while claim := history.leases.claim(found.id, run_id="run", host="h", lease_s=LEASE_S):
            history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
