"""Sends what is due, several at a time. Several processes may: each delivery is taken by one of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from mediajobs_dagster.errors import DatabaseBusyError, DatabaseUnavailableError, DiskFullError
from mediajobs_dagster.history import History
from mediajobs_dagster.models import JsonObject, WebhookDelivery, origin_of
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.sending import Looks, looking
from mediajobs_dagster.webhooks.trying import TIMEOUT_S, Outcome, Trying, Verdict

AT_ONCE = 16
"""Deliveries on their way at the same time, in one process."""
AT_ONCE_TO_ONE = 4
"""Of those, for one receiver (scheme, host and port): a slow one leaves room for others."""
_LOOK_S = 1.0
_HOLD_S = 3 * TIMEOUT_S
"""How long a sender may take for one delivery; after that, another one sends it."""
_LEAVE_S = 15.0
"""How long a process that ends goes on sending what is due."""
_log = logging.getLogger(__name__)
_FAILED = "Webhooks could not be sent; they wait."


@dataclass(frozen=True)
class Sent:
    """What one round of sending came to."""

    delivered: int
    failed: int
    """Tries that did not succeed; most of these deliveries are tried again."""

    def to_json(self) -> JsonObject:
        """The JSON form."""
        return asdict(self)


class Delivering:
    """Takes deliveries out of the outbox, and sends them in threads."""

    def __init__(self, settings: Settings, history: Callable[[], History]) -> None:
        """Open nothing yet."""
        self._settings, self._history = settings, history
        self._trying = Trying(settings)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mediajobs-webhooks")
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._verdicts: Counter[Verdict] = Counter()
        self._next_events = 0.0
        self.freed = threading.Event()
        """Set when a delivery is done, so that there is room for another."""

    def close(self) -> None:
        """End what is under way, and give it back."""
        self._trying.close()
        self._pool.shutdown(wait=True)

    def look(self) -> None:
        """Write what triggers cannot, and begin to send what is due; returns at once."""
        if not self._settings.webhook_secret:
            return  # nothing could sign it: it waits
        if time.monotonic() >= self._next_events:  # however often there is room for another
            self._next_events = time.monotonic() + _LOOK_S
            self._write_events()
        self._take()

    def _write_events(self) -> None:
        events = self._history().webhook_events
        if events.is_wanted():
            events.settle()
            events.write_progress()

    def send_all(self, *, within_s: float) -> Sent:
        """Send all that is due now, and wait for it; at most so many seconds."""
        end, before = time.monotonic() + within_s, self._verdicts.copy()
        self._write_events()
        while time.monotonic() < end:
            self.freed.clear()
            was_busy = self._is_busy()  # asked first: what ends meanwhile may have made room for what follows it
            if not self._take() and not was_busy:
                break
            self.freed.wait(max(0.0, end - time.monotonic()))
        done = self._verdicts - before
        return Sent(done.pop(Verdict.DELIVERED, 0), done.total())

    def _is_busy(self) -> bool:
        with self._lock:
            return bool(self._busy.total())

    def _take(self) -> int:
        """Begin to send as many as there is room for; returns how many."""
        outbox, taken = self._history().webhooks, 0
        while (full := self._full()) is not None and outbox.is_due(besides=full):
            delivery = outbox.claim(hold_s=_HOLD_S, besides=full)
            if delivery is None:
                break
            with self._lock:
                self._busy[origin_of(delivery.url)] += 1
            self._pool.submit(self._send, delivery)
            taken += 1
        return taken

    def _full(self) -> list[str] | None:
        """The receivers that get enough at the moment; None: there is no room at all."""
        with self._lock:
            full = [origin for origin, number in self._busy.items() if number >= AT_ONCE_TO_ONE]
            return None if self._busy.total() >= AT_ONCE else full

    def _send(self, delivery: WebhookDelivery) -> None:
        verdict = Verdict.LEFT
        try:
            outcome = self._trying.send(delivery)
            self._record(delivery, outcome)
            verdict = outcome.verdict
        except (DatabaseBusyError, DatabaseUnavailableError, DiskFullError) as error:
            _log.warning("What came of a webhook could not be recorded, so it will be sent again. %s", error.message)
        except Exception:  # noqa: BLE001  # the edge: nobody asks the pool what became of it
            _log.exception("A webhook could not be sent; it will be tried again.")
        finally:
            with self._lock:
                self._busy -= Counter([origin_of(delivery.url)])
                self._verdicts[verdict] += 1
            self.freed.set()

    def _record(self, delivery: WebhookDelivery, outcome: Outcome) -> None:
        outbox = self._history().webhooks
        match outcome.verdict:
            case Verdict.DELIVERED:
                outbox.delivered(delivery, outcome.tried)
            case Verdict.AGAIN | Verdict.FAILED:
                outbox.not_delivered(delivery, outcome.tried, again_in_s=outcome.again_in_s)
            case Verdict.GONE:
                outbox.unsubscribe(delivery, outcome.tried)
            case Verdict.LEFT:
                outbox.let_go(delivery)


@contextmanager
def delivering(
    settings: Settings, history: Callable[[], History], *, look_s: float = _LOOK_S, to_the_end: bool = False
) -> Generator[None]:
    """While the block runs, send what is due. With `to_the_end`, also what is due when it ends."""
    if not settings.webhook_secret:
        yield
        return
    sender = Delivering(settings, history)
    looks = Looks([sender.look], _FAILED)
    try:
        with looking("mediajobs-webhooks", looks, look_s=look_s, wake=sender.freed):
            yield
        if to_the_end:
            Looks([lambda: sender.send_all(within_s=_LEAVE_S)], _FAILED)()
    finally:
        sender.close()
