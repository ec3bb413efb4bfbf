"""What `mediajobs up` tells of the work: a line for each job that ends, for what is held, and for each outage."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from mediajobs_dagster.cli.display import seconds
from mediajobs_dagster.cli.log_entries import LogEntries
from mediajobs_dagster.errors import DatabaseBusyError, DatabaseUnavailableError
from mediajobs_dagster.history import AttemptFilter
from mediajobs_dagster.models import Attempt, AttemptStatus
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN, Breaker
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.system import MediaJobs

_LOOK_S = 1.0
"""How often the history is asked, seconds."""
_LATE_S = 15.0
"""How long after the end of an outage others still complain of it, seconds."""
_REASON_AGAIN_S = 60.0
"""How long the reasons of further failures by the same code are left out, seconds: an outage is one cause."""
_LONGEST_REASON = 400
_NEWEST = 200
"""How many of the newest attempts are looked at: more than begin between two looks."""

Say = Callable[[str], None]

_log = logging.getLogger(__name__)


@contextmanager
def telling_results(results: Results, entries: LogEntries) -> Generator[None]:
    """While the block runs, tell what becomes of the jobs, whichever process works on them; pass on log entries."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_LOOK_S):
            try:
                results.look()
            except Exception:  # noqa: BLE001  # whatever it is, the next look may succeed
                _log.exception("What has become of the jobs could not be told")
            entries.end_complete()

    results.look()
    thread = threading.Thread(target=watch, name="results", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_LOOK_S)
        entries.end_complete(at_once=True)


class Results:
    """Compares the history with what it was at the look before. For one thread."""

    def __init__(self, media: MediaJobs, say: Say) -> None:
        self._media, self._say = media, say
        self._told: set[str] | None = None
        """Ids of the newest attempts that have ended; None before the first look, which tells nothing."""
        self._under_way: set[str] = set()
        self._held: set[str] = set()
        """Job types whose breaker is open."""
        self._quarantined: set[str] = set()
        """Machines that claim no jobs."""
        self._reasons: dict[str, float] = {}
        """When the reason of a failure was told last, by its code."""
        self._out_since: float | None = None
        self._back_at = -math.inf
        self._lock = threading.Lock()

    def look(self) -> None:
        """Tell what has ended since the last look, or that the database does not answer."""
        try:
            if self._out_since is not None:
                self._media.history.check_writable()
            self._tell_ended()
            self._tell_released()
            self._tell_quarantines()
        except (DatabaseBusyError, DatabaseUnavailableError) as error:
            self.begin_outage(error.message)
            return
        with self._lock:
            if self._out_since is None:
                return
            lasted, self._out_since = time.monotonic() - self._out_since, None
            self._back_at = time.monotonic()
        self._say(f"The database answers again, after {lasted:.0f} s.")

    def begin_outage(self, reason: str) -> None:
        """Tell that the database does not answer, unless that is told already; from any thread."""
        with self._lock:
            # Who has waited for it may say so only when it is back.
            if self._out_since is not None or time.monotonic() - self._back_at < _LATE_S:
                return
            self._out_since = time.monotonic()
        self._say(f"The database does not answer; what is queued waits for it. {in_one_line(reason)}")

    def _tell_ended(self) -> None:
        history = self._media.history
        newest = history.attempts.list(AttemptFilter(), limit=_NEWEST)
        ids = {each.id for each in newest}
        known = [*newest, *(history.attempts.get(each) for each in self._under_way - ids)]
        self._under_way = {each.id for each in known if not each.status.is_final}
        ended = [each for each in known if each.status.is_final]
        if self._told is None:
            for held in self._media.held():
                self._say(held.reason)
        elif new := [each for each in ended if each.id not in self._told]:
            names = history.naming.of_attempts(new)
            for each in sorted(new, key=lambda each: each.completed_at or each.started_at):
                self._tell(each, names.get(each.job_id or ""))
        self._told = {each.id for each in ended}

    def _tell(self, attempt: Attempt, name: str | None) -> None:
        if attempt.job_id is None:
            if attempt.error_code == BREAKER_OPEN:
                self._held.add(attempt.job_name)
            self._say(f"{attempt.job_name}: {in_one_line(attempt.error or attempt.status)}")
        else:
            self._say(
                f"{in_one_line(name or attempt.job_id)}: {attempt.job_name} {_end_of(attempt)}{self._reason(attempt)}"
            )

    def _reason(self, attempt: Attempt) -> str:
        if attempt.status is not AttemptStatus.FAILURE or not (attempt.error and attempt.error_code):
            return ""
        now = time.monotonic()
        if now - self._reasons.get(attempt.error_code, -math.inf) < _REASON_AGAIN_S:
            return ""
        self._reasons[attempt.error_code] = now
        reason = in_one_line(attempt.error)
        return f". {reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON].rstrip() + '…'}"

    def _tell_released(self) -> None:
        if not self._held:
            return
        breaker, now = Breaker.of(self._media.settings), self._media.history.now()
        for job_type in sorted(self._held):
            if breaker.read(self._media.history, job_type, now=now).state is BreakerState.CLOSED:
                self._held.discard(job_type)
                self._say(f"{job_type}: jobs are started again.")

    def _tell_quarantines(self) -> None:
        found = {each.host: each for each in self._media.breakers.quarantines()}
        for host in sorted(found.keys() - self._quarantined):
            self._say(found[host].reason)
        for host in sorted(self._quarantined - found.keys()):
            self._say(f"{host} claims jobs again.")
        self._quarantined = set(found)


def _end_of(attempt: Attempt) -> str:
    took = seconds(attempt.duration_ms) or "no time"
    match attempt.status:
        case AttemptStatus.SUCCESS:
            return f"done in {took}"
        case AttemptStatus.SKIPPED:
            return "skipped: it is up to date"
        case AttemptStatus.CANCELLED:
            return f"cancelled after {took}"
        case _:
            return f"failed after {took}: {attempt.error_code}"
