"""Webhooks arrive, signed and in order, whatever becomes of receivers and of us."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from typing_extensions import override

from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.history import DeliveryFilter, History
from mediajobs_dagster.history.schema import webhook_deliveries
from mediajobs_dagster.models import AttemptStatus, Callback, DeliveryStatus, JobProgress, JobStatus, WebhookDelivery
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.webhooks.delivering import AT_ONCE_TO_ONE, Delivering, Sent, delivering
from mediajobs_dagster.webhooks.trying import TRIES, Outcome, Trying, pause_s
from tests.history.factories import TRACE, a_new_job, claimed, ended
from tests.platform import AllGone
from tests.services.server import Exchange
from tests.webhooks.conftest import SettingsOf
from tests.webhooks.receiver import OLDER, SECRET, receiving, wait_until

Send = Callable[[], Sent]


@pytest.fixture
def send(settings: Settings, history: History) -> Iterator[Send]:
    """Sends all that is due."""
    sender = Delivering(settings, lambda: history)
    yield lambda: sender.send_all(within_s=60)
    sender.close()


def subscribe(history: History, url: str) -> None:
    history.webhook_events.subscribe(Callback(url=url), TRACE)


def deliveries(history: History) -> list[WebhookDelivery]:
    """The oldest first."""
    return list(reversed(history.webhooks.list(DeliveryFilter(), limit=500)))


def let_pass(history: History, by: timedelta) -> None:
    """Let time pass for the outbox."""
    with history._database.write() as connection:
        for row in connection.execute(sa.select(webhook_deliveries)).mappings().all():
            change = sa.update(webhook_deliveries).where(webhook_deliveries.c.number == row["number"])
            connection.execute(change.values(due_at=row["due_at"] - by))


def done(history: History, status: JobStatus = JobStatus.COMPLETED) -> str:
    """A job that was asked for, started and ended; its id."""
    claim = claimed(history)
    made = AttemptStatus.SUCCESS if status is JobStatus.COMPLETED else AttemptStatus.FAILURE
    history.leases.finish(ended(claim, made), job_status=status)
    return claim.job.id


def test_a_job_is_told_from_its_beginning_to_its_end(history: History, send: Send) -> None:
    """Each event signed; the same bytes as the specification's own library takes for genuine."""
    with receiving() as receiver:
        subscribe(history, receiver.url)
        job_id = done(history)
        assert send() == Sent(4, 0)
    assert receiver.types == ["job.queued", "job.started", "job.completed", "trace.finished"]
    completed = receiver.got[2]
    assert completed.json["data"]["jobId"] == job_id
    assert completed.json["data"]["status"] == "completed"
    told_at = datetime.fromisoformat(completed.json["timestamp"])
    assert abs(told_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert completed.headers["content-type"] == "application/json"
    assert completed.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert abs(int(completed.headers["webhook-timestamp"]) - time.time()) < 300
    for each in receiver.got:
        assert each.is_signed_with(SECRET)
        assert not each.is_signed_with(OLDER)
        assert Webhook(SECRET).verify(each.body, each.headers)["type"] == each.type
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(completed.body.replace(b"completed", b"cancelled"), completed.headers)
    assert len({each.id for each in receiver.got}) == 4
    assert {each.status for each in deliveries(history)} == {DeliveryStatus.DELIVERED}


def test_while_the_secret_is_changed_both_are_good(history: History, settings_of: SettingsOf) -> None:
    """A receiver that has either takes it."""
    sender = Delivering(settings_of(webhook_secret=f"{SECRET},{OLDER}"), lambda: history)
    with receiving() as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        assert sender.send_all(within_s=60) == Sent(1, 0)
    sender.close()
    (got,) = receiver.got
    for secret in (SECRET, OLDER):
        assert got.is_signed_with(secret)
        Webhook(secret).verify(got.body, got.headers)


def test_a_receiver_that_was_down_gets_everything_in_order(history: History, send: Send) -> None:
    """What happened meanwhile waits for what happened before; each under one id."""
    with receiving(503, 500, 204) as receiver:
        subscribe(history, receiver.url)
        done(history)
        assert send() == Sent(0, 1)
        assert receiver.types == ["job.queued"]
        assert send() == Sent(0, 0)  # it pauses, and so does what follows
        let_pass(history, timedelta(seconds=6))
        assert send() == Sent(0, 1)
        let_pass(history, timedelta(seconds=17))
        assert send() == Sent(4, 0)
    assert receiver.types == ["job.queued"] * 3 + ["job.started", "job.completed", "trace.finished"]
    assert len({each.id for each in receiver.got[:3]}) == 1
    first = deliveries(history)[0]
    assert [each.status for each in first.tried] == [503, 500, 204]
    assert "503" in (first.tried[0].error or "")


def test_nobody_listens_and_then_somebody_does(history: History, send: Send) -> None:
    """No answer at all is as any other failure."""
    with receiving() as receiver:
        subscribe(history, receiver.url)
        port = receiver.server.port
    history.jobs.enqueue([a_new_job()])
    assert send() == Sent(0, 1)
    (delivery,) = deliveries(history)
    assert (delivery.status, delivery.tried[0].status) == (DeliveryStatus.PENDING, None)
    assert f"127.0.0.1:{port}" in (delivery.error or "")


def test_it_is_tried_for_a_day_and_then_kept_to_be_sent_by_hand(history: History, send: Send) -> None:
    """Nothing after it waits any longer; by hand it gets all of its tries again."""
    with receiving(*[500] * TRIES, 204) as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        for _ in range(TRIES):
            assert send() == Sent(0, 1)
            let_pass(history, timedelta(hours=7))
        (delivery,) = deliveries(history)
        assert (delivery.status, delivery.tries, len(delivery.tried)) == (DeliveryStatus.FAILED, TRIES, TRIES)
        assert send() == Sent(0, 0)
        history.webhooks.send_again(delivery.id)
        assert send() == Sent(1, 0)
    assert len({each.id for each in receiver.got}) == 1


def test_pauses_grow_to_six_hours_and_come_to_a_day() -> None:
    """A receiver that asks for more gets it, up to a day."""
    pauses = [pause_s(tries, chance=lambda: 0.0) for tries in range(1, TRIES)]
    assert pauses[:4] == [5, 15, 45, 135]
    assert pauses[-1] == 6 * 3600
    assert 22 * 3600 < sum(each or 0 for each in pauses) < 24 * 3600
    assert pause_s(TRIES) is None
    assert pause_s(1, 120) == 120
    assert pause_s(1, 10**9) == 86_400


def test_a_receiver_that_asks_for_a_pause_gets_it(history: History, send: Send) -> None:
    """By Retry-After."""
    with receiving(lambda exchange: exchange.answer(b"", 429, {"Retry-After": "100"}), 204) as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        assert send() == Sent(0, 1)
        let_pass(history, timedelta(seconds=90))
        assert send() == Sent(0, 0)
        let_pass(history, timedelta(seconds=11))
        assert send() == Sent(1, 0)


def test_a_receiver_that_is_gone_is_not_asked_again(history: History, send: Send) -> None:
    """410 ends the callback."""
    with receiving(410) as receiver:
        subscribe(history, receiver.url)
        done(history)
        assert send() == Sent(0, 1)
        done(history)
        assert send() == Sent(0, 0)
        assert receiver.types == ["job.queued"]
    assert {each.status for each in deliveries(history)} == {DeliveryStatus.FAILED}


def test_a_slow_receiver_keeps_nobody_waiting(history: History, settings: Settings) -> None:
    """It has its share of what is sent at once, and the others have the rest."""
    sender = Delivering(settings, lambda: history)
    with receiving(Exchange.hang) as slow, receiving() as quick:
        subscribe(history, slow.url)
        for _ in range(3 * AT_ONCE_TO_ONE):
            history.jobs.enqueue([a_new_job()])
        sender.look()
        wait_until(lambda: len(slow.got) == AT_ONCE_TO_ONE)
        subscribe(history, quick.url)
        began = time.monotonic()
        for _ in range(10):
            history.jobs.enqueue([a_new_job()])
        while len(quick.got) < 10:
            sender.freed.wait(1)
            sender.freed.clear()
            sender.look()
            assert time.monotonic() - began < 8
        assert len(slow.got) == AT_ONCE_TO_ONE
        sender.close()
    # What was on its way when the sender ended was given back, untried.
    assert all(each.tries == 0 for each in deliveries(history) if each.url == slow.url)


def test_a_receiver_that_hangs_is_given_up_after_ten_seconds(history: History, send: Send) -> None:
    """Then it has failed, as with any other answer; also if a byte comes now and then."""
    with receiving(lambda exchange: exchange.drip(b"x"), 204) as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        began = time.monotonic()
        assert send() == Sent(0, 1)
        assert 9 < time.monotonic() - began < 20
        let_pass(history, timedelta(seconds=6))
        assert send() == Sent(1, 0)


# --- addresses -------------------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed(history: History, settings_of: SettingsOf) -> None:
    """Neither into a private network nor anywhere else."""
    sender = Delivering(settings_of(private_addresses="127.0.0.1/32"), lambda: history)

    with receiving() as inner:

        def redirect(exchange: Exchange) -> None:
            exchange.answer(b"", 307, {"Location": f"http://127.0.0.2:{inner.server.port}/secret"})

        with receiving(redirect) as receiver:
            subscribe(history, receiver.url)
            history.jobs.enqueue([a_new_job()])
            assert sender.send_all(within_s=60) == Sent(0, 1)
    sender.close()
    assert inner.got == []
    (delivery,) = deliveries(history)
    assert (delivery.status, delivery.tried[0].status) == (DeliveryStatus.PENDING, 307)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_never_called(history: History, settings_of: SettingsOf, host: str) -> None:
    """Unless operators allow it. A name counts by what it leads to when it is called."""
    sender = Delivering(settings_of(private_addresses=""), lambda: history)
    with receiving() as receiver:
        subscribe(history, f"http://{host}:{receiver.server.port}/hooks")
        history.jobs.enqueue([a_new_job()])
        assert sender.send_all(within_s=60) == Sent(0, 1)
    sender.close()
    assert receiver.server.connections == 0
    (delivery,) = deliveries(history)
    assert delivery.status is DeliveryStatus.FAILED
    assert "MEDIAJOBS_PRIVATE_ADDRESSES" in (delivery.error or "")


def test_a_long_answer_is_not_read(history: History, send: Send) -> None:
    """The receiver has taken it."""
    with receiving(lambda exchange: exchange.answer(b"x" * 1_000_000)) as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        assert send() == Sent(1, 0)


# --- what dies -------------------------------------------------------------------------------------------------------


def _send_and_hang(url: str, settings: Settings) -> None:
    """A sender that gets no further than the receiver's answer."""
    with History.open(url) as history:

        class Stopping(Trying):
            @override
            def send(self, delivery: WebhookDelivery) -> Outcome:
                super().send(delivery)
                os.kill(os.getpid(), signal.SIGKILL)
                raise AssertionError

        delivery = history.webhooks.claim(hold_s=30)
        assert delivery is not None
        Stopping(settings).send(delivery)


def test_a_sender_that_is_killed_before_it_records_sends_again(
    history: History, history_url: str, settings: Settings, send: Send
) -> None:
    """It arrives at least once, and always under the same id."""
    with receiving() as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        process = multiprocessing.get_context("spawn").Process(target=_send_and_hang, args=(history_url, settings))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert receiver.types == ["job.queued"]
        assert send() == Sent(0, 0)
        let_pass(history, timedelta(seconds=31))
        assert send() == Sent(1, 0)
    assert len(receiver.got) == 2
    assert receiver.got[0].id == receiver.got[1].id
    assert receiver.got[0].body == receiver.got[1].body


def test_a_worker_that_is_killed_is_told_as_a_failed_attempt(history: History, settings: Settings, send: Send) -> None:
    """By recovery, which gives the job another attempt."""
    with receiving() as receiver:
        subscribe(history, receiver.url)
        claimed(history)
        recover(history, settings, AllGone(), settling_s=0)
        assert send() == Sent(3, 0)
    assert receiver.types == ["job.queued", "job.started", "job.failed"]
    assert receiver.got[2].json["data"]["errorCode"] == "WORKER_LOST"


def test_progress_goes_out_once_a_second_at_most(history: History, settings: Settings) -> None:
    """However often a worker tells it; and the end comes last."""
    with receiving() as receiver, delivering(settings, lambda: history, look_s=0.02):
        subscribe(history, receiver.url)
        claim = claimed(history)
        for step in range(250):
            progress = JobProgress(fraction=step / 250, stage="ffmpeg", at=datetime.now(UTC))
            history.leases.renew(claim.job.dispatch_id or "", lease_s=60, progress={claim.job.id: progress})
            time.sleep(0.01)
        history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
        wait_until(lambda: "trace.finished" in receiver.types)
    told = [each for each in receiver.got if each.type == "job.progress"]
    assert 1 <= len(told) <= 5
    assert all(second.at - first.at > 0.8 for first, second in pairwise(told))
    fractions = [each.json["data"]["progress"]["fraction"] for each in told]
    assert fractions == sorted(fractions)
    assert receiver.types[:2] == ["job.queued", "job.started"]
    assert receiver.types[-2:] == ["job.completed", "trace.finished"]


def test_a_receiver_that_is_slow_to_take_progress_is_told_the_end_afterwards(
    history: History, settings: Settings
) -> None:
    was_looked = threading.Event()

    def answer(exchange: Exchange) -> None:
        if b'"job.progress"' in exchange.body:
            assert was_looked.wait(30)
        answered.append(json.loads(exchange.body)["type"])
        exchange.answer(b"", 204)

    answered: list[str] = []
    sender = Delivering(settings, lambda: history)

    def look_until(is_so: Callable[[], bool]) -> None:
        def looked() -> bool:
            sender.look()
            return is_so()

        wait_until(looked)

    with receiving(answer) as receiver:
        subscribe(history, receiver.url)
        claim = claimed(history)
        progress = JobProgress(fraction=0.5, stage="ffmpeg", at=datetime.now(UTC))
        history.leases.renew(claim.job.dispatch_id or "", lease_s=60, progress={claim.job.id: progress})
        look_until(lambda: "job.progress" in receiver.types)
        history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
        sender.look()  # it takes whatever may go before it returns
        assert [each.tries for each in deliveries(history) if each.event == "job.completed"] == [0]
        was_looked.set()
        look_until(lambda: "trace.finished" in answered)
        sender.close()
    assert answered == ["job.queued", "job.started", "job.progress", "job.completed", "trace.finished"]


def test_without_a_secret_nothing_is_sent_and_nothing_is_lost(
    history: History, settings_of: SettingsOf, send: Send
) -> None:
    """It waits until there is one."""
    with receiving() as receiver:
        subscribe(history, receiver.url)
        history.jobs.enqueue([a_new_job()])
        unsigned = Delivering(settings_of(webhook_secret=""), lambda: history)
        unsigned.look()
        unsigned.close()
        assert receiver.got == []
        assert send() == Sent(1, 0)
