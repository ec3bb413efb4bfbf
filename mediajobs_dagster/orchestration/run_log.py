"""Tells Dagster's log what a run's attempts do, in few lines: each of them is a row in the event log."""

from __future__ import annotations

import shlex
import time

import dagster as dg

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.records import Record

_IN_FULL = 3
_SUMMARY_S = 10.0


class RunLog:
    """A listener that writes what a person wants to read.

    Every failure has its line. Of the rest the first few attempts are told in full, and in a large batch a line every
    ten seconds says how far it is.
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
        if self._done <= _IN_FULL:
            self._tell_commands(outcome)
        if self._done <= _IN_FULL or outcome.error is not None:
            self._tell_end(outcome)
        elif time.monotonic() - self._told_at > _SUMMARY_S:
            self._told_at = time.monotonic()
            rate = self._done / (self._told_at - self._started)
            self._log.info(f"{self._done} attempts are over, {rate:.1f} a second; {self._failed} failed.")

    def _tell_commands(self, outcome: AttemptEnded) -> None:
        for command in outcome.manifest.ffmpeg_commands:
            self._log.info(
                f"{command.status} after {command.duration_ms} ms: {shlex.join(without_guards(command.argv))}"
            )

    def _tell_end(self, outcome: AttemptEnded) -> None:
        job, manifest = outcome.job, outcome.manifest
        line = f"Job {job.id}, attempt {manifest.attempt}: {outcome.status} in {manifest.duration_ms} ms"
        if outcome.error is None:
            self._log.info(f"{line}.")
        else:
            self._log.warning(f"{line}; the job is {outcome.verdict.status}. {outcome.error.code}: {outcome.error}")
