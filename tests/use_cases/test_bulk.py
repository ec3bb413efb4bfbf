"""Retrying and cancelling everything that matches a filter."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import Claim, History, JobFilter
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus
from mediajobs_dagster.records import JobCancelled, JobQueued, Record
from mediajobs_dagster.use_cases.bulk import Bulk
from tests.history.factories import NOON, THUMB, claimed, ended, some_new_jobs


@pytest.fixture
def told() -> list[Record]:
    """What listeners were told."""
    return []


@pytest.fixture
def bulk(history: History, told: list[Record]) -> Bulk:
    """Acts on that history; the source of `upload-gone` is gone."""
    return Bulk(
        history,
        Listeners((told.append,)),
        lambda job: "its source is gone" if job.subject_id == "upload-gone" else None,
    )


def dead(history: History, error_code: str = "DISK_FULL", **of_job: object) -> Claim:
    """A job that failed for good."""
    claim = claimed(history, **of_job)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE, error_code=error_code), job_status=JobStatus.DEAD)
    return claim


def status_of(history: History, job: Job) -> JobStatus:
    return history.jobs.get(job.id).status


def test_a_retry_acts_on_every_job_that_matches_and_is_on_record(
    history: History, bulk: Bulk, told: list[Record]
) -> None:
    """More than one batch of them; other types and codes stay. The record says how many, of what, why and who."""
    chosen = [dead(history).job for _ in range(103)]
    others = [dead(history, "TIMEOUT").job, dead(history, job_type="upload_edit_proxy_v1").job]
    done = bulk.retry(JobFilter(job_type=THUMB, error_code="DISK_FULL"), reason="the disk is larger now")
    assert (done.count, dict(done.by_type), done.left.total()) == (103, {THUMB: 103}, 0)
    assert {status_of(history, job) for job in chosen} == {JobStatus.QUEUED}
    assert {status_of(history, job) for job in others} == {JobStatus.DEAD}
    assert all(history.jobs.get(job.id).max_attempts == 4 for job in chosen[:3])  # one was used, three more
    assert {each.job.idempotency_key for each in told if isinstance(each, JobQueued)} == {
        job.idempotency_key for job in chosen
    }
    (action,) = history.actions.list()
    assert (action.action, action.count, action.reason) == ("jobs retry", 103, "the disk is larger now")
    assert action.target == f"103 {THUMB}"
    assert action.details == {"type": THUMB, "statuses": ["failed", "dead"], "error": "DISK_FULL"}
    assert "@" in action.who


def test_a_dry_run_changes_nothing(history: History, bulk: Bulk, told: list[Record]) -> None:
    job, gone = dead(history).job, dead(history, subject_id="upload-gone").job
    done = bulk.retry(JobFilter(job_type=THUMB), dry_run=True)
    assert (done.count, [each.id for each in done.examples]) == (1, [job.id])
    assert dict(done.left) == {"its source is gone": 1}
    assert {status_of(history, each) for each in (job, gone)} == {JobStatus.DEAD}
    bulk.cancel(JobFilter(job_type=THUMB), dry_run=True)
    assert history.actions.list() == told == []


def test_a_cancellation_takes_what_waits_and_what_is_at_work(history: History, bulk: Bulk, told: list[Record]) -> None:
    """The worker of the latter still has its lease, so that recovery finds the attempt if the worker has died."""
    (waiting,) = [entry.job for entry in history.jobs.enqueue(some_new_jobs(1))]
    busy, over = claimed(history).job, dead(history).job
    done = bulk.cancel(JobFilter(job_type=THUMB))
    assert done.count == 2
    assert {each.job.id for each in told if isinstance(each, JobCancelled)} == {waiting.id, busy.id}
    assert [status_of(history, job) for job in (waiting, busy, over)] == ["cancelled", "cancelled", "dead"]
    assert history.jobs.get(busy.id).lease_expires_at is not None
    assert history.jobs.get(busy.id).dispatch_id is None
    assert history.jobs.get(waiting.id).lease_expires_at is None


def test_jobs_that_change_meanwhile_are_left(history: History, bulk: Bulk) -> None:
    """Between the look and the change, another person retries a job and a run takes another."""
    first, second = dead(history).job, dead(history).job
    history.jobs.retry(first.id)
    assert [job.id for job in history.jobs.retry_many([first.id, second.id], [JobStatus.DEAD])] == [second.id]
    third = dead(history).job
    history.jobs.retry(third.id, dispatch_id="d", lease_s=60)
    assert history.jobs.retry_many([third.id], list(JobStatus)) == []  # a run is about to start it


def test_a_filter_without_any_condition_is_refused(bulk: Bulk) -> None:
    """Nobody means everything by saying nothing; nor can a job that is over be cancelled."""
    for act in (bulk.retry, bulk.cancel):
        with pytest.raises(RequestError, match="Say which jobs"):
            act(JobFilter())
    with pytest.raises(RequestError, match="dead cannot become cancelled"):
        bulk.cancel(JobFilter(statuses=(JobStatus.DEAD,)))
    with pytest.raises(RequestError, match="processing cannot become queued"):
        bulk.retry(JobFilter(statuses=(JobStatus.PROCESSING,)))


def test_since_and_trace_narrow_it(history: History, bulk: Bulk) -> None:
    early = claimed(history, now=NOON)
    history.leases.finish(ended(early, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    late = dead(history, trace_id="1" * 32)
    assert bulk.retry(JobFilter(since=NOON + timedelta(days=1)), dry_run=True).count == 1
    assert bulk.retry(JobFilter(trace_id=late.job.trace_id), dry_run=True).count == 1
    assert bulk.retry(JobFilter(until=NOON + timedelta(seconds=1)), dry_run=True).count == 1
