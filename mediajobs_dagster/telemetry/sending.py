"""Sends alerts while a long-lived process goes about its business. Several processes may, at the same time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from mediajobs_dagster.telemetry.alerting import Alerting

_LOOK_S = 5.0
"""How often the outbox is looked at, seconds."""

Check = Callable[[], None]
"""Looks at something, and alerts of it. It must cost little: it is called every few seconds."""

_log = logging.getLogger(__name__)


@contextmanager
def sending_alerts(alerting: Alerting, checks: Sequence[Check] = (), *, look_s: float = _LOOK_S) -> Generator[None]:
    """While the block runs, send what is due, and make the checks."""
    stop, sender = threading.Event(), _Sender(alerting, checks)

    def go_on() -> None:
        while not stop.wait(look_s):
            sender.look()

    thread = threading.Thread(target=go_on, name="mediajobs-alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(look_s)


class _Sender:
    def __init__(self, alerting: Alerting, checks: Sequence[Check]) -> None:
        self._steps = (*checks, alerting.deliver)
        self._complained: set[str] = set()

    def look(self) -> None:
        for step in self._steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001  # whatever it is, the next look may succeed
                # Once: an extra that is missing, or a database that is away, would fill the log.
                if (said := f"{type(error).__name__}: {error}") not in self._complained:
                    self._complained.add(said)
                    _log.warning("Alerts could not be sent; they wait. %s", said)
