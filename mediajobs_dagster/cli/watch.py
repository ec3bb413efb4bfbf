"""`mediajobs jobs watch`: follow jobs that run elsewhere, such as under `mediajobs up`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.jobs import note_of, progress_words
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import JobProgress, JobStatus, utc_now
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.use_cases.references import NamedJob

_EVERY_S = 1.0
_TOLD_S = 10.0
"""Where there is no terminal, a job that runs gets a line so often."""
_BAR = 20
_LISTED = 10
_LOOKED_AT = 1000
"""How many jobs of a trace are followed one by one; of all of them, the numbers are told."""
_NEAR_END = 0.99
_BAD = (JobStatus.DEAD, JobStatus.CANCELLED)


@click.command("watch")
@click.argument("job", metavar="[JOB]", required=False)
@click.option("--trace", "trace_id", metavar="TRACE", help="All jobs of this trace.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts: a job a line, whenever it has changed.")
@click.pass_obj
def watch_jobs(media: MediaJobs, job: str | None, trace_id: str | None, as_json: bool) -> None:
    """Follow jobs with percent, speed and time left until they have ended: one JOB, a trace, or all that run now.

    Workers report progress with each heartbeat, every 20 seconds (MEDIAJOBS_LEASE_S / 3); between two, it is
    estimated. Without JOB and --trace it goes on until Ctrl-C. Exit code 1: a job that was watched is dead or
    cancelled.
    """
    if job is not None and trace_id is not None:
        raise RequestError("Give either JOB or --trace.")
    watch = _Watch(
        media,
        job_id=None if job is None else media.references.job(job).id,
        trace_id=None if trace_id is None else media.references.trace(trace_id),
    )
    if as_json:
        _print_changes(watch)
    else:
        _show(watch)
    if watch.has_failed:
        raise click.exceptions.Exit(1)


def _print_changes(watch: _Watch) -> None:
    for changed in watch.looks():
        for each in changed:
            click.echo(display.json_text(each.to_json()))
        sys.stdout.flush()


def _show(watch: _Watch) -> None:
    console = display.console()
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
    told: dict[str, float] = {}
    with live or nullcontext():
        for changed in watch.looks():
            for each in changed:
                if each.job.status.is_final:
                    console.print(watch.line(each), soft_wrap=True)
            if live:
                live.update(watch.screen(), refresh=True)
                continue
            for each in watch.running:
                if time.monotonic() - told.get(each.job.id, -_TOLD_S) >= _TOLD_S:
                    told[each.job.id] = time.monotonic()
                    console.print(watch.line(each), soft_wrap=True)
    console.print(display.line(watch.summary), soft_wrap=True)


@dataclass
class _Watch:
    """What is watched, as it stood at the last look."""

    media: MediaJobs
    job_id: str | None
    trace_id: str | None
    has_failed: bool = False
    summary: str = ""
    """Where it stands, in a sentence."""
    now: datetime = field(default_factory=utc_now)
    _jobs: dict[str, NamedJob] = field(default_factory=dict[str, "NamedJob"])

    @property
    def running(self) -> list[NamedJob]:
        """The jobs that are being worked on."""
        return [each for each in self._jobs.values() if each.job.status is JobStatus.PROCESSING]

    def looks(self) -> Iterator[list[NamedJob]]:
        """Look every second until all is over; yields the jobs that have changed since the look before."""
        first = True
        while True:
            before, self._jobs = self._jobs, self._look()
            is_over = self._sum_up()
            changed = [each for job_id, each in self._jobs.items() if before.get(job_id) != each]
            # What of a trace had ended before is only counted.
            yield [each for each in changed if self.job_id or not (first and each.job.status.is_final)]
            if is_over:
                return
            first = False
            time.sleep(_EVERY_S)

    def _look(self) -> dict[str, NamedJob]:
        history = self.media.history
        self.now = history.now()
        if self.job_id:
            found = [history.jobs.get(self.job_id)]
        else:
            of_all = () if self.trace_id else (JobStatus.PROCESSING,)
            found = history.jobs.list(JobFilter(trace_id=self.trace_id, statuses=of_all), limit=_LOOKED_AT)
            known = {job.id for job in found}
            gone = tuple(each.job.id for each in self.running if each.job.id not in known)
            found += history.jobs.list(JobFilter(ids=gone), limit=_LOOKED_AT) if gone else []
        return {each.job.id: each for each in self.media.named(found)}

    def _sum_up(self) -> bool:
        """Say where it stands; returns whether all is over."""
        if self.job_id:
            (job,) = (each.job for each in self._jobs.values())
            self.has_failed = job.status in _BAD
            self.summary = f"Job {job.id} is {job.status}"
            return job.status.is_final
        if not self.trace_id:
            waiting = sum(each.jobs for each in self.media.history.jobs.waiting().values())
            self.summary = f"{display.counted(len(self.running), 'job')} running, {waiting} waiting (Ctrl-C ends)"
            return False
        tally = self.media.history.jobs.tally(self.trace_id)
        whole, final = sum(tally.values()), sum(number for status, number in tally.items() if status.is_final)
        bad, waiting = (sum(tally[status] for status in some) for some in (_BAD, JobStatus.waiting()))
        self.has_failed = bad > 0
        details = ((bad, "dead or cancelled"), (tally[JobStatus.PROCESSING], "running"), (waiting, "waiting"))
        parts = [
            f"{final} of {display.counted(whole, 'job')} done",
            *(f"{count} {what}" for count, what in details if count),
        ]
        self.summary = ", ".join(parts)
        return final == whole

    def screen(self) -> RenderableType:
        """Where it stands, what is held back, and a bar for each job that runs."""
        types = {each.job.job_type for each in self._jobs.values() if each.job.status.is_waiting}
        held = [each for each in self.media.held() if each.job_type in types or not (self.job_id or self.trace_id)]
        parts: list[RenderableType] = [display.line(self.summary)]
        parts += [display.line(each.reason, "yellow") for each in held]
        if self.running:
            parts.append(self._bars())
        return Group(*parts)

    def line(self, each: NamedJob) -> Text:
        """One job, with its status and what there is to say of it."""
        job = each.job
        note = note_of(job)
        text = f"  {self.media.registry.noun(job.job_type)}  {each.label}  {job.id}{f'  {note}' if note else ''}"
        return display.cell(job.status).append_text(display.line(text))

    def _bars(self) -> RenderableType:
        rows = [
            (
                self.media.registry.noun(each.job.job_type),
                each.label,
                _bar(each.job.progress, self.now),
                progress_words(estimated(each.job.progress, self.now)) if each.job.progress else "started",
            )
            for each in self.running[:_LISTED]
        ]
        columns = (Column(""), Column("", "name"), Column("", rank=1), Column("", "text"))
        return display.table(columns, rows)


def estimated(progress: JobProgress, now: datetime) -> JobProgress:
    """How far it probably is by now, at the speed that it had."""
    passed = (now - progress.at).total_seconds()
    if progress.fraction is None or progress.eta_s is None or passed <= 0:
        return progress
    share = min(1.0, passed / progress.eta_s) if progress.eta_s else 1.0
    fraction = max(progress.fraction, min(_NEAR_END, progress.fraction + share * (1 - progress.fraction)))
    return progress.model_copy(update={"fraction": fraction, "eta_s": max(0.0, progress.eta_s - passed)})


def _bar(progress: JobProgress | None, now: datetime) -> str:
    fraction = (progress and estimated(progress, now).fraction) or 0.0
    full = round(_BAR * fraction)
    return "█" * full + "░" * (_BAR - full)
