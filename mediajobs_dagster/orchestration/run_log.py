"""Logs a run's attempts to Dagster, in few lines: each line is a row in Dagster's event log, and stays for ever."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import dagster as dg

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.models import Progress
from mediajobs_dagster.records import AttemptProgressed, AttemptStarted, Record, StageStarted
from mediajobs_dagster.telemetry.lines import ending_of

_IN_FULL = 3
_SUMMARY_S = 10.0
_QUIET_S = 10.0
"""An attempt that ends sooner leaves no line of its progress."""
_PAUSE_S = 30.0
"""Shortest time between two lines that tell no new tenth; it grows with a tenth of what the attempt has taken."""
_TENTHS = 10


@dataclass
class _UnderWay:
    """An attempt that goes on."""

    started: float
    told_at: float
    stage: str = ""
    told_stage: str = ""
    tenth: int = 0


class RunLog:
    """A listener that writes to the log of a Dagster run.

    Every failure gets a line. The first three attempts are logged in full; after them, a line every ten seconds says
    how many attempts have ended. What takes longer than `quiet_s` seconds tells how far it is: at each tenth and each
    stage, and every half minute in between, less often as time goes on. So an attempt of hours leaves some forty lines.
    """

    def __init__(self, log: dg.DagsterLogManager, *, quiet_s: float = _QUIET_S) -> None:
        self._log, self._quiet_s = log, quiet_s
        self._done = self._failed = 0
        self._started = self._told_at = time.monotonic()
        self._under_way: dict[str, _UnderWay] = {}
        self._lock = threading.Lock()

    def __call__(self, record: Record) -> None:
        """Take a record; from any thread."""
        match record:
            case AttemptStarted(key=key):
                now = time.monotonic()
                self._under_way[key.attempt_id] = _UnderWay(now, now)
            case StageStarted(key=key, stage=stage):
                if found := self._under_way.get(key.attempt_id):
                    found.stage = stage
            case AttemptProgressed(key=key, progress=progress):
                if found := self._under_way.get(key.attempt_id):
                    self._progressed(key.job_id, found, progress)
            case AttemptEnded(attempt_id=attempt_id):
                self._under_way.pop(attempt_id, None)
                self._ended(record)
            case _:
                pass

    def _progressed(self, job_id: str | None, attempt: _UnderWay, progress: Progress) -> None:
        now = time.monotonic()
        taken = now - attempt.started
        if taken < self._quiet_s:
            return
        tenth = int(_TENTHS * (progress.fraction or 0.0))
        is_news = tenth > attempt.tenth or attempt.stage != attempt.told_stage
        with self._lock:  # a command and its stage may report at the same time
            if not is_news and now - attempt.told_at < max(_PAUSE_S, taken / _TENTHS):
                return
            attempt.tenth, attempt.told_stage, attempt.told_at = max(tenth, attempt.tenth), attempt.stage, now
        self._log.info(f"Job {job_id}, {attempt.stage}: {_how_far(progress, taken)}.")

    def _ended(self, outcome: AttemptEnded) -> None:
        self._done += 1
        self._failed += not outcome.succeeded
        if self._done <= _IN_FULL or outcome.error is not None:
            self._tell(outcome, _commands_of(outcome) if self._done <= _IN_FULL else ())
        elif time.monotonic() - self._told_at > _SUMMARY_S:
            self._told_at = time.monotonic()
            rate = self._done / (self._told_at - self._started)
            self._log.info(f"{self._done} attempts have ended, {rate:.1f} a second; {self._failed} failed.")

    def _tell(self, outcome: AttemptEnded, commands: Iterable[str]) -> None:
        log = self._log.info if outcome.error is None else self._log.warning
        log("\n".join((ending_of(outcome), *commands)))


def _how_far(progress: Progress, taken: float) -> str:
    """Percent, speed and time left, as far as they are known."""
    parts = [f"{progress.fraction:.0%}" if progress.fraction is not None else f"{progress.out_seconds:.0f} s made"]
    if progress.speed:
        parts.append(f"{progress.speed:.1f}x")
    parts.append(f"{taken:.0f} s so far")
    if progress.eta_s is not None:
        parts.append(f"{progress.eta_s:.0f} s left")
    return ", ".join(parts)


def _commands_of(outcome: AttemptEnded) -> Iterator[str]:
    for command in outcome.manifest.ffmpeg_commands:
        yield f"{command.status} after {command.duration_ms} ms: {shlex.join(without_guards(command.argv))}"
