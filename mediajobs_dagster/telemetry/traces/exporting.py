"""Tells a collector of traces what has ended, out of the outbox of the history.

What is told is removed from the outbox after the collector has it. So an exporter that dies in between tells it twice,
with the same ids; and one whose collector is away leaves it there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Timer

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import CancelledError, MediaJobsError, NotFoundError, ServiceError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.trace_outbox import Ended
from mediajobs_dagster.models import Attempt
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.sending import looking
from mediajobs_dagster.telemetry.traces.collector import TIMEOUT_S, Collector, is_of_content, may_be_of_content
from mediajobs_dagster.telemetry.traces.span import Span
from mediajobs_dagster.telemetry.traces.tree import Tree

RunStarts = Callable[[Sequence[str]], Mapping[str, datetime]]
"""When Dagster started these runs, by their ids; those that it does not know are missing."""

_LOOK_S = 2.0
"""How often the outbox is looked at, seconds."""
_AT_ONCE = 50
"""How many attempts are taken out of the outbox at once."""
_MOST_SPANS = 1000
"""A message is sent when it has so many spans; one attempt alone has at most some hundred."""
_HOLD_S = 120.0
"""How long an exporter may take for what it took, seconds; after that, another one sends it."""
_ONE_BY_ONE = 2 * _AT_ONCE
"""How many attempts are sent alone after a message that the collector failed at: it may fail at one of them only."""
_SET_ASIDE_S = 600.0
"""How long an attempt waits that the collector failed at alone, seconds; others are sent meanwhile."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_FORGET_EVERY_S = 600.0
_LEAVE_S = 5.0
"""How long a process that ends goes on sending, seconds."""

_log = logging.getLogger(__name__)


@dataclass
class _Message:
    """What is sent at once, and what it is about."""

    told: list[Ended] = field(default_factory=list[Ended])
    spans: list[Span] = field(default_factory=list[Span])

    @property
    def ids(self) -> list[str]:
        """The entries of the outbox."""
        return [each.id for each in self.told]


class TraceExporter:
    """Sends what has ended. Several may, at the same time; each entry of the outbox is taken by one of them."""

    def __init__(
        self,
        settings: Settings,
        history: Callable[[], History],
        run_starts: RunStarts = lambda _ids: {},
        cancellation: Cancellation | None = None,
    ) -> None:
        """Open nothing yet. `cancellation` ends what is being sent."""
        self._history, self._run_starts = history, run_starts
        self._collector = Collector(settings, cancellation or Cancellation())
        self._is_on_s3 = settings.storage_url.startswith("s3://")
        self._pause_s = 0.0
        self._one_by_one = 0
        self._not_before = 0.0
        self._forget_at = 0.0

    def export(self) -> int:
        """Send what is due, unless the collector was away a moment ago; returns how many attempts and jobs it has now.

        Raises what `Collector.send` raises; what was not sent is still due, and is sent after a pause.
        """
        sent = 0
        while time.monotonic() >= self._not_before and self._history().trace_outbox.is_due():
            limit = 1 if self._one_by_one else _AT_ONCE
            taken = self._history().trace_outbox.claim(limit, hold_s=_HOLD_S)
            if not taken:  # another exporter was faster
                break
            self._one_by_one = max(0, self._one_by_one - 1)
            sent += self._send_all(taken)
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET_EVERY_S
            if old := self._history().trace_outbox.forget_old():
                _log.warning("%d entries of traces were not taken for a week. They are given up.", old)
        return sent

    def _send_all(self, taken: Sequence[Ended]) -> int:
        outbox, left, give_up = self._history().trace_outbox, [each.id for each in taken], time.monotonic() + _HOLD_S
        wait_s = 0.0
        try:
            for message in self._messages(taken):
                self._send(message)
                outbox.told(message.ids)
                left = left[len(message.told) :]
                self._pause_s = 0.0
                if time.monotonic() > give_up - 2 * TIMEOUT_S:
                    break  # before another exporter takes them too
        except MediaJobsError as error:
            if may_be_of_content(error):
                self._one_by_one = _ONE_BY_ONE
                wait_s = _SET_ASIDE_S if len(taken) == 1 else 0.0
            self._pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self._pause_s, error.retry_after_s or 0.0))
            self._not_before = time.monotonic() + self._pause_s
            raise
        finally:
            if left:
                outbox.not_told(left, wait_s=wait_s)
        return len(taken) - len(left)

    def _messages(self, taken: Sequence[Ended]) -> Iterator[_Message]:
        """In the order in which things ended. One is made when the one before is sent, so few are in memory."""
        message = _Message()
        for ended, spans in self._trees(taken):
            message.told.append(ended)
            message.spans += spans
            if len(message.spans) >= _MOST_SPANS:
                yield message
                message = _Message()
        if message.told:
            yield message

    def _send(self, message: _Message) -> None:
        try:
            if message.spans:
                self._collector.send(message.spans)
        except ServiceError as error:
            if not is_of_content(error):
                raise
            if len(message.told) == 1:
                _log.warning("The collector refuses attempt %s for ever. %s", message.told[0].attempt_id, error.message)
                return
            for ended, spans in self._trees(message.told):
                self._send(_Message([ended], spans))

    def _trees(self, taken: Sequence[Ended]) -> Iterator[tuple[Ended, list[Span]]]:
        """One after the other: a manifest can be large."""
        run_starts = dict[str, datetime]()
        for ended in taken:
            attempt = self._attempt(ended)
            if attempt and attempt.run_id and attempt.run_id not in run_starts:
                run_starts |= self._run_starts([attempt.run_id])
            yield ended, self._spans(ended, attempt, run_starts)

    def _attempt(self, ended: Ended) -> Attempt | None:
        try:
            return self._history().attempts.get(ended.attempt_id) if ended.attempt_id else None
        except NotFoundError:  # a clean-up has removed it
            return None

    def _spans(self, ended: Ended, attempt: Attempt | None, run_starts: Mapping[str, datetime]) -> list[Span]:
        traced = self._history().trace_outbox.job_of(ended)
        if traced is None or (ended.attempt_id and attempt is None):
            return []
        run_started_at = run_starts.get(attempt.run_id or "") if attempt else None
        try:
            return list(Tree(ended, traced, attempt, run_started_at, self._is_on_s3).spans())
        except (ValueError, ArithmeticError) as error:  # a record of another version; no later try reads it better
            _log.warning("Attempt %s cannot be told as a trace: %s", ended.attempt_id, error)
            return []


@contextmanager
def exporting_traces(
    settings: Settings,
    history: Callable[[], History],
    run_starts: RunStarts = lambda _ids: {},
    *,
    look_s: float = _LOOK_S,
) -> Generator[None]:
    """While the block runs, and once more at its end, send what has ended. Without a collector, do nothing.

    At the end, sending goes on only briefly, for a collector may hang: what it does not have stays in the outbox.
    """
    if settings.traces_url is None:
        yield
        return
    cancellation = Cancellation()
    told = _Told(TraceExporter(settings, history, run_starts, cancellation))
    patience = Timer(_LEAVE_S, cancellation.cancel, [CancelledError("This process ends; what is left is sent later.")])
    patience.daemon = True
    try:
        # Twice as long, since connecting cannot be cancelled.
        with looking("mediajobs-traces", told.export, look_s=look_s, leave_s=2 * _LEAVE_S):
            try:
                yield
            finally:
                patience.start()
    finally:
        told.export()
        patience.cancel()


@dataclass
class _Told:
    """Exports, and logs each fault once until traces are sent again."""

    exporter: TraceExporter
    complained: set[str] = field(default_factory=set[str])

    def export(self) -> None:
        """Send what is due; raises nothing."""
        try:
            if self.exporter.export() and self.complained:
                self.complained.clear()
                _log.info("Traces are sent again.")
        except Exception as error:  # noqa: BLE001  # whatever it is, the next look may succeed
            if (said := f"{type(error).__name__}: {error}") not in self.complained:
                self.complained.add(said)
                _log.warning("Traces could not be sent; they wait. %s", said)
