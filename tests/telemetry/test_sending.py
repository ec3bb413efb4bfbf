"""A long-lived process sends alerts by itself, whatever goes wrong on the way."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mediajobs_dagster.errors import DatabaseUnavailableError
from mediajobs_dagster.history import History
from mediajobs_dagster.models import AlertKind
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.alerting import Alerting
from mediajobs_dagster.telemetry.sending import sending_alerts
from tests.servers.alert_target import AlertTarget


def test_it_goes_on_after_a_failure(
    history: History, target: AlertTarget, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A check that fails is complained of once, and neither it nor the sending ends."""
    settings = Settings.load(_env_file=None, home=tmp_path, alert_urls=target.address)
    looks = list[int]()

    def failing() -> None:
        looks.append(1)
        raise DatabaseUnavailableError("gone")

    history.alerts.add(AlertKind.TEST, "cause", "arrived", "…", now=history.now() - timedelta(minutes=1))
    with caplog.at_level(logging.WARNING), sending_alerts(Alerting(settings, lambda: history), [failing], look_s=0.01):
        give_up = time.monotonic() + 30
        while not (target.got and len(looks) > 3) and time.monotonic() < give_up:
            time.sleep(0.01)
    assert target.titles == ["mediajobs: arrived"]
    assert [each.getMessage() for each in caplog.records if each.name.endswith("sending")] == [
        "Alerts could not be sent; they wait. DatabaseUnavailableError: gone"
    ]
