"""Tells Dagster's log what an attempt does, in few lines: each of them is a row in the event log."""

from __future__ import annotations

import shlex

import dagster as dg
from typing_extensions import override

from mediajobs_dagster.attempts.observer import Observer
from mediajobs_dagster.attempts.outcome import Outcome
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.media.progress import Progress
from mediajobs_dagster.models import Job


class RunLog(Observer):
    """Writes one line for each command and one for the end of each attempt, and passes everything on to `next_one`."""

    def __init__(self, log: dg.DagsterLogManager, next_one: Observer) -> None:
        self._log, self._next = log, next_one

    @override
    def started(self, job: Job) -> None:
        self._next.started(job)

    @override
    def stage(self, job: Job, name: str) -> None:
        self._next.stage(job, name)

    @override
    def progress(self, job: Job, progress: Progress) -> None:
        self._next.progress(job, progress)

    @override
    def ended(self, outcome: Outcome) -> None:
        job, manifest = outcome.job, outcome.manifest
        for command in manifest.ffmpeg_commands:
            self._log.info(
                f"{command.status} after {command.duration_ms} ms: {shlex.join(without_guards(command.argv))}"
            )
        line = f"Job {job.id}, attempt {manifest.attempt}: {outcome.status} in {manifest.duration_ms} ms"
        if outcome.error is None:
            self._log.info(f"{line}.")
        else:
            self._log.warning(f"{line}; the job is {outcome.verdict.status}. {outcome.error.code}: {outcome.error}")
        self._next.ended(outcome)
