"""Alerts arrive, whatever becomes of their targets, and show no address; sent by real HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.alerts import GATHERING
from mediajobs_dagster.models import AlertKind
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.alerting import Alerting, Delivery
from tests.history.factories import NOON
from tests.servers.alert_target import AlertTarget
from tests.servers.mediajobs_up import free_port

DUE = NOON + GATHERING
Open = Callable[..., Alerting]


@pytest.fixture
def alerting(history: History, tmp_path: Path) -> Open:
    """Opens the alerts of an installation whose alerts go to these addresses."""

    def opened(*addresses: str) -> Alerting:
        return Alerting(Settings.load(_env_file=None, home=tmp_path, alert_urls=" ".join(addresses)), lambda: history)

    return opened


@contextmanager
def added_to_root(handler: logging.Handler) -> Iterator[None]:
    """While the block runs, a program's own handler gets what is logged. (pytest's gets what nobody else does.)"""
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


def dead(history: History, at: datetime = NOON, job: str = "job-1") -> None:
    details = {"jobId": job, "traceId": "trace-1", "errorCode": "DISK_FULL", "jobs": [job]}
    history.alerts.add(AlertKind.JOB_DEAD, "cause", "upload_thumb_v1 is dead: DISK_FULL", "It failed.", details, now=at)


def test_a_message_says_what_happened_to_what_and_what_to_do(
    history: History, alerting: Open, target: AlertTarget
) -> None:
    """Job, trace, error code, how often and since when."""
    dead(history)
    dead(history, NOON + timedelta(seconds=5), job="job-2")
    assert alerting(target.address).deliver(now=DUE) == Delivery(1, 0)
    (got,) = target.got
    assert got["title"] == "mediajobs: upload_thumb_v1 is dead: DISK_FULL (2 times)"
    assert got["type"] == "failure"
    assert got["message"].split("\n") == [
        "It failed.",
        "",
        "Job: job-2",
        "Jobs: job-1, job-2",
        "Trace: trace-1",
        "Error: DISK_FULL",
        "When: 2 times from 2026-03-04 12:00:00 to 12:00:05 UTC",
        "What to do: `mediajobs jobs show job-2` has the details. Mend the cause, then queue it again with `mediajobs "
        "jobs retry job-2`.",
    ]


def test_a_target_that_is_down_gets_it_when_it_is_up_again(history: History, alerting: Open) -> None:
    """Tried again after pauses that grow; then sent once, with all that was counted meanwhile."""
    port = free_port()
    sender = alerting(f"json://127.0.0.1:{port}/hooks")
    dead(history)
    assert sender.deliver(now=DUE) == Delivery(0, 1)
    (waiting,) = history.alerts.list()
    assert waiting.due_at == DUE + timedelta(seconds=30)
    assert waiting.error is not None
    assert waiting.error.startswith("target 1 (json): ")
    assert sender.deliver(now=waiting.due_at) == Delivery(0, 1)
    assert history.alerts.list()[0].due_at == waiting.due_at + timedelta(seconds=60)
    dead(history, NOON + timedelta(hours=2))
    with AlertTarget.serving(port) as target:
        assert sender.deliver(now=NOON + timedelta(hours=2)) == Delivery(1, 0)
        assert sender.deliver(now=NOON + timedelta(days=1)) == Delivery(0, 0)
        assert target.titles == ["mediajobs: upload_thumb_v1 is dead: DISK_FULL (2 times)"]


def test_who_has_it_gets_it_once(history: History, alerting: Open, target: AlertTarget) -> None:
    """A second target that fails does not make the first one get the message again."""
    with AlertTarget.serving() as failing:
        failing.status = 503
        sender = alerting(target.address, failing.address)
        dead(history)
        assert sender.deliver(now=DUE) == Delivery(0, 1)
        assert "error=503" in str(history.alerts.list()[0].error)
        failing.status = 200
        assert sender.deliver(now=DUE + timedelta(minutes=1)) == Delivery(1, 0)
        assert len(target.got) == len(failing.got) == 1


def test_two_senders_at_once_send_each_message_once(history: History, alerting: Open, target: AlertTarget) -> None:
    """Ten messages, two processes' worth of senders."""
    for number in range(10):
        history.alerts.add(AlertKind.TEST, f"cause-{number}", f"alert {number}", "…", now=NOON)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda sender: sender.deliver(now=DUE), [alerting(target.address) for _ in range(2)]))
    assert sum(each.sent for each in done) == 10
    assert sorted(target.titles) == [f"mediajobs: alert {number}" for number in range(10)]


def test_no_address_is_shown(history: History, alerting: Open) -> None:
    """Nor a part of one: in reasons, results, logs, or what the objects say of themselves."""
    logged, handler = StringIO(), logging.StreamHandler()
    handler.setStream(logged)
    with AlertTarget.serving() as target, added_to_root(handler):
        target.status = 500
        sender = alerting(target.address, f"json://bob:hunter2pass@127.0.0.1:{free_port()}/hooks/tokenhunter3")
        dead(history)
        sender.deliver(now=DUE)
        trials = sender.test()
        with pytest.raises(SettingsError) as refused:
            alerting("nonsense://hunter5").check()
    shown = [str(trials), str(history.alerts.list()), logged.getvalue(), str(refused.value), repr(sender.__dict__)]
    assert [each.arrived for each in trials] == [False, False]
    assert "error=500" in str(trials[0].reason)
    assert not any("hunter" in each or "127.0.0.1" in each for each in shown)


def test_secrets_are_taken_out_before_it_is_written(history: History, alerting: Open, target: AlertTarget) -> None:
    """Title, body and details; and a name cannot begin a line of its own."""
    signed = "https://host/clip.mp4?X-Amz-Signature=hunter2"
    sender = alerting(target.address)
    sender.alert(AlertKind.QUOTA_LOW, "quota", signed, f"{signed} \x1b[2J", {"apiKey": "hunter3", "at": signed})
    assert "hunter" not in str(history.alerts.list())
    sender.deliver(now=history.now() + GATHERING)
    assert "hunter" not in json.dumps(target.got)
    assert r"\x1b[2J" in target.got[0]["message"]


def test_without_an_address_alerts_are_kept_and_listed(history: History, alerting: Open, target: AlertTarget) -> None:
    """Nothing is sent and nothing fails; once there is an address, what is not old is sent."""
    dead(history)
    assert alerting().deliver(now=DUE) == Delivery(0, 0)
    assert [each.tries for each in alerting().list()] == [0]
    with pytest.raises(SettingsError, match="MEDIAJOBS_ALERT_URLS"):
        alerting().test()
    assert alerting(target.address).deliver(now=DUE + timedelta(hours=9)) == Delivery(1, 0)
