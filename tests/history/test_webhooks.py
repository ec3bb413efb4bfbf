"""The outbox of webhooks: every change of a job that somebody asked to be told of, in order, and none twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.schema import webhook_checks, webhook_deliveries, webhook_subscriptions
from mediajobs_dagster.history.webhook_events import PROGRESS_EVERY, data_of
from mediajobs_dagster.history.webhooks import DeliveryFilter
from mediajobs_dagster.models import (
    AttemptStatus,
    Callback,
    DeliveryStatus,
    DeliveryTry,
    JobProgress,
    JobStatus,
    WebhookDelivery,
    WebhookEvent,
    new_id,
    new_trace_id,
    utc_now,
)
from tests.history.factories import NOON, TRACE, a_new_job, claimed, ended

URL = "https://receiver.example/hooks"
FINISHED = WebhookEvent.TRACE_FINISHED


def subscribe(history: History, *events: WebhookEvent, url: str = URL, trace_id: str = TRACE) -> Callback:
    callback = Callback(url=url, events=events)
    history.webhook_events.subscribe(callback, trace_id)
    return callback


def written(history: History) -> list[WebhookDelivery]:
    """All deliveries, the oldest first."""
    return list(reversed(history.webhooks.list(DeliveryFilter(), limit=500)))


def events(history: History) -> list[str]:
    return [str(each.event) for each in written(history)]


def claim(history: History, *besides: str) -> WebhookDelivery | None:
    return history.webhooks.claim(hold_s=30, besides=besides)


def a_try(status: int | None = 200, error: str | None = None) -> DeliveryTry:
    return DeliveryTry(at=utc_now(), took_ms=5, status=status, error=error)


def deliver_all(history: History) -> list[str]:
    told: list[str] = []
    while delivery := claim(history):
        history.webhooks.delivered(delivery, a_try())
        told.append(str(delivery.event))
    return told


def test_every_change_of_a_job_is_written_with_what_the_job_was_then(history: History) -> None:
    """As it was asked for, started, failed, and tried again; each with an id of its own."""
    subscribe(history)
    first = claimed(history)
    history.leases.finish(ended(first, AttemptStatus.FAILURE), job_status=JobStatus.FAILED)
    found = written(history)
    assert [each.event for each in found] == ["job.queued", "job.started", "job.failed"]
    assert [each.data["status"] for each in found] == ["queued", "processing", "failed"]
    assert [each.data["attempts"] for each in found] == [0, 1, 1]
    assert found[2].data == data_of(history.jobs.get(first.job.id))
    assert found[2].data["errorCode"] == "DISK_FULL"
    assert all(each.url == URL and each.job_id == first.job.id and each.trace_id == TRACE for each in found)
    assert len({each.id for each in found}) == 3
    assert abs(found[2].created_at - history.now()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("status", "attempt", "event"),
    [
        (JobStatus.COMPLETED, AttemptStatus.SUCCESS, "job.completed"),
        (JobStatus.SKIPPED, AttemptStatus.SKIPPED, "job.completed"),
        (JobStatus.DEAD, AttemptStatus.FAILURE, "job.dead"),
        (JobStatus.FAILED, AttemptStatus.LOST, "job.failed"),
        (JobStatus.QUEUED, AttemptStatus.CANCELLED, "job.queued"),
    ],
)
def test_each_end_of_an_attempt_has_its_event(
    history: History, status: JobStatus, attempt: AttemptStatus, event: str
) -> None:
    subscribe(history)
    history.leases.finish(ended(claimed(history), attempt), job_status=status)
    assert events(history)[2:] == [event]
    assert WebhookEvent.of(status) == event
    assert written(history)[2].data["status"] == status


def test_a_job_that_is_cancelled_is_told_as_dead_and_one_that_is_retried_as_queued(history: History) -> None:
    """One by one, or many in a statement."""
    subscribe(history)
    jobs = [each.job for each in history.jobs.enqueue([a_new_job(), a_new_job()])]
    history.jobs.cancel(jobs[0].id)
    history.jobs.cancel_many([jobs[1].id], list(JobStatus))
    history.jobs.retry(jobs[0].id)
    assert events(history) == ["job.queued", "job.queued", "job.dead", "job.dead", "job.queued"]
    assert written(history)[2].data["status"] == "cancelled"


def test_who_asked_for_some_events_is_told_of_those_alone(history: History) -> None:
    """And who asked for a trace hears nothing of others."""
    subscribe(history, WebhookEvent.JOB_COMPLETED, WebhookEvent.JOB_DEAD)
    history.leases.finish(ended(claimed(history)), job_status=JobStatus.COMPLETED)
    claimed(history, trace_id=new_trace_id())
    assert events(history) == ["job.completed"]


def test_nothing_is_written_where_nobody_asked(history: History) -> None:
    """Neither deliveries nor checks."""
    history.leases.finish(ended(claimed(history)), job_status=JobStatus.COMPLETED)
    with history._database.read() as connection:
        for table in (webhook_deliveries, webhook_checks):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    assert not history.webhook_events.is_wanted()


def test_what_a_transaction_takes_back_is_not_told(history: History) -> None:
    """The event is written with the change, or not at all."""
    subscribe(history)
    (enqueued,) = history.jobs.enqueue([a_new_job()])
    with history._database.write() as connection:
        connection.execute(sa.text("UPDATE jobs SET status = 'dead'"))
        connection.rollback()
    assert history.jobs.get(enqueued.job.id).status is JobStatus.QUEUED
    assert events(history) == ["job.queued"]


# --- finished traces -------------------------------------------------------------------------------------------------


def test_a_trace_is_finished_when_its_last_job_ends(history: History) -> None:
    """Not before; with the numbers of its jobs."""
    subscribe(history, FINISHED)
    first, second = claimed(history), claimed(history)
    history.leases.finish(ended(first), job_status=JobStatus.COMPLETED)
    assert history.webhook_events.settle() == 0
    history.leases.finish(ended(second, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    assert history.webhook_events.settle() == 1
    assert history.webhook_events.settle() == 0
    (told,) = written(history)
    assert told.data == {"traceId": TRACE, "jobs": {"completed": 1, "dead": 1}}
    assert told.job_id is None


def test_jobs_that_end_at_once_finish_their_trace_once(history: History) -> None:
    """Whichever process looks, and however many do."""
    subscribe(history, FINISHED)
    claims = [claimed(history) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: history.leases.finish(ended(each), job_status=JobStatus.COMPLETED), claims))
        told = list(pool.map(lambda _: history.webhook_events.settle(), range(8)))
    assert sum(told) == 1
    assert events(history) == ["trace.finished"]


def test_looks_between_ends_tell_it_once(history: History) -> None:
    """Processes that look all the while, as jobs end."""
    subscribe(history, FINISHED)
    claims = [claimed(history) for _ in range(8)]

    def end(number: int) -> None:
        history.leases.finish(ended(claims[number]), job_status=JobStatus.COMPLETED)
        history.webhook_events.settle()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(end, range(8)))
    history.webhook_events.settle()
    assert events(history) == ["trace.finished"]


def test_a_trace_that_goes_on_is_told_again(history: History) -> None:
    """With another id."""
    subscribe(history, FINISHED)
    for _ in range(2):
        history.leases.finish(ended(claimed(history)), job_status=JobStatus.COMPLETED)
        history.webhook_events.settle()
    first, second = written(history)
    assert first.id != second.id
    assert second.data["jobs"] == {"completed": 2}


def test_children_that_a_job_asks_for_as_it_ends_keep_the_trace_open(history: History) -> None:
    subscribe(history, FINISHED)
    parent = claimed(history)
    history.leases.finish(ended(parent), job_status=JobStatus.COMPLETED, children=[a_new_job()])
    assert history.webhook_events.settle() == 0
    assert events(history) == []


# --- jobs that were asked for before ---------------------------------------------------------------------------------


def test_of_a_job_that_was_asked_for_before_its_present_state_is_told(history: History) -> None:
    """In whatever trace it is; and if that is finished, this too. Who asked before is told nothing twice."""
    subscribe(history, FINISHED, url="https://other.example/")
    done = claimed(history)
    history.leases.finish(ended(done), job_status=JobStatus.COMPLETED)
    history.webhook_events.settle()
    history.webhook_events.follow(Callback(url=URL), [done.job])
    history.webhook_events.settle()
    assert [(each.url, str(each.event)) for each in written(history)] == [
        ("https://other.example/", "trace.finished"),
        (URL, "job.completed"),
        (URL, "trace.finished"),
    ]
    assert written(history)[1].data == data_of(history.jobs.get(done.job.id))


def test_who_follows_a_job_hears_of_no_other_of_its_trace(history: History) -> None:
    """But that all are finished."""
    one, other = claimed(history), claimed(history)
    history.webhook_events.follow(Callback(url=URL), [one.job])
    for each in (one, other):
        history.leases.finish(ended(each), job_status=JobStatus.COMPLETED)
    history.webhook_events.settle()
    assert events(history) == ["job.started", "job.completed", "trace.finished"]


def test_who_asks_again_is_told_once(history: History) -> None:
    """And of what was asked for last."""
    subscribe(history)
    subscribe(history, WebhookEvent.JOB_STARTED)
    claimed(history)
    assert events(history) == ["job.started"]
    with history._database.read() as connection:
        assert len(connection.execute(sa.select(webhook_subscriptions)).all()) == 1


# --- progress --------------------------------------------------------------------------------------------------------


def report(history: History, job_id: str, dispatch_id: str, fraction: float) -> None:
    history.leases.renew(
        dispatch_id, lease_s=60, progress={job_id: JobProgress(fraction=fraction, stage="ffmpeg", at=NOON)}
    )


def test_progress_is_the_latest_and_never_piles_up(history: History) -> None:
    """While nobody takes it, the newest takes the place of the one before; at most one a second is written."""
    subscribe(history, WebhookEvent.JOB_PROGRESS)
    at_work = claimed(history)
    of = at_work.job.id, at_work.job.dispatch_id or ""
    assert history.webhook_events.write_progress() == 0
    for hundredth in range(5):
        report(history, *of, hundredth / 100)
        history.webhook_events.write_progress()
    (told,) = written(history)
    assert told.data["progress"]["fraction"] == 0
    age(history, PROGRESS_EVERY)
    assert history.webhook_events.write_progress() == 1
    assert history.webhook_events.write_progress() == 0  # nothing new
    (later,) = written(history)
    assert later.data["progress"]["fraction"] == 0.04
    assert later.data["status"] == "processing"
    assert later.id != told.id


def test_progress_that_is_overtaken_or_not_taken_goes(history: History) -> None:
    """It is news for a moment only; and it keeps nothing waiting."""
    subscribe(history, WebhookEvent.JOB_PROGRESS, WebhookEvent.JOB_COMPLETED)
    for _ in range(2):
        at_work = claimed(history)
        report(history, at_work.job.id, at_work.job.dispatch_id or "", 0.5)
        history.webhook_events.write_progress()
        if delivery := claim(history):
            history.webhooks.not_delivered(delivery, a_try(500, "down"), again_in_s=5)
        assert events(history) in ([], ["job.completed"])
        age(history, PROGRESS_EVERY)
        report(history, at_work.job.id, at_work.job.dispatch_id or "", 0.6)
        history.webhook_events.write_progress()
        history.leases.finish(ended(at_work), job_status=JobStatus.COMPLETED)
        assert deliver_all(history) == ["job.completed"]


def test_progress_that_is_being_sent_arrives_before_what_is_later(history: History) -> None:
    """Until its sender says what came of it, or gives it back, or has died."""
    subscribe(history, WebhookEvent.JOB_PROGRESS, WebhookEvent.JOB_COMPLETED, WebhookEvent.TRACE_FINISHED)

    def completed_while_progress_is_sent() -> WebhookDelivery:
        at_work = claimed(history)
        report(history, at_work.job.id, at_work.job.dispatch_id or "", 0.5)
        history.webhook_events.write_progress()
        progress = claim(history)
        assert progress is not None
        assert progress.event == "job.progress"
        history.leases.finish(ended(at_work), job_status=JobStatus.COMPLETED)
        assert claim(history) is None
        assert not history.webhooks.is_due()
        return progress

    history.webhooks.delivered(completed_while_progress_is_sent(), a_try())
    assert deliver_all(history) == ["job.completed"]
    history.webhooks.not_delivered(completed_while_progress_is_sent(), a_try(500, "down"), again_in_s=5)
    assert deliver_all(history) == ["job.completed"]
    history.webhooks.let_go(completed_while_progress_is_sent())
    assert deliver_all(history) == ["job.completed"]
    completed_while_progress_is_sent()
    age(history, timedelta(seconds=31))
    assert deliver_all(history) == ["job.completed"]


def test_progress_that_two_senders_see_differently_is_not_brought_after_what_is_later(cleared_postgres: str) -> None:
    """One is about to commit its claim when another, which does not see that yet, takes what is later."""
    with History.open(cleared_postgres) as history, History.open(cleared_postgres) as another:
        subscribe(history, WebhookEvent.JOB_PROGRESS, WebhookEvent.JOB_COMPLETED)
        at_work = claimed(history)
        report(history, at_work.job.id, at_work.job.dispatch_id or "", 0.5)
        history.webhook_events.write_progress()
        taken_meanwhile: list[WebhookDelivery | None] = []

        @sa.event.listens_for(history._database.engine, "commit")
        def before_the_first_commit(_: sa.Connection) -> None:
            if not taken_meanwhile:
                another.leases.finish(ended(at_work), job_status=JobStatus.COMPLETED)
                taken_meanwhile.append(claim(another))

        assert claim(history) is None
        (completed,) = taken_meanwhile
        assert completed is not None
        assert completed.event == WebhookEvent.JOB_COMPLETED
        assert events(history) == ["job.completed"]


def age(history: History, by: timedelta) -> None:
    """Let time pass for the outbox."""
    with history._database.write() as connection:
        for row in connection.execute(sa.select(webhook_deliveries)).mappings().all():
            moved = {"created_at": row["created_at"] - by, "due_at": row["due_at"] - by}
            of = webhook_deliveries.c.number == row["number"]
            connection.execute(sa.update(webhook_deliveries).where(of).values(**moved))


# --- sending ---------------------------------------------------------------------------------------------------------


def test_events_of_a_job_wait_for_each_other_and_not_for_those_of_others(history: History) -> None:
    """One at a time; the next when the one before has arrived, or failed for good."""
    subscribe(history)
    one, other = claimed(history), claimed(history)
    first = claim(history)
    second = claim(history)
    assert first is not None
    assert second is not None
    assert {first.job_id, second.job_id} == {one.job.id, other.job.id}
    assert first.event == second.event == "job.queued"
    assert claim(history) is None
    history.webhooks.not_delivered(first, a_try(500, "down"), again_in_s=60)
    assert claim(history) is None
    assert not history.webhooks.is_due()
    history.webhooks.delivered(second, a_try())
    third = claim(history)
    assert third is not None
    assert (third.job_id, third.event) == (second.job_id, "job.started")
    history.webhooks.delivered(third, a_try())
    age(history, timedelta(seconds=61))
    again = claim(history)
    assert again is not None
    assert (again.id, again.tries, again.tried[0].status) == (first.id, 2, 500)
    history.webhooks.not_delivered(again, a_try(500, "down"), again_in_s=None)
    last = claim(history)
    assert last is not None
    assert (last.job_id, last.event) == (first.job_id, "job.started")


def test_that_a_trace_is_finished_comes_last(history: History) -> None:
    subscribe(history)
    for _ in range(3):
        history.leases.finish(ended(claimed(history)), job_status=JobStatus.COMPLETED)
    history.webhook_events.settle()
    assert deliver_all(history)[-1] == "trace.finished"
    assert len(events(history)) == 10


def test_many_senders_take_each_delivery_once(history: History) -> None:
    subscribe(history)
    for _ in range(10):
        claimed(history)
    with ThreadPoolExecutor(8) as pool:
        told = [event for found in pool.map(lambda _: deliver_all(history), range(8)) for event in found]
    assert sorted(told + deliver_all(history)) == ["job.queued"] * 10 + ["job.started"] * 10


def test_a_sender_that_dies_loses_what_it_took(history: History) -> None:
    """Another one sends it, under the same id."""
    subscribe(history)
    history.jobs.enqueue([a_new_job()])
    taken = claim(history)
    assert taken is not None
    assert claim(history) is None
    age(history, timedelta(seconds=31))
    again = claim(history)
    assert again is not None
    assert (again.id, again.tries) == (taken.id, 2)
    # The first one was only slow: what it says now does not count.
    history.webhooks.not_delivered(taken, a_try(500, "late"), again_in_s=None)
    history.webhooks.delivered(again, a_try())
    assert history.webhooks.get(taken.id).status is DeliveryStatus.DELIVERED


def test_origins_that_are_busy_are_left(history: History) -> None:
    subscribe(history)
    subscribe(history, url="https://user:pw@slow.example:8443/a")
    history.jobs.enqueue([a_new_job()])
    found = claim(history, "https://slow.example:8443")
    assert found is not None
    assert found.url == URL
    assert claim(history, "https://slow.example:8443") is None


def test_a_receiver_that_is_gone_gets_no_more_of_it(history: History) -> None:
    """What waits has failed, and nothing more is written; another callback goes on."""
    subscribe(history)
    claimed(history)
    delivery = claim(history)
    assert delivery is not None
    history.webhooks.unsubscribe(delivery, a_try(410, "Gone"))
    assert {each.status for each in written(history)} == {DeliveryStatus.FAILED}
    claimed(history)
    assert len(written(history)) == 2
    assert history.webhooks.get(delivery.id).error == "Gone"


def test_a_delivery_can_be_sent_again(history: History) -> None:
    """Under the same id, with all of its tries; also one that arrived."""
    subscribe(history)
    history.jobs.enqueue([a_new_job()])
    deliver_all(history)
    (delivery,) = written(history)
    again = history.webhooks.send_again(delivery.id)
    assert (again.status, again.tries, again.delivered_at) == (DeliveryStatus.PENDING, 0, None)
    assert history.webhooks.outbox().messages == 1
    assert deliver_all(history) == ["job.queued"]
    assert len(history.webhooks.get(delivery.id).tried) == 2
    assert history.webhooks.outbox().messages == 0
    with pytest.raises(NotFoundError):
        history.webhooks.send_again(new_id())
    with pytest.raises(NotFoundError):
        history.webhooks.get("x")


def test_deliveries_are_listed_by_what_they_are(history: History) -> None:
    """Page by page, the newest first."""
    subscribe(history)
    done = claimed(history)
    history.jobs.enqueue([a_new_job()])
    deliver_all(history)
    history.leases.finish(ended(done), job_status=JobStatus.COMPLETED)
    listed = history.webhooks.list
    assert len(listed(DeliveryFilter(job_id=done.job.id))) == 3
    assert [each.event for each in listed(DeliveryFilter(statuses=(DeliveryStatus.PENDING,)))] == ["job.completed"]
    assert len(listed(DeliveryFilter(events=(WebhookEvent.JOB_QUEUED,), trace_id=TRACE))) == 2
    assert listed(DeliveryFilter(since=history.now() + timedelta(hours=1))) == []
    whole = listed(DeliveryFilter())
    assert listed(DeliveryFilter(), limit=2) + listed(DeliveryFilter(), after=whole[1].id) == whole
