"""What becomes of jobs and attempts whose worker fell silent, by what is known of their run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from mediajobs_dagster.attempts.recovery import Recovered, RunState, recover
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus, utc_now
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import Settings
from tests.history.factories import THUMB, an_attempt, claimed, ended, let_pass, some_new_jobs


@dataclass(frozen=True)
class All:
    """Every run is in the same state."""

    state: RunState
    is_known_to_be_over: bool = False

    def of_dispatch(self, dispatch_id: str) -> RunState:
        return self.state

    def of_run(self, run_id: str) -> RunState:
        return self.state

    def is_over(self, dispatch_id: str) -> bool:
        return self.is_known_to_be_over


def recovered(history: History, settings: Settings, state: RunState) -> Recovered:
    """What recovery finds if every run is in that state; it waits for no worker."""
    return recover(history, settings, All(state), settling_s=0)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """An empty one."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}", timeout_s=10) as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lease of a minute, and retries that wait."""
    return Settings.load(_env_file=None, home=tmp_path, lease_s=60, retry_base_s=1000, retry_cap_s=1000)


@pytest.mark.parametrize(
    ("state", "released", "cancelled", "status"),
    [
        (RunState.ALIVE, 0, 0, JobStatus.QUEUED),
        (RunState.GONE, 3, 0, JobStatus.QUEUED),
        (RunState.CANCELLED, 0, 3, JobStatus.CANCELLED),
    ],
)
def test_jobs_that_were_not_started(
    history: History, settings: Settings, state: RunState, released: int, cancelled: int, status: JobStatus
) -> None:
    """A run that waits its turn keeps them, a dead one gives them back, and a cancelled one cancels them."""
    entries = history.jobs.enqueue(some_new_jobs(3), dispatch_id="d", lease_s=-1)
    began = utc_now()
    found = recovered(history, settings, state)
    assert (len(found.lost), found.released, found.cancelled) == (0, released, cancelled)
    assert f"jobs given back unstarted: {released};" in found.summary
    for job in (history.jobs.get(entry.job.id) for entry in entries):
        assert job.status is status
        assert job.dispatch_id == ("d" if state is RunState.ALIVE else None)
        if state is RunState.ALIVE:
            assert job.lease_expires_at
            assert job.lease_expires_at >= began + timedelta(seconds=60)


def test_what_a_run_left_unstarted_need_not_wait_for_its_lease(history: History, settings: Settings) -> None:
    """If the run is known to be over; one that is not may still begin."""
    history.jobs.enqueue(some_new_jobs(3), dispatch_id="d", lease_s=600)
    assert recover(history, settings, All(RunState.GONE), settling_s=0).released == 0
    assert recover(history, settings, All(RunState.GONE, is_known_to_be_over=True), settling_s=0).released == 3


def test_the_worker_of_a_run_that_is_over_has_time_to_write_its_records(history: History, settings: Settings) -> None:
    """Only if there is such a run: nobody else is waited for."""
    began = time.monotonic()
    recover(history, settings, All(RunState.GONE), settling_s=3600)
    claimed(history)
    recover(history, settings, All(RunState.ALIVE), settling_s=3600)
    recover(history, settings, All(RunState.GONE), settling_s=0.3)
    assert time.monotonic() - began >= 0.3


def test_a_job_that_has_lost_three_workers_in_a_row_is_dead_and_says_why(history: History, tmp_path: Path) -> None:
    """It may be what kills them."""
    settings = Settings.load(_env_file=None, home=tmp_path, lease_s=60, retry_base_s=0)
    errors: list[str] = []
    claim = claimed(history)
    for _ in range(3):
        (lost,) = recovered(history, settings, RunState.GONE).lost
        errors.append(history.attempts.get(lost.attempt.id).error or "")
        if dispatch := history.leases.assign(THUMB, limit=1, lease_s=60):
            assert history.leases.claim(dispatch.id, run_id="run-1", host="worker-1", lease_s=60)
    assert ["died three times in a row" in error for error in errors] == [False, False, True]
    assert history.jobs.get(claim.job.id).status is JobStatus.DEAD


@pytest.mark.parametrize(
    ("state", "status"), [(RunState.GONE, JobStatus.FAILED), (RunState.CANCELLED, JobStatus.CANCELLED)]
)
def test_an_attempt_whose_run_is_over(history: History, settings: Settings, state: RunState, status: JobStatus) -> None:
    """Nobody waits for its lease: it is on record as lost, and its job is tried again, unless it was cancelled."""
    began = utc_now() - timedelta(seconds=10)
    claim = claimed(history, now=began)
    (lost,) = recovered(history, settings, state).lost
    assert lost.attempt.id == claim.attempt.id
    attempt, job = history.attempts.get(claim.attempt.id), history.jobs.get(claim.job.id)
    assert (attempt.status, attempt.error_code, attempt.blame) == (AttemptStatus.LOST, "WORKER_LOST", Blame.SYSTEM)
    assert attempt.error
    assert "worker-1 fell silent" in attempt.error
    assert attempt.completed_at
    assert attempt.duration_ms == round((attempt.completed_at - began).total_seconds() * 1000) >= 10_000
    assert attempt.manifest
    assert attempt.manifest["status"] == "lost"
    assert job.status is status
    if status is JobStatus.FAILED:
        assert job.not_before is not None
        assert utc_now() < job.not_before < utc_now() + timedelta(seconds=1000)
    assert recovered(history, settings, state).lost == ()


def test_what_is_under_way_or_over_is_left_alone(history: History, settings: Settings) -> None:
    """An attempt in a run that lives, one that has ended, and one that belongs to no job."""
    claim = claimed(history)
    over = an_attempt()
    jobless = an_attempt(status=AttemptStatus.RUNNING, completed_at=None, duration_ms=None)
    assert history.attempts.record(over)
    assert history.attempts.record(jobless)
    assert recovered(history, settings, RunState.ALIVE).lost == ()
    assert history.jobs.get(claim.job.id).status is JobStatus.PROCESSING
    (lost,) = recovered(history, settings, RunState.GONE).lost
    assert lost.job.id == claim.job.id
    assert [history.attempts.get(each.id).status for each in (over, jobless)] == [over.status, jobless.status]


def test_all_attempts_of_a_dead_run_are_found_at_once(history: History, settings: Settings) -> None:
    """A machine may have had more of them under way than a page of the history has."""
    for _ in range(101):
        claimed(history)
    assert len(recovered(history, settings, RunState.GONE).lost) == 101


def test_a_worker_may_still_record_its_attempt_after_its_run_was_closed(history: History, settings: Settings) -> None:
    """As when somebody forces a termination: what the worker writes while recovery waits is what counts."""
    claim = claimed(history)

    class EndsMeanwhile(All):
        def of_run(self, run_id: str) -> RunState:
            assert history.leases.finish(ended(claim, AttemptStatus.CANCELLED), job_status=JobStatus.CANCELLED)
            return RunState.CANCELLED

    assert recover(history, settings, EndsMeanwhile(RunState.CANCELLED), settling_s=0).lost == ()
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.CANCELLED


def test_a_clock_that_was_set_back_keeps_no_job_from_recovery(history: History, settings: Settings) -> None:
    """Leases and pauses that were made by the clock of before would last for as much longer: they are shortened.

    A worker that lives keeps its jobs.
    """
    dead, alive, failed, waiting = (claimed(history) for _ in range(4))
    for claim in (failed, waiting):
        history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=100)
    let_pass(history, -3600)
    history.leases.finish(ended(claimed(history), AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=100)
    assert recovered(history, settings, RunState.ALIVE).lost == ()
    due = history.jobs.next_due()
    assert due is not None
    assert due.is_now
    dispatch = history.leases.assign(THUMB, limit=10, lease_s=60)
    assert dispatch is not None
    assert {job.id for job in dispatch.jobs} == {failed.job.id, waiting.job.id}  # not the one that failed since
    let_pass(history, 100)
    assert alive.job.dispatch_id is not None
    assert history.leases.renew(alive.job.dispatch_id, lease_s=60) == {alive.job.id: JobStatus.PROCESSING}
    let_pass(history, 59)
    assert history.leases.lost() == []
    assert history.leases.renew(alive.job.dispatch_id, lease_s=60)
    let_pass(history, 22)
    assert [claim.job.id for claim in recovered(history, settings, RunState.ALIVE).lost] == [dead.job.id]


def test_a_lost_attempt_is_tried_again_as_its_job_type_says(history: History, settings: Settings) -> None:
    """A policy of the type's own counts for a worker that died, too."""

    class Patient(Thumbnail):
        retry: ClassVar[RetryPolicy | None] = RetryPolicy(base_s=0.0, cap_s=0.0)

    claim = claimed(history)
    registry = Registry([Patient()])
    assert registry.retry_policy("not_installed_v1", RetryPolicy()) == RetryPolicy()
    assert claim.job.job_type == Patient.name
    recover(history, settings, All(RunState.GONE), registry, settling_s=0)
    due = history.jobs.get(claim.job.id).not_before
    assert due is not None
    assert due <= utc_now()
