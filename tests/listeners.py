"""A listener of attempts with a method a kind of record, for tests that step in at a moment."""

from __future__ import annotations

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.models import Progress
from mediajobs_dagster.records import (
    AttemptKey,
    AttemptProgressed,
    AttemptStarted,
    Record,
    StageStarted,
)


class Watcher:
    """Does nothing by itself."""

    def __call__(self, record: Record) -> None:
        match record:
            case AttemptStarted():
                self.started(record.key)
            case StageStarted():
                self.stage(record.key, record.stage)
            case AttemptProgressed():
                self.progress(record.key, record.progress)
            case AttemptEnded():
                self.ended(record)
            case _:
                pass

    def started(self, key: AttemptKey) -> None:
        """An attempt begins."""

    def stage(self, key: AttemptKey, name: str) -> None:
        """It enters a stage."""

    def progress(self, key: AttemptKey, progress: Progress) -> None:
        """It has come so far."""

    def ended(self, outcome: AttemptEnded) -> None:
        """It is over and on record."""
