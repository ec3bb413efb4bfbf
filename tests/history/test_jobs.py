"""The queue, as those who ask for work and those who look at it see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import IllegalTransitionError, NotFoundError
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.history.schema import jobs
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, new_id
from tests.history.factories import (
    NOON,
    THUMB,
    TRACE,
    a_new_job,
    an_attempt,
    an_upload,
    claimed,
    ended,
    let_pass,
    some_new_jobs,
)


def test_a_job_comes_back_as_it_was_asked_for(history: History) -> None:
    asked = a_new_job(params={"seconds": 0.2, "deep": {"list": [1, None, "ä"]}}, priority=7, force=True, max_attempts=5)
    [enqueued] = history.jobs.enqueue([asked], now=NOON)
    job = history.jobs.get(enqueued.job.id)
    assert enqueued.created
    assert job == enqueued.job
    assert job == Job(
        **asked.model_dump(),
        id=job.id,
        status=JobStatus.QUEUED,
        attempts=0,
        not_before=None,
        created_at=NOON,
        updated_at=job.updated_at,
    )
    # By the database's clock, not by that of the machine that asks.
    assert abs((history.now() - job.updated_at).total_seconds()) < 60


def test_times_come_back_aware_and_in_utc(history: History) -> None:
    """A moment given in another zone is the same moment afterwards, to the microsecond."""
    from zoneinfo import ZoneInfo

    [enqueued] = history.jobs.enqueue([a_new_job()], now=NOON.astimezone(ZoneInfo("Asia/Kathmandu")))
    created_at = history.jobs.get(enqueued.job.id).created_at
    assert created_at == NOON
    assert created_at.tzinfo is UTC


def test_a_naive_time_is_refused(history: History) -> None:
    with pytest.raises(Exception, match="no time zone"):
        history.jobs.enqueue([a_new_job()], now=NOON.replace(tzinfo=None))


def test_a_known_idempotency_key_is_answered_with_its_job_untouched(history: History) -> None:
    [first] = history.jobs.enqueue([a_new_job(idempotency_key="same", priority=1)])
    again = history.jobs.enqueue(
        [a_new_job(idempotency_key="same", priority=9), a_new_job(idempotency_key="other")],
        dispatch_id=new_id(),
        lease_s=60,
    )
    assert [answer.created for answer in again] == [False, True]
    assert again[0].job == first.job
    assert again[1].job.dispatch_id is not None


def test_a_key_twice_in_one_batch_is_one_job(history: History) -> None:
    answers = history.jobs.enqueue([a_new_job(idempotency_key="same"), a_new_job(idempotency_key="same")])
    assert [answer.created for answer in answers] == [True, False]
    assert answers[0].job == answers[1].job


def test_a_large_batch_is_answered_in_its_order(history: History) -> None:
    """More jobs than one statement can carry parameters for."""
    asked = some_new_jobs(2500)
    answers = history.jobs.enqueue(asked)
    assert [answer.job.idempotency_key for answer in answers] == [job.idempotency_key for job in asked]
    assert len({answer.job.id for answer in answers}) == 2500


def test_an_empty_batch_is_no_work(history: History) -> None:
    assert history.jobs.enqueue([]) == []


def test_a_batch_with_an_impossible_job_leaves_nothing(history: History) -> None:
    """A parent that does not exist undoes the whole batch."""
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        history.jobs.enqueue([a_new_job(), a_new_job(parent_job_id=new_id())])
    assert history.jobs.counts() == {}


def test_racing_requests_with_the_same_keys_make_each_job_once(history: History) -> None:
    """Eight at once, in different orders: one creates, all get the same job, and nobody deadlocks."""
    asked = [a_new_job(idempotency_key=f"key-{number}") for number in range(40)]

    def enqueue(turn: int) -> list[tuple[str, str, bool]]:
        batch = asked if turn % 2 else asked[::-1]
        return [(a.job.idempotency_key, a.job.id, a.created) for a in history.jobs.enqueue(batch)]

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for batch in pool.map(enqueue, range(8)) for answer in batch]
    assert len({(key, job_id) for key, job_id, _ in answers}) == 40
    assert sum(created for _, _, created in answers) == 40


def test_lists_page_by_key_newest_first_without_gap_or_repeat(history: History) -> None:
    """Also when many jobs share one moment, and while new ones arrive."""
    enqueued = history.jobs.enqueue(some_new_jobs(25), now=NOON)
    expected = sorted((answer.job.id for answer in enqueued), reverse=True)
    seen: list[str] = []
    after = None
    while page := history.jobs.list(JobFilter(), limit=10, after=after):
        seen += [job.id for job in page]
        after = seen[-1]
        history.jobs.enqueue([a_new_job()], now=NOON + timedelta(seconds=1))
    assert seen == expected


def test_a_page_behind_a_row_that_is_gone_is_an_error(history: History) -> None:
    with pytest.raises(NotFoundError):
        history.jobs.list(JobFilter(), after=new_id())


def test_each_filter_selects_its_jobs(history: History) -> None:
    [plain, parent] = [a.job for a in history.jobs.enqueue(some_new_jobs(2), now=NOON)]
    other_trace = "b" * 32
    [child] = [
        a.job
        for a in history.jobs.enqueue(
            [a_new_job(job_type="other", trace_id=other_trace, subject_id="s", parent_job_id=parent.id)],
            now=NOON + timedelta(hours=1),
        )
    ]
    history.jobs.cancel(plain.id)
    claim = claimed(history, now=NOON + timedelta(hours=2))
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)

    def found(filter: JobFilter) -> list[str]:
        return [job.id for job in history.jobs.list(filter)]

    assert found(JobFilter(job_type="other")) == [child.id]
    assert found(JobFilter(statuses=(JobStatus.CANCELLED, JobStatus.DEAD))) == [claim.job.id, plain.id]
    assert found(JobFilter(trace_id=other_trace)) == [child.id]
    assert found(JobFilter(since=NOON + timedelta(hours=1))) == [claim.job.id, child.id]
    assert found(JobFilter(until=NOON + timedelta(hours=1))) == [parent.id, plain.id]
    assert found(JobFilter(subject_id="s")) == [child.id]
    assert found(JobFilter(error_code="DISK_FULL")) == [claim.job.id]
    assert found(JobFilter(parent_job_id=parent.id)) == [child.id]
    assert found(JobFilter(ids=(plain.id, child.id))) == [child.id, plain.id]
    assert found(JobFilter(ids=())) == []
    assert found(JobFilter(trace_id=TRACE, job_type=THUMB, statuses=(JobStatus.QUEUED,))) == [parent.id]


def test_counts_are_by_type_and_status(history: History) -> None:
    history.jobs.enqueue(some_new_jobs(3))
    history.jobs.enqueue([a_new_job(job_type="other")])
    claimed(history)
    counts = history.jobs.counts()
    assert counts[THUMB][JobStatus.QUEUED] == 3
    assert counts[THUMB][JobStatus.PROCESSING] == 1
    assert counts[THUMB][JobStatus.DEAD] == 0
    assert counts["other"][JobStatus.QUEUED] == 1
    assert history.jobs.counts("other").keys() == {"other"}


def test_next_due_is_the_earliest_of_the_unassigned(history: History) -> None:
    assert history.jobs.next_due() is None
    history.jobs.enqueue([a_new_job()], dispatch_id=new_id(), lease_s=60)
    assert history.jobs.next_due() is None
    for pause_s in (1000.0, 500.0):
        failed = ended(claimed(history, job_type="other"), AttemptStatus.FAILURE)
        history.leases.finish(failed, job_status=JobStatus.FAILED, pause_s=pause_s)
    history.jobs.enqueue([a_new_job()])
    for types in (None, [THUMB], [THUMB, "other"]):
        due = history.jobs.next_due(types)
        assert due is not None
        assert due.is_now
    other = history.jobs.next_due(["other"])
    assert other is not None
    assert not other.is_now
    assert 400 < other.in_s <= 500
    assert other.at - history.now() <= timedelta(seconds=500)
    assert history.jobs.next_due(["unknown"]) is None
    assert history.jobs.next_due([]) is None


def test_active_counts_what_is_assigned_or_processing(history: History) -> None:
    history.jobs.enqueue(some_new_jobs(3))
    assert history.jobs.active(THUMB) == 0
    claim = claimed(history)
    history.leases.assign(THUMB, limit=2, lease_s=60)
    assert history.jobs.active(THUMB) == 3
    history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    assert history.jobs.active(THUMB) == 2
    assert history.jobs.active("other") == 0


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.DEAD, JobStatus.SKIPPED, JobStatus.CANCELLED])
def test_a_final_job_can_be_retried_but_not_cancelled(history: History, status: JobStatus) -> None:
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=status)
    with pytest.raises(IllegalTransitionError, match=status.value):
        history.jobs.cancel(claim.job.id)
    job = history.jobs.retry(claim.job.id)
    assert job.status is JobStatus.QUEUED
    assert job.error_code is None
    assert job.not_before is None
    assert job == history.jobs.get(job.id)


def test_each_retry_grants_the_first_allowance_again(history: History) -> None:
    """The allowance does not double with each retry."""
    job_id = claimed(history, max_attempts=2).job.id
    for expected in (3, 4):
        [attempt] = [a for a in history.attempts.of_job(job_id) if a.status is AttemptStatus.RUNNING]
        history.leases.finish(attempt.model_copy(update={"status": AttemptStatus.FAILURE}), job_status=JobStatus.DEAD)
        job = history.jobs.retry(job_id)
        assert job.max_attempts == expected
        dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
        assert dispatch is not None
        assert history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60) is not None


def test_a_failed_job_that_waits_can_be_retried_at_once(history: History) -> None:
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=3600)
    later = history.jobs.get(claim.job.id).not_before
    assert later is not None
    assert timedelta(minutes=59) < later - history.now() <= timedelta(hours=1)
    assert history.leases.assign(THUMB, limit=1, lease_s=60) is None
    job = history.jobs.retry(claim.job.id, force=True)
    assert job.force
    assert history.leases.assign(THUMB, limit=1, lease_s=60) is not None


def test_queued_and_processing_jobs_cannot_be_retried(history: History) -> None:
    [queued] = history.jobs.enqueue([a_new_job()])
    with pytest.raises(IllegalTransitionError):
        history.jobs.retry(queued.job.id)
    with pytest.raises(IllegalTransitionError, match="Cancel it"):
        history.jobs.retry(claimed(history).job.id)


def test_a_queued_job_that_an_older_version_put_ahead_is_made_due_by_a_retry(history: History) -> None:
    """Such versions noted the time of the request, and the clock was set back since."""
    [queued] = history.jobs.enqueue([a_new_job()])
    ahead = history.now() + timedelta(hours=1)
    with history._database.write() as connection:
        connection.execute(sa.update(jobs).values(not_before=ahead))
    assert history.leases.assign(THUMB, limit=1, lease_s=60) is None
    assert history.jobs.retry(queued.job.id).not_before is None
    assert history.leases.assign(THUMB, limit=1, lease_s=60) is not None
    with pytest.raises(IllegalTransitionError):  # a run is about to start it
        history.jobs.retry(queued.job.id)


def test_a_clock_that_was_set_back_delays_no_job_that_is_due_at_once(history: History) -> None:
    """Neither one that was just asked for, nor one that was retried or given back by a run."""
    history.jobs.enqueue([a_new_job()])
    failed = claimed(history)
    history.leases.finish(ended(failed, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    history.jobs.retry(failed.job.id)
    history.jobs.enqueue([a_new_job()], dispatch_id="d", lease_s=60)
    history.leases.release("d")
    interrupted = claimed(history)
    history.leases.finish(ended(interrupted, AttemptStatus.CANCELLED), job_status=JobStatus.QUEUED)
    let_pass(history, -3600)
    due = history.jobs.next_due()
    assert due is not None
    assert due.is_now
    dispatch = history.leases.assign(THUMB, limit=10, lease_s=60)
    assert dispatch is not None
    assert len(dispatch.jobs) == 4


def test_a_cancelled_job_is_not_assigned(history: History) -> None:
    [queued] = history.jobs.enqueue([a_new_job()])
    assert history.jobs.cancel(queued.job.id).status is JobStatus.CANCELLED
    assert history.leases.assign(THUMB, limit=1, lease_s=60) is None
    with pytest.raises(IllegalTransitionError):
        history.jobs.cancel(queued.job.id)


@pytest.mark.parametrize("ask", ["get", "cancel", "retry"])
def test_an_unknown_job_is_not_found(history: History, ask: str) -> None:
    with pytest.raises(NotFoundError, match="no job"):
        getattr(history.jobs, ask)(new_id())


def test_jobs_are_found_by_what_their_attempts_took_and_where(history: History) -> None:
    """By machine and duration of any attempt; of those without one, none is."""
    quick, slow, _untried = (each.job for each in history.jobs.enqueue(some_new_jobs(3)))
    for job, duration_ms, host in ((quick, 10, "a"), (slow, 5000, "b"), (slow, 20, "a")):
        number = len(history.attempts.of_job(job.id)) + 1
        entry = an_attempt(job_id=job.id, attempt=number, duration_ms=duration_ms, host=host)
        assert history.attempts.record(entry)

    def found(**conditions: Any) -> set[str]:
        return {job.id for job in history.jobs.list(JobFilter(**conditions))}

    assert found(host="a") == {quick.id, slow.id}
    assert found(host="b") == found(longer_than_ms=5000) == {slow.id}
    assert found(shorter_than_ms=20) == {quick.id}
    assert found(host="a", longer_than_ms=1000) == set()  # it was another attempt


def test_jobs_are_found_by_part_of_a_name(history: History) -> None:
    """Of an upload in any letter case and script; what stands for any character elsewhere stands for itself."""
    upload = history.uploads.add(an_upload(filename="\u00dcbung 100%_a.mp4"))
    (job, *_) = (each.job for each in history.jobs.enqueue([a_new_job(subject_id=upload.id), *some_new_jobs(2)]))
    for text, is_found in (("\u00fcbung", True), ("100%", True), ("%_A", True), ("100_", False), ("x%", False)):
        assert [each.id for each in history.jobs.list(JobFilter(text=text))] == ([job.id] if is_found else []), text


def test_changes_are_read_in_their_order(history: History) -> None:
    """A page at a time, each change once; a job that changes again comes again."""
    jobs = [each.job for each in history.jobs.enqueue(some_new_jobs(5), now=NOON)]
    first = history.jobs.changed(NOON - timedelta(seconds=1), limit=3)
    rest = history.jobs.changed(first[-1].updated_at, first[-1].id, limit=3)
    assert [job.id for job in (*first, *rest)] == sorted(job.id for job in jobs)
    history.jobs.cancel(jobs[0].id)
    assert [job.id for job in history.jobs.changed(rest[-1].updated_at, rest[-1].id, limit=3)] == [jobs[0].id]
