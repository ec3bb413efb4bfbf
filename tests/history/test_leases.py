"""The queue, as workers see it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import IllegalTransitionError, NotFoundError
from mediajobs_dagster.history import AttemptFilter, Claim, History, JobFilter
from mediajobs_dagster.history.schema import jobs
from mediajobs_dagster.models import AttemptStatus, JobProgress, JobStatus, new_id
from tests.history.factories import (
    DAY,
    NOON,
    THUMB,
    TRACE,
    a_new_job,
    an_upload,
    claimed,
    ended,
    let_pass,
    some_new_jobs,
)


def test_a_dispatch_holds_the_foremost_jobs_of_one_trace_and_day(history: History) -> None:
    """Priority goes before age; jobs of another trace, day or type stay in the queue."""
    history.jobs.enqueue([a_new_job(trace_id="b" * 32)])
    history.jobs.enqueue(
        [
            a_new_job(priority=1, subject_id="second"),
            a_new_job(priority=5, subject_id="first"),
            a_new_job(priority=9, job_type="other"),
            a_new_job(priority=1, subject_id="third"),
            a_new_job(priority=1, subject_day=DAY + timedelta(days=1)),
            a_new_job(priority=0, subject_id="too many"),
        ],
    )
    before = history.now()
    dispatch = history.leases.assign(THUMB, limit=3, lease_s=60)
    after = history.now()
    assert dispatch is not None
    assert (dispatch.job_type, dispatch.trace_id, dispatch.subject_day, dispatch.priority) == (THUMB, TRACE, DAY, 5)
    assert [job.subject_id for job in dispatch.jobs] == ["first", "second", "third"]
    for job in dispatch.jobs:
        assert job.dispatch_id == dispatch.id
        assert job.lease_expires_at is not None
        assert before <= job.lease_expires_at - timedelta(seconds=60) <= after
        assert job.status is JobStatus.QUEUED
        assert job == history.jobs.get(job.id)
    claims = [history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60) for _ in range(3)]
    assert [claim and claim.job.subject_id for claim in claims] == ["first", "second", "third"]


def test_a_run_claims_its_most_urgent_job_first(history: History) -> None:
    """Then the oldest, whatever the order in which they were asked for."""
    for priority in (1, 1, 5):
        history.jobs.enqueue(some_new_jobs(1, priority=priority), dispatch_id="d", lease_s=60)
    claims = [history.leases.claim("d", run_id=None, host="h", lease_s=60) for _ in range(3)]
    ids = [claim.job.id for claim in claims if claim]
    assert [claim.job.priority for claim in claims if claim] == [5, 1, 1]
    assert ids[1] < ids[2]


def test_only_a_job_type_that_is_idle_gets_a_job_if_that_is_asked_for(history: History) -> None:
    """Jobs of other types, and those that only wait, do not matter."""
    claimed(history, job_type="other")
    history.jobs.enqueue(some_new_jobs(3))
    first = history.leases.assign(THUMB, limit=1, lease_s=60, only_if_idle=True)
    assert first is not None
    assert history.leases.assign(THUMB, limit=1, lease_s=60, only_if_idle=True) is None
    claim = history.leases.claim(first.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    assert history.leases.assign(THUMB, limit=1, lease_s=60, only_if_idle=True) is None
    history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    assert history.leases.assign(THUMB, limit=1, lease_s=60, only_if_idle=True) is not None


def test_only_fresh_jobs_of_the_type_are_taken_if_that_is_asked_for(history: History) -> None:
    """One that failed stays, though it is due; and so do those that a run has, and those of other types."""
    failed = claimed(history)
    history.leases.finish(ended(failed, AttemptStatus.FAILURE), job_status=JobStatus.FAILED)
    history.jobs.enqueue(some_new_jobs(1, priority=9), dispatch_id="d", lease_s=60)
    history.jobs.enqueue(some_new_jobs(1, priority=9, job_type="other"))
    assert history.leases.assign(THUMB, limit=5, lease_s=60, only_fresh=True) is None
    [fresh] = history.jobs.enqueue(some_new_jobs(1))
    dispatch = history.leases.assign(THUMB, limit=5, lease_s=60, only_fresh=True)
    assert dispatch is not None
    assert [job.id for job in dispatch.jobs] == [fresh.job.id]


@pytest.mark.parametrize("history_url", ["postgres"], indirect=True)
def test_nobody_waits_for_a_job_that_somebody_else_is_about_to_change(history: History, history_url: str) -> None:
    """It is passed over: as one of a batch, and as the first one."""
    [_, second, _] = history.jobs.enqueue(some_new_jobs(3, trace_id=A, priority=1))
    history.jobs.enqueue(some_new_jobs(1, trace_id=B))
    with History.open(history_url, timeout_s=5) as impatient, history._database.write() as connection:
        connection.execute(sa.select(jobs.c.id).where(jobs.c.id == second.job.id).with_for_update())
        assert served(impatient, limit=3) == "aa"
        assert served(impatient, limit=3) == "b"
    assert served(history, limit=3) == "a"


A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def served(history: History, *, limit: int = 1, besides: tuple[str, ...] = ()) -> str:
    """Whose jobs the next dispatch gets: the first letter of their trace, once a job; empty: there is none."""
    dispatch = history.leases.assign(THUMB, limit=limit, lease_s=60, besides=besides)
    return "".join(job.trace_id[0] for job in dispatch.jobs) if dispatch else ""


def rest(history: History, *, limit: int = 1) -> str:
    """Whose jobs the dispatches get, until none is left."""
    return " ".join(iter(lambda: served(history, limit=limit), ""))


def test_traces_take_turns(history: History) -> None:
    """One that comes along is a round behind at most, and whoever comes later is behind it."""
    history.jobs.enqueue(some_new_jobs(6, trace_id=A))
    assert [served(history) for _ in range(2)] == ["a", "a"]
    history.jobs.enqueue(some_new_jobs(2, trace_id=B))
    history.jobs.enqueue(some_new_jobs(1, trace_id=C))
    assert rest(history) == "a a b c a b a"


def test_a_batch_counts_for_as_many_turns_as_it_has_jobs(history: History) -> None:
    """Many that come along are served before the folder's next batch."""
    history.jobs.enqueue(some_new_jobs(9, trace_id=A))
    assert served(history, limit=3) == "aaa"
    for letter in "bcdef":
        history.jobs.enqueue(some_new_jobs(1, trace_id=letter * 32))
    assert rest(history, limit=3) == "aaa b c d e f aaa"


def test_nobody_starves_behind_traces_that_keep_coming(history: History) -> None:
    """For two dispatches comes a new one: the folder gets the other one, and none of the new ones waits for long."""
    history.jobs.enqueue(some_new_jobs(20, trace_id=A))
    order = ""
    for number in range(1, 9):
        history.jobs.enqueue(some_new_jobs(1, trace_id=f"{number}" * 32))
        order += served(history) + served(history)
    assert order.count("a") == 9
    assert [order.index(str(number)) - 2 * (number - 1) for number in range(1, 8)] == [2] * 7


def test_a_folder_that_is_added_in_parts_takes_one_turn_at_a_time(history: History) -> None:
    """Also when its uploads are of several days, and of however many jobs one transaction has."""
    for day in (DAY, DAY, DAY - timedelta(days=1)):
        history.jobs.enqueue([*some_new_jobs(1, trace_id=A), *some_new_jobs(2, trace_id=A, subject_day=day)])
    history.jobs.enqueue(some_new_jobs(3, trace_id=B))
    assert rest(history) == "a a b a b a b a a a a a"


def test_priority_goes_before_turns(history: History) -> None:
    """Traces take turns within a priority."""
    history.jobs.enqueue(some_new_jobs(3, trace_id=A, priority=1))
    history.jobs.enqueue(some_new_jobs(1, trace_id=B))
    history.jobs.enqueue(some_new_jobs(1, trace_id=C, priority=1))
    assert rest(history) == "a a c a b"


def test_what_was_tried_or_given_back_is_not_overtaken_for_ever(history: History) -> None:
    """A job keeps its turn, and old turns do not put those who come later before all others."""
    [failed] = history.jobs.enqueue(some_new_jobs(1, trace_id=B))
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    history.jobs.enqueue(some_new_jobs(5, trace_id=A))
    assert [served(history) for _ in range(2)] == ["a", "a"]
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED)
    given_back = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert given_back is not None
    assert given_back.jobs[0].id == failed.job.id
    history.leases.release(given_back.id)
    history.jobs.enqueue(some_new_jobs(3, trace_id=C))
    assert rest(history) == "b a a c a c c"


def test_a_batch_that_is_given_back_is_next(history: History) -> None:
    """And not behind all jobs that came while a run had it; nor does it count as far behind, to be passed over."""
    history.jobs.enqueue(some_new_jobs(6, trace_id=A))
    batch = history.leases.assign(THUMB, limit=6, lease_s=60)
    assert batch is not None
    history.jobs.enqueue(some_new_jobs(4, trace_id=B))
    history.leases.release(batch.id)
    assert served(history, besides=(B,)) == "a"
    assert rest(history, limit=3) == "aaa aa bbb b"


def test_who_was_served_beyond_the_next_turn_is_passed_over(history: History) -> None:
    """Its further jobs are due when those that wait have had their turns."""
    history.jobs.enqueue(some_new_jobs(6, trace_id=A))
    history.jobs.enqueue(some_new_jobs(4, trace_id=B))
    assert [served(history, besides=(A,)) for _ in range(2)] == ["b", ""]
    assert rest(history) == "a a a b a b a b a"


def test_what_is_known_takes_no_turn(history: History) -> None:
    """A folder that is added again with one new file does not go behind all others for it."""
    known = some_new_jobs(5, trace_id=A)
    history.jobs.enqueue(known)
    history.jobs.enqueue(some_new_jobs(3, trace_id=B))
    history.jobs.enqueue([each.model_copy(update={"trace_id": C}) for each in known] + some_new_jobs(1, trace_id=C))
    assert rest(history).split().index("c") < 5


def test_a_trace_that_has_had_enough_is_passed_over(history: History) -> None:
    """For the job of another trace that is next, or nothing; its own come next when it may have more."""
    history.jobs.enqueue(some_new_jobs(4, trace_id=A))
    assert served(history, besides=(A,)) == ""
    history.jobs.enqueue(some_new_jobs(1, trace_id=B))
    history.jobs.enqueue(some_new_jobs(2, trace_id=C))
    assert served(history, limit=5, besides=(A,)) == "b"
    assert served(history, limit=5, besides=(A, B)) == "cc"
    assert served(history, limit=5, besides=(A, B)) == ""
    history.jobs.enqueue(some_new_jobs(1, trace_id=C, priority=-1))
    assert served(history, besides=(A,)) == ""  # priority goes before turns
    history.jobs.enqueue(some_new_jobs(1, trace_id=B, priority=1))
    assert served(history, besides=(A,)) == "b"  # the highest, however many others have waited for longer
    assert rest(history, limit=2) == "aa aa c"


def test_jobs_of_other_types_do_not_hide_the_trace_that_is_next(history: History) -> None:
    """When one has had enough, though theirs are older and more urgent; nor do jobs that a run has."""
    history.jobs.enqueue(some_new_jobs(1, trace_id=B, job_type="other"))
    history.jobs.enqueue(some_new_jobs(1, trace_id=B, job_type="other", priority=9))
    history.jobs.enqueue(some_new_jobs(1, trace_id=B), dispatch_id="d", lease_s=60)
    history.jobs.enqueue(some_new_jobs(1, trace_id=B, priority=9), dispatch_id="d", lease_s=60)
    history.jobs.enqueue(some_new_jobs(2, trace_id=A))
    history.jobs.enqueue(some_new_jobs(1, trace_id=C))
    assert served(history, besides=(A,)) == "c"


def test_what_has_failed_is_next_however_far_behind_it_is_if_none_is_new(history: History) -> None:
    """There are few of those, so its turn does not matter when another trace has had enough."""
    history.jobs.enqueue(some_new_jobs(130, trace_id=A))
    before = history.leases.assign(THUMB, limit=129, lease_s=60)
    last = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert before is not None
    assert last is not None
    history.leases.cancel_assigned(before.id)
    claim = history.leases.claim(last.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED)
    assert served(history, besides=(B,)) == "a"


def test_a_dispatch_never_mixes_days(history: History) -> None:
    """There is room for all of them, but the run has one partition, and that is one day."""
    days = [DAY, DAY + timedelta(days=1), DAY]
    history.jobs.enqueue([a_new_job(subject_day=day) for day in days])
    sizes: dict[date, int] = {}
    while dispatch := history.leases.assign(THUMB, limit=10, lease_s=60):
        assert {job.subject_day for job in dispatch.jobs} == {dispatch.subject_day}
        sizes[dispatch.subject_day] = len(dispatch.jobs)
    assert sizes == {days[0]: 2, days[1]: 1}


def test_the_end_of_an_attempt_is_when_its_job_changed(history: History) -> None:
    """Whether it is done with, or waits for its next attempt."""
    for status, pause_s in ((JobStatus.COMPLETED, 0.0), (JobStatus.FAILED, 0.0), (JobStatus.FAILED, 100.0)):
        claim = claimed(history)
        let_pass(history, 50)
        before = history.now()
        end = AttemptStatus.SUCCESS if status is JobStatus.COMPLETED else AttemptStatus.FAILURE
        history.leases.finish(ended(claim, end), job_status=status, pause_s=pause_s)
        assert before <= history.jobs.get(claim.job.id).updated_at <= history.now()


def test_jobs_that_are_not_due_are_left_alone(history: History) -> None:
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=100)
    assert history.leases.assign(THUMB, limit=5, lease_s=60) is None
    let_pass(history, 90)
    assert history.leases.assign(THUMB, limit=5, lease_s=60) is None
    let_pass(history, 10)
    assert history.leases.assign(THUMB, limit=5, lease_s=60) is not None


def test_a_claim_starts_the_job_and_opens_its_record(history: History) -> None:
    history.jobs.enqueue([a_new_job()])
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    let_pass(history, 1000)
    before = history.now()
    claim = history.leases.claim(dispatch.id, run_id="run-7", host="worker-3", lease_s=30)
    after = history.now()
    assert claim is not None
    assert claim.job == history.jobs.get(claim.job.id)
    assert claim.job.status is JobStatus.PROCESSING
    assert claim.job.attempts == 1
    assert claim.job.lease_expires_at is not None
    assert before <= claim.job.lease_expires_at - timedelta(seconds=30) <= after
    assert claim.attempt == history.attempts.get(claim.attempt.id)
    assert claim.attempt.status is AttemptStatus.RUNNING
    assert (claim.attempt.job_id, claim.attempt.attempt, claim.attempt.job_name) == (claim.job.id, 1, THUMB)
    assert (claim.attempt.run_id, claim.attempt.host) == ("run-7", "worker-3")
    assert claim.attempt.queue_ms is not None
    assert 1_000_000 <= claim.attempt.queue_ms < 1_060_000
    assert claim.attempt.queue_ms == round((claim.job.updated_at - claim.job.created_at).total_seconds() * 1000)
    assert history.leases.claim(dispatch.id, run_id="run-7", host="worker-3", lease_s=30) is None


def test_a_retried_jobs_time_in_the_queue_starts_when_it_was_due(history: History) -> None:
    """Backing off is not queueing."""
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=300)
    let_pass(history, 300 + 200)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    let_pass(history, 100)
    again = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert again is not None
    assert again.job.attempts == again.attempt.attempt == 2
    assert again.attempt.queue_ms is not None
    assert 300_000 <= again.attempt.queue_ms < 360_000


def test_a_job_that_a_run_gave_back_has_waited_since_it_was_asked_for(history: History) -> None:
    """Nobody has tried it yet."""
    history.jobs.enqueue(some_new_jobs(1))
    let_pass(history, 100)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    assert history.leases.release(dispatch.id) == 1
    let_pass(history, 100)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    assert claim.attempt.queue_ms is not None
    assert 200_000 <= claim.attempt.queue_ms < 260_000


def test_no_job_has_waited_for_less_than_nothing(history: History) -> None:
    """Also if the clock of the process that asked for it is ahead."""
    history.jobs.enqueue(some_new_jobs(1), now=history.now() + timedelta(hours=1))
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    assert claim.attempt.queue_ms == 0


def test_a_job_retried_by_hand_has_waited_since_then(history: History) -> None:
    """It may have been dead for a week."""
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    let_pass(history, 7 * 24 * 3600)
    history.jobs.retry(claim.job.id)
    let_pass(history, 50)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    again = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert again is not None
    assert again.attempt.queue_ms is not None
    assert 50_000 <= again.attempt.queue_ms < 110_000


def test_a_heartbeat_extends_the_lease_and_tells_of_cancellation(history: History) -> None:
    enqueued = history.jobs.enqueue(some_new_jobs(3), dispatch_id="d", lease_s=1000)
    first, second, third = (answer.job for answer in enqueued)
    history.leases.claim("d", run_id=None, host="h", lease_s=1000)
    let_pass(history, 500)
    before = history.now()
    assert history.leases.renew("d", lease_s=1000) == {
        first.id: JobStatus.PROCESSING,
        second.id: JobStatus.QUEUED,
        third.id: JobStatus.QUEUED,
    }
    for job in (first, second, third):
        expires = history.jobs.get(job.id).lease_expires_at
        assert expires is not None
        assert before <= expires - timedelta(seconds=1000) <= history.now()
    history.jobs.cancel(first.id)
    assert first.id not in history.leases.renew("d", lease_s=10)
    assert history.leases.renew("unknown", lease_s=10) == {}


def test_finishing_writes_everything_at_once(history: History) -> None:
    """The record, the job, its uploads and its children."""
    claim = claimed(history)
    export = an_upload(origin=f"job:{claim.job.id}")
    child = a_new_job(job_type="child", parent_job_id=claim.job.id, subject_id=export.id)
    done = ended(
        claim,
        rtf=2.5,
        cpu_seconds=1.25,
        result={"outputs": [{"key": "a", "bytes": 5}]},
        manifest={"schemaVersion": 1, "stages": []},
    )
    assert history.leases.finish(done, job_status=JobStatus.COMPLETED, children=[child, child], uploads=[export])
    job = history.jobs.get(claim.job.id)
    assert (job.status, job.dispatch_id, job.lease_expires_at, job.error_code) == (
        JobStatus.COMPLETED,
        None,
        None,
        None,
    )
    assert history.attempts.get(claim.attempt.id) == done
    assert history.uploads.get(export.id) == export
    [enqueued] = history.jobs.list(JobFilter(parent_job_id=job.id))
    assert enqueued.idempotency_key == child.idempotency_key


def test_a_finish_that_fails_half_way_leaves_nothing(history: History) -> None:
    """A child with an unknown parent undoes the record, the job's status and the upload too."""
    claim = claimed(history)
    upload = an_upload()
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        history.leases.finish(
            ended(claim),
            job_status=JobStatus.COMPLETED,
            uploads=[upload],
            children=[a_new_job(parent_job_id=new_id())],
        )
    assert history.jobs.get(claim.job.id).status is JobStatus.PROCESSING
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.RUNNING
    with pytest.raises(NotFoundError):
        history.uploads.get(upload.id)


def test_finishing_after_a_cancel_completes_only_the_record(history: History) -> None:
    claim = claimed(history)
    history.jobs.cancel(claim.job.id)
    done = ended(claim, AttemptStatus.CANCELLED)
    assert not history.leases.finish(done, job_status=JobStatus.COMPLETED, children=[a_new_job(job_type="child")])
    history.leases.give_up(done)
    job = history.jobs.get(claim.job.id)
    assert job.status is JobStatus.CANCELLED
    assert job.lease_expires_at is None
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.CANCELLED
    assert history.jobs.list(JobFilter(job_type="child")) == []


def test_the_worker_of_a_lost_attempt_cannot_finish_the_next_one(history: History) -> None:
    """A worker thought dead comes back while its job is in its second attempt: it changes nothing."""
    slow = claimed(history)
    history.leases.finish(ended(slow, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    second = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert second is not None
    assert not history.leases.finish(ended(slow), job_status=JobStatus.COMPLETED)
    history.leases.give_up(ended(slow, AttemptStatus.CANCELLED))
    assert history.jobs.get(slow.job.id) == second.job
    assert [a.status for a in history.attempts.of_job(slow.job.id)] == [AttemptStatus.LOST, AttemptStatus.RUNNING]


def test_a_late_end_takes_no_lease_from_the_run_that_has_the_job_now(history: History) -> None:
    """The next run has not claimed it yet. Only a cancelled job waits for the end of its worker."""
    slow = claimed(history)
    history.leases.finish(ended(slow, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    assert history.leases.assign(THUMB, limit=1, lease_s=60) is not None
    before = history.jobs.get(slow.job.id)
    history.leases.give_up(ended(slow, AttemptStatus.CANCELLED))
    assert before.lease_expires_at is not None
    assert history.jobs.get(slow.job.id) == before


def test_finishing_twice_counts_once(history: History) -> None:
    claim = claimed(history)
    assert history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    assert not history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    assert history.jobs.get(claim.job.id).status is JobStatus.COMPLETED
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.SUCCESS


def test_the_end_of_a_failure_may_be_told_twice(history: History) -> None:
    """The first answer did not arrive. The attempt is no stale one for that."""
    claim = claimed(history)
    failure = ended(claim, AttemptStatus.FAILURE)
    assert history.leases.finish(failure, job_status=JobStatus.FAILED)
    assert history.leases.finish(failure, job_status=JobStatus.FAILED)
    assert history.jobs.get(claim.job.id).status is JobStatus.FAILED


def test_illegal_ends_are_refused(history: History) -> None:
    claim = claimed(history)
    with pytest.raises(IllegalTransitionError, match="processing"):
        history.leases.finish(ended(claim), job_status=JobStatus.PROCESSING)
    with pytest.raises(IllegalTransitionError, match="running"):
        history.leases.finish(claim.attempt, job_status=JobStatus.COMPLETED)
    assert history.attempts.get(claim.attempt.id) == claim.attempt
    with pytest.raises(NotFoundError):
        history.leases.finish(ended(claim, job_id=new_id()), job_status=JobStatus.COMPLETED)


def test_release_gives_back_what_was_not_started(history: History) -> None:
    """They wait as they did before, since now; what the run has begun, and what another has, stays there."""
    history.jobs.enqueue(some_new_jobs(1), dispatch_id="other", lease_s=60)
    queued = history.jobs.enqueue(some_new_jobs(3))
    dispatch = history.leases.assign(THUMB, limit=5, lease_s=60)
    assert dispatch is not None
    claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    let_pass(history, 10)
    before = history.now()
    assert history.leases.release(dispatch.id) == 2
    for entry in queued[1:]:
        job = history.jobs.get(entry.job.id)
        assert (job.status, job.dispatch_id, job.lease_expires_at, job.not_before) == (
            JobStatus.QUEUED,
            None,
            None,
            None,
        )
        assert before <= job.updated_at <= history.now()
    assert len(history.leases.renew("other", lease_s=60)) == 1
    assert history.leases.renew(dispatch.id, lease_s=60) == {claim.job.id: JobStatus.PROCESSING}
    again = history.leases.assign(THUMB, limit=5, lease_s=60)
    assert again is not None
    assert len(again.jobs) == 2


def test_whose_run_has_not_started_all_of_its_jobs(history: History) -> None:
    """A dispatch is over when its last job is; it waits until that is claimed."""
    for dispatch_id in ("one", "two"):
        history.jobs.enqueue(some_new_jobs(1), dispatch_id=dispatch_id, lease_s=60)
    history.jobs.enqueue(some_new_jobs(1))
    assert sorted(history.leases.waiting_dispatches()) == ["one", "two"]
    claim = history.leases.claim("one", run_id=None, host="h", lease_s=60)
    assert claim is not None
    assert history.leases.waiting_dispatches() == ["two"]
    assert history.leases.any_of(["one", "three"])
    assert not history.leases.any_of(["three"])
    history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    assert not history.leases.any_of(["one"])


def test_a_terminated_run_cancels_what_it_had_not_started(history: History) -> None:
    """Its other jobs keep their state; the cancelled ones tell when that happened."""
    history.jobs.enqueue(some_new_jobs(2), dispatch_id="d", lease_s=60, now=NOON)
    claim = history.leases.claim("d", run_id=None, host="h", lease_s=60)
    assert claim is not None
    history.jobs.enqueue(some_new_jobs(1), dispatch_id="other", lease_s=60)
    before = history.now()
    assert history.leases.cancel_assigned("d") == 1
    (cancelled,) = history.jobs.list(JobFilter(statuses=(JobStatus.CANCELLED,)))
    assert (cancelled.dispatch_id, cancelled.lease_expires_at) == (None, None)
    assert before <= cancelled.updated_at <= history.now()
    assert history.jobs.get(claim.job.id).status is JobStatus.PROCESSING


def test_jobs_of_a_run_that_never_started_come_back(history: History) -> None:
    history.jobs.enqueue(some_new_jobs(2), dispatch_id="d", lease_s=600)
    history.jobs.enqueue(some_new_jobs(1), dispatch_id="later", lease_s=6000)
    history.jobs.enqueue(some_new_jobs(1))
    let_pass(history, 500)
    assert history.leases.expired_dispatches() == []
    let_pass(history, 101)
    assert history.leases.expired_dispatches() == ["d"]
    assert history.leases.release("d") == 2
    assert history.leases.expired_dispatches() == []
    assert history.leases.claim("d", run_id=None, host="h", lease_s=60) is None
    let_pass(history, 6000)
    assert history.leases.expired_dispatches() == ["later"]


def test_the_lease_of_very_many_waiting_jobs_is_kept_by_a_thousand(history: History) -> None:
    """The heartbeat of a run with a hundred thousand jobs must not write a hundred thousand rows each time."""
    for dispatch_id in ("another", "another", "d", "d", "d"):
        history.jobs.enqueue(
            some_new_jobs(500), dispatch_id=dispatch_id, lease_s=6000 if dispatch_id == "another" else 600
        )
    claim = history.leases.claim("d", run_id="run", host="here", lease_s=600)
    assert claim is not None
    let_pass(history, 500)
    renewed = history.leases.renew("d", lease_s=600)
    assert len(renewed) == 1001
    assert renewed[claim.job.id] is JobStatus.PROCESSING
    let_pass(history, 500)
    assert history.leases.expired_dispatches() == []
    let_pass(history, 101)
    assert history.leases.expired_dispatches() == ["d"]
    assert history.leases.release("d") == 1499


def test_silent_workers_are_lost_and_living_ones_are_not(history: History) -> None:
    silent = claimed(history)
    living = claimed(history)
    assert living.job.dispatch_id is not None
    assert history.leases.lost() == []
    let_pass(history, 59)
    history.leases.renew(living.job.dispatch_id, lease_s=3600)
    let_pass(history, 2)
    assert [claim.attempt for claim in history.leases.lost()] == [silent.attempt]
    assert history.leases.expired_dispatches() == []  # its job is processing, not waiting
    assert history.leases.finish(ended(silent, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    assert history.leases.lost() == []
    # Another recovery at the same time found it too; it is lost once.
    assert history.leases.finish(ended(silent, AttemptStatus.LOST), job_status=JobStatus.FAILED) is None


def test_lost_has_a_limit_and_the_longest_lost_first(history: History) -> None:
    claims: list[Claim] = []
    for _ in range(3):
        claims.append(claimed(history))
        let_pass(history, 1)
    let_pass(history, 3600)
    found = history.leases.lost(limit=2)
    assert [claim.job.id for claim in found] == [claim.job.id for claim in claims[:2]]


def test_who_is_lost_longest_is_told_by_the_lease_and_not_by_the_age_of_the_job(history: History) -> None:
    """The oldest job may have been kept by its worker for longer than the others."""
    claims = [claimed(history) for _ in range(4)]
    for claim, minutes in zip(claims, (4, 2, 3, 1), strict=True):
        assert claim.job.dispatch_id is not None
        history.leases.renew(claim.job.dispatch_id, lease_s=60 * minutes)
    let_pass(history, 3600)
    found = history.leases.lost(limit=3)
    assert [claim.job.id for claim in found] == [claims[place].job.id for place in (3, 1, 2)]


def test_an_attempt_is_forsaken_once_its_job_goes_on_without_it(history: History) -> None:
    """Its worker died after the job was cancelled and asked for again: while that waits, and while it is made anew."""
    claim = claimed(history)
    history.jobs.cancel(claim.job.id)
    let_pass(history, 100)
    assert history.leases.forsaken(lease_s=60) == []  # it may have to be told of the cancellation yet
    history.jobs.retry(claim.job.id, dispatch_id="again", lease_s=600)
    assert history.leases.forsaken(lease_s=60) == []  # its worker may not have noticed
    let_pass(history, 100)
    assert [found.attempt.id for found in history.leases.forsaken(lease_s=60)] == [claim.attempt.id]
    again = history.leases.claim("again", run_id=None, host="host", lease_s=600)
    assert again is not None
    let_pass(history, 100)
    assert [found.attempt.id for found in history.leases.forsaken(lease_s=60)] == [claim.attempt.id]
    let_pass(history, 1000)  # now the worker of the second attempt is lost too, and each of them is found once
    assert [found.attempt.id for found in history.leases.lost()] == [again.attempt.id]
    assert [found.attempt.id for found in history.leases.forsaken(lease_s=60)] == [claim.attempt.id]
    assert history.leases.forsaken(lease_s=60, limit=0) == []


def test_the_attempt_of_a_dead_worker_is_found_though_its_job_was_cancelled(history: History) -> None:
    """No attempt stays `running` for ever."""
    claim = claimed(history)
    history.jobs.cancel(claim.job.id)
    let_pass(history, 61)
    [found] = history.leases.lost()
    assert found.attempt == claim.attempt
    assert not history.leases.finish(ended(claim, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    history.leases.give_up(ended(claim, AttemptStatus.LOST))
    assert history.jobs.get(claim.job.id).status is JobStatus.CANCELLED
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.LOST
    assert history.leases.lost() == []


def work_off(history: History, host: str) -> list[str]:
    """Assign, claim and finish until the queue is empty; the ids of the jobs that were won."""
    won: list[str] = []
    while dispatch := history.leases.assign(THUMB, limit=7, lease_s=60):
        while claim := history.leases.claim(dispatch.id, run_id=None, host=host, lease_s=60):
            won.append(claim.job.id)
            assert history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    return won


def work_off_in_a_process(url: str, host: str) -> list[str]:
    with History.open(url, timeout_s=30) as history:
        return work_off(history, host)


def assert_each_was_done_once(history: History, won: list[str], expected: set[str]) -> None:
    assert len(won) == len(set(won))
    assert set(won) == expected
    assert history.jobs.counts()[THUMB][JobStatus.COMPLETED] == len(expected)
    assert sum(1 for _ in history.attempts.iterate(AttemptFilter())) == len(expected)


def test_threads_share_a_queue_without_doing_a_job_twice(history: History) -> None:
    expected = {answer.job.id for answer in history.jobs.enqueue(some_new_jobs(120))}
    with ThreadPoolExecutor(6) as pool:
        won = [job_id for part in pool.map(lambda n: work_off(history, f"host-{n}"), range(6)) for job_id in part]
    assert_each_was_done_once(history, won, expected)


def test_processes_share_a_queue_without_doing_a_job_twice(history: History, history_url: str) -> None:
    expected = {answer.job.id for answer in history.jobs.enqueue(some_new_jobs(120))}
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = pool.map(work_off_in_a_process, [history_url] * 2, ["a", "b"])
        won = [job_id for part in parts for job_id in part]
    assert_each_was_done_once(history, won, expected)


def test_many_workers_on_one_dispatch_win_each_job_once(history: History) -> None:
    """The claim alone, without the assignment before it, is exclusive too."""
    expected = {answer.job.id for answer in history.jobs.enqueue(some_new_jobs(60), dispatch_id="d", lease_s=60)}

    def claim_all(number: int) -> list[str]:
        won: list[str] = []
        while claim := history.leases.claim("d", run_id=None, host=f"host-{number}", lease_s=60):
            won.append(claim.job.id)
        return won

    with ThreadPoolExecutor(6) as pool:
        won = [job_id for part in pool.map(claim_all, range(6)) for job_id in part]
    assert len(won) == 60
    assert set(won) == expected


def test_how_far_a_job_is_is_kept_with_its_lease(history: History) -> None:
    """Of each job its own, until the attempt ends or another one begins; a beat without news changes nothing."""
    first, second = (each.job for each in history.jobs.enqueue(some_new_jobs(2)))
    dispatch = history.leases.assign(THUMB, limit=2, lease_s=60)
    assert dispatch
    claims = [history.leases.claim(dispatch.id, run_id="run", host="here", lease_s=60) for _ in range(2)]
    half = JobProgress(fraction=0.5, speed=2.0, eta_s=4.5, stage="ffmpeg", command=("ffmpeg", "it's"), at=NOON)
    quarter = half.model_copy(update={"fraction": 0.25, "command": ()})
    history.leases.renew(dispatch.id, lease_s=60, progress={first.id: half, second.id: quarter})
    assert [history.jobs.get(job.id).progress for job in (first, second)] == [half, quarter]
    history.leases.renew(dispatch.id, lease_s=60)
    history.leases.renew(dispatch.id, lease_s=60, progress={second.id: half})
    assert [history.jobs.get(job.id).progress for job in (first, second)] == [half, half]

    claim = next(each for each in claims if each and each.job.id == first.id)
    history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    assert history.jobs.get(first.id).progress is None

    history.jobs.cancel(second.id)
    history.jobs.retry(second.id, dispatch_id="again", lease_s=60)
    again = history.leases.claim("again", run_id="run", host="here", lease_s=60)
    assert again is not None
    assert again.job.progress is None
