"""Logs a run's attempts to Dagster, in few lines: each line is a row in Dagster's event log."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator

import dagster as dg

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.records import Record

_IN_FULL = 3
_SUMMARY_S = 10.0


class RunLog:
    """A listener that writes to the log of a Dagster run.

    Every failure gets a line. The first three attempts are logged in full; after them, a line every ten seconds says
    how many attempts have ended.
    """

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log
        self._done = self._failed = 0
        self._started = self._told_at = time.monotonic()

    def __call__(self, record: Record) -> None:
        """Take a record."""
        if isinstance(record, AttemptEnded):
            self._ended(record)

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
        job, manifest = outcome.job, outcome.manifest
        line = f"Job {job.id}, attempt {manifest.attempt}: {outcome.status} in {manifest.duration_ms} ms"
        if outcome.error is None:
            self._log.info("\n".join((f"{line}.", *commands)))
        else:
            why = f"{line}; the job is {outcome.verdict.status}. {outcome.error.code}: {outcome.error}"
            self._log.warning("\n".join((why, *commands)))


def _commands_of(outcome: AttemptEnded) -> Iterator[str]:
    for command in outcome.manifest.ffmpeg_commands:
        yield f"{command.status} after {command.duration_ms} ms: {shlex.join(without_guards(command.argv))}"
