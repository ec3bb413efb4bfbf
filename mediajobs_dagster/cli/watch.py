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
from mediajobs_dagster.models import Job, JobProgress, JobStatus
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.references import NamedJob

_EVERY_S = 1.0
_TOLD_S = 10.0
"""Where there is no terminal, a job that runs gets a line so often."""
_BAR = 20
_LISTED = 10
_LOOKED_AT = 1000
"""How many jobs of a trace are followed one by one; of all of them, the numbers are told."""
_NEAR_END = 0.99
_WAITING = (JobStatus.QUEUED, JobStatus.FAILED)


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
    if job and trace_id:
        raise RequestError("Give either JOB or --trace.")
    watch = _Watch(
        media,
        job_id=media.references.job(job).id if job else None,
        trace_id=media.references.trace(trace_id) if trace_id else None,
    )
    if as_json:
        _print_changes(watch)
    else:
        _show(watch)
    if watch.has_failed:
        raise click.exceptions.Exit(1)


def _print_changes(watch: _Watch) -> None:
    for _ in watch.screens():
        for each in watch.take_changes():
            click.echo(display.json_text(each.to_json()))
        sys.stdout.flush()
        if watch.is_over:
            return
        time.sleep(_EVERY_S)


def _show(watch: _Watch) -> None:
    console = display.console()
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
    with live or nullcontext():
        for screen in watch.screens():
            for line in watch.take_lines(with_progress=live is None):
                console.print(line, soft_wrap=True)
            if live:
                live.update(screen, refresh=True)
            if watch.is_over:
                break
            time.sleep(_EVERY_S)
    for line in watch.take_lines(with_progress=False):
        console.print(line, soft_wrap=True)


@dataclass
class _Watch:
    """What is watched, as it stood at the last look."""

    media: MediaJobs
    job_id: str | None
    trace_id: str | None
    is_over: bool = False
    has_failed: bool = False
    _running: dict[str, NamedJob] = field(default_factory=dict[str, "NamedJob"])
    _lines: list[Text] = field(default_factory=list[Text])
    _told: dict[str, float] = field(default_factory=dict[str, float])
    _seen: dict[str, NamedJob] = field(default_factory=dict[str, "NamedJob"])
    _statuses: dict[str, JobStatus] = field(default_factory=dict[str, JobStatus])
    """Of the jobs of the trace, at the last look."""
    _ended: list[NamedJob] = field(default_factory=list["NamedJob"])

    def screens(self) -> Iterator[RenderableType]:
        """What to show now, again and again."""
        while True:
            yield self._look()

    def take_lines(self, *, with_progress: bool) -> list[Text]:
        """What has ended since the last call; also how far the rest is, `with_progress`, now and then."""
        lines, self._lines = self._lines, []
        for job_id, each in self._running.items() if with_progress else ():
            if time.monotonic() - self._told.get(job_id, 0.0) > _TOLD_S:
                self._told[job_id] = time.monotonic()
                lines.append(self._line(each))
        return lines

    def take_changes(self) -> list[NamedJob]:
        """The jobs that have changed since the last call, as they are now."""
        ended, self._ended = self._ended, []
        changed = [each for each in (*self._running.values(), *ended) if self._seen.get(each.job.id) != each]
        self._seen = dict(self._running)
        return changed

    def _look(self) -> RenderableType:
        jobs, history = self.media, self.media.history
        before, now = self._running, history.now()
        if self.job_id:
            watched = [history.jobs.get(self.job_id)]
            running = [job for job in watched if job.status is JobStatus.PROCESSING]
        else:
            chosen = JobFilter(statuses=(JobStatus.PROCESSING,), trace_id=self.trace_id)
            watched = running = jobs.jobs(chosen, limit=_LOOKED_AT)
        self._running = {each.job.id: each for each in jobs.named(running)}
        ended = tuple(job_id for job_id in before if job_id not in self._running)
        if self.trace_id:  # a short job may run and end between two looks
            newest = {job.id: job.status for job in jobs.jobs(JobFilter(trace_id=self.trace_id), limit=_LOOKED_AT)}
            final = [job_id for job_id, status in newest.items() if status.is_final]
            known, self._statuses = self._statuses, newest
            new = [job_id for job_id in final if job_id not in known or not known[job_id].is_final]
            ended = tuple(dict.fromkeys((*ended, *new)))
        if self.job_id and watched[0].status.is_final:
            ended = (self.job_id,)
        for each in jobs.named(history.jobs.list(JobFilter(ids=ended), limit=_LOOKED_AT)) if ended else ():
            self._ended.append(each)
            self._lines.append(self._line(each))
        parts: list[RenderableType] = [_line(self._summary(watched)), *self._held(watched)]
        if self._running:
            parts.append(self._bars(now))
        return Group(*parts)

    def _summary(self, watched: list[Job]) -> str:
        """Where it stands in one line; also finds out whether all is over."""
        if self.job_id:
            job = watched[0]
            self.is_over, self.has_failed = job.status.is_final, job.status in (JobStatus.DEAD, JobStatus.CANCELLED)
            return f"Job {job.id} is {job.status}"
        if not self.trace_id:
            waiting = sum(each.jobs for each in self.media.history.jobs.waiting().values())
            return f"{display.counted(len(watched), 'job')} running, {waiting} waiting (Ctrl-C ends)"
        tally = self.media.history.jobs.tally(self.trace_id)
        final = sum(number for status, number in tally.items() if status.is_final)
        bad = tally[JobStatus.DEAD] + tally[JobStatus.CANCELLED]
        self.is_over, self.has_failed = final == sum(tally.values()), bad > 0
        waiting = sum(tally[status] for status in _WAITING)
        said = f"{final} of {display.counted(sum(tally.values()), 'job')} done"
        details = ((bad, "dead or cancelled"), (tally[JobStatus.PROCESSING], "running"), (waiting, "waiting"))
        line = ", ".join([said, *(f"{number} {what}" for number, what in details if number)])
        if self.is_over:
            self._lines.append(Text(line))
        return line

    def _held(self, watched: list[Job]) -> list[Text]:
        types = {job.job_type for job in watched if job.status in _WAITING} if self.job_id else None
        return [_line(held.reason, "yellow") for held in self.media.held() if types is None or held.job_type in types]

    def _line(self, each: NamedJob) -> Text:
        job = each.job
        note = note_of(job)
        text = f"  {self.media.registry.noun(job.job_type)}  {each.label}  {job.id}{f'  {note}' if note else ''}"
        return display.cell(job.status).append(in_one_line(redact(text)), style="default")

    def _bars(self, now: datetime) -> RenderableType:
        rows = [
            (
                self.media.registry.noun(each.job.job_type),
                each.label,
                _bar(each.job.progress, now),
                progress_words(estimated(each.job.progress, now)) if each.job.progress else "started",
            )
            for each in list(self._running.values())[:_LISTED]
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


def _line(text: str, style: str = "") -> Text:
    return Text(in_one_line(redact(text)), style=style)
