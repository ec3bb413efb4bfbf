"""Sends alerts while a long-lived process goes about its business. Several processes may, at the same time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from mediajobs_dagster.telemetry.alerting import Alerting

_LOOK_S = 5.0
"""How often the outbox is looked at, seconds."""

Check = Callable[[], object]
"""Looks at something, and alerts of it. It must cost little: it is called every few seconds."""

_log = logging.getLogger(__name__)


@contextmanager
def sending_alerts(alerting: Alerting, checks: Sequence[Check] = (), *, look_s: float = _LOOK_S) -> Generator[None]:
    """While the block runs, send what is due, and make the checks."""
    looks = Looks((*checks, alerting.deliver), "Alerts could not be sent; they wait.")
    with looking("mediajobs-alerts", looks, look_s=look_s):
        yield


@contextmanager
def looking(
    name: str, look: Check, *, look_s: float, wake: threading.Event | None = None, leave_s: float | None = None
) -> Generator[None]:
    """While the block runs, call `look` every so many seconds, and at once when `wake` is set, in a thread.

    At the end, a look that is under way gets `leave_s` seconds; by default `look_s`.
    """
    over, roused = threading.Event(), wake or threading.Event()

    def go_on() -> None:
        while True:
            roused.wait(look_s)
            roused.clear()
            if over.is_set():
                return
            look()

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        roused.set()
        thread.join(look_s if leave_s is None else leave_s)


class Looks:
    """Takes steps, each whatever becomes of the others. What a step raises is logged once."""

    def __init__(self, steps: Sequence[Check], complaint: str) -> None:
        """`complaint` is what is logged first, a sentence."""
        self._steps, self._complaint = steps, complaint
        self._complained: set[str] = set()

    def __call__(self) -> None:
        """Take each of them."""
        for step in self._steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001  # whatever it is, the next look may succeed
                # Once: an extra that is missing, or a database that is away, would fill the log.
                if (said := f"{type(error).__name__}: {error}") not in self._complained:
                    self._complained.add(said)
                    _log.warning("%s %s", self._complaint, said)
