"""`mediajobs work`: run the queued jobs in this process, with a progress bar for each attempt."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import suppress
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.log_format import log_format
from mediajobs_dagster.cli.table import shortened
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.printable import in_one_line, printable
from mediajobs_dagster.records import AttemptKey, AttemptProgressed, AttemptStarted, JobQueued, Record, StageStarted
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import is_json, log_to_stderr
from mediajobs_dagster.telemetry.sending import sending_alerts

if TYPE_CHECKING:
    from mediajobs_dagster.orchestration.local_runs import WorkedOff

_log = logging.getLogger(__name__)


@click.command(short_help="Run every queued job in this process.")
@display.json_option
@log_format
@click.pass_obj
def work(media: MediaJobs, as_json: bool) -> None:
    """Run every queued job in this process, as real Dagster runs, until none is left.

    Failed jobs are tried again as their retry policy says; the command waits for them. Ctrl-C stops it: jobs that are
    running go back into the queue.
    """
    if media.settings.logs_operations:
        log_to_stderr(media.settings)
    done, bars = work_off(media, quiet=as_json or media.settings.logs_operations)
    if as_json:
        _print_json(media, done, bars.attempts)
    elif is_json():
        found = {"event": "worked_off", **done.to_json(), "attempts": len(bars.attempts), "dead": bars.dead}
        _log.info("Nothing is left to do now.", extra={"data": found})
    else:
        _print(media, done, bars)
    if bars.dead or done.held:
        raise click.exceptions.Exit(1)


def _print(media: MediaJobs, done: WorkedOff, bars: Bars) -> None:
    """What was done, and what is left: each with the reason why."""
    console, leased = display.console(), media.history.jobs.leased()
    if done.runs:
        attempts, runs = display.counted(len(bars.attempts), "attempt"), display.counted(done.runs, "run")
        dead = display.counted(bars.dead, "job")
        console.print(f"{attempts} in {runs}; {dead} {'is' if bars.dead == 1 else 'are'} dead.")
    elif not leased.jobs and not media.history.jobs.waiting():
        console.print("Nothing is queued. Enqueue something with [bold]mediajobs add VIDEO[/].")
    if leased.until:
        jobs = f"{display.counted(leased.jobs, 'job')} {'is' if leased.jobs == 1 else 'are'}"
        console.print(
            f"{jobs} leased until {leased.until:%H:%M:%S} UTC: by a worker elsewhere, which renews that, or by one "
            "that died. Follow them with [bold]mediajobs jobs watch[/]."
        )
    for each in (*media.held(), *media.breakers.quarantines()):
        console.print(each.reason, style="yellow", markup=False)


def _print_json(media: MediaJobs, done: WorkedOff, attempts: list[str]) -> None:
    """One JSON document. The manifests are written one by one, because thousands would not fit into memory."""
    click.echo(f'{display.json_text(done.to_json())[:-1]}, "attempts": [', nl=False)
    for number, attempt_id in enumerate(attempts):
        manifest = media.history.attempts.get(attempt_id).manifest
        click.echo(f"{',' if number else ''}\n{display.json_text(manifest)}", nl=False)
    click.echo("]}")


def work_off(
    media: MediaJobs, *, quiet: bool, only: JobType | None = None, trace_id: str | None = None
) -> tuple[WorkedOff, Bars]:
    """Run the queue until it is empty, with progress bars (on standard error, so that output can be piped).

    With `only`, the jobs of that type. With `trace_id`, until the jobs of that trace have ended: nobody waits for the
    next try of another one. What another process makes of one of them is waited for, and if that process dies, the job
    is made here once its lease is over.

    Raises KeyboardInterrupt on SIGINT and SIGTERM.
    """
    # Dagster takes more than a second to import, so only the commands that need it import it.
    from mediajobs_dagster.orchestration.build import build_definitions
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.local_runs import LocalRuns
    from mediajobs_dagster.orchestration.recovery import recover_runs
    from mediajobs_dagster.orchestration.run_starts import run_starts_of
    from mediajobs_dagster.telemetry.traces.exporting import exporting_traces

    media.check()  # before Dagster makes its own databases in the same folder
    if fault := media.job_log_fault():
        told = f"{fault} Jobs are not logged there; mediajobs history export --format job-log tells of them."
        click.echo(printable(redact(told)), err=True)
    signal.signal(signal.SIGTERM, _interrupt)
    bars = Bars(media, quiet=quiet)
    media.listen(bars)

    def is_enough() -> bool:
        return trace_id is not None and _has_ended(media, trace_id)

    try:
        with open_instance(media.settings) as instance:
            recover_runs(media, instance)
            with (
                sending_alerts(media.alerts, [media.alert_watch.look_at_quotas]),
                media.webhooks.delivering(to_the_end=True),
                exporting_traces(media.settings, lambda: media.history, run_starts_of(instance)),
                bars,
            ):
                runs = LocalRuns(media, build_definitions(media, for_runs=True), instance)
                done = runs.work_off(on_wait=bars.wait, only=only, is_enough=is_enough)
                while trace_id and _is_more_left(media, trace_id, done, bars):
                    recover_runs(media, instance)
                    done = runs.work_off(on_wait=bars.wait, only=only, is_enough=is_enough)
    except KeyboardInterrupt:
        click.echo(_STOPPED if bars.has_interrupted else _STOPPED_IDLE, err=True)
        raise
    return done, bars


def _has_ended(media: MediaJobs, trace_id: str) -> bool:
    """Whether no job of a trace has anything to come."""
    return all(status.is_final for status, jobs in media.history.jobs.tally(trace_id).items() if jobs)


def _is_more_left(media: MediaJobs, trace_id: str, done: WorkedOff, bars: Bars) -> bool:
    """Wait while other processes have jobs of a trace; whether there may be something to do here after that."""
    jobs = media.history.jobs
    if _has_ended(media, trace_id):
        return False
    before = jobs.tally(trace_id)
    while (until := jobs.leased(trace_id).until) is not None:
        if until <= media.history.now() or jobs.tally(trace_id) != before:
            return True
        bars.wait_for_others(until)
        time.sleep(_LOOK_S)
    # What ended just now may have left follow-ups, or its job for another try.
    types = [each.name for each in media.registry if each.name not in done.held]
    return bool(types) and jobs.next_due(types) is not None


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


_LOOK_S = 0.5
"""How often jobs are looked at that another process has, seconds."""
_STOPPED = "Stopped. A job that was running goes back into the queue, and its attempt is recorded as cancelled."
_STOPPED_IDLE = "Stopped. Nothing was running, and what waits stays in the queue."

_WAITING = "waiting"
_ALL = "all"
_LEAST_LABEL, _BESIDE_LABEL = 24, 56
"""Columns that the label of a bar has at least, and that what stands beside it takes."""


class _Terminal(display.Terminal):
    """A console that falls silent when nobody reads it any more: the work goes on."""

    @override
    def on_broken_pipe(self) -> None:
        self.quiet = True


class Bars:
    """One line per attempt: a bar with percent, speed and ETA while it runs, its result when it has ended.

    Above them stands how many of the jobs are done.
    """

    def __init__(self, media: MediaJobs, *, quiet: bool) -> None:
        self._media = media
        self._whole = sum(waiting.jobs for waiting in media.history.jobs.waiting().values())
        self._done = 0
        self.attempts: list[str] = []
        """Ids of the attempts that have ended."""
        self._has_cancelled = False
        self.dead = 0
        """How many of them left their job dead."""
        # While a step runs, Dagster redirects standard error to a log file; our own descriptor still is the terminal.
        self._terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=_Terminal(file=self._terminal, highlight=False),
            disable=quiet,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        """The lines on the terminal, by attempt id."""
        self._stages: dict[str, str] = {}
        self._labels: dict[str, str] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        with suppress(BrokenPipeError):
            self._terminal.close()

    def __call__(self, record: Record) -> None:
        """Show a record."""
        match record:
            case AttemptStarted():
                self._drop(_WAITING)
                self._begin(record.key)
            case StageStarted():
                self._stages[record.key.attempt_id] = record.stage
                if record.key.attempt_id in self._tasks:
                    self._progress.update(self._tasks[record.key.attempt_id], detail=record.stage)
            case AttemptProgressed():
                self._show(record)
            case AttemptEnded():
                self._end(record)
            case JobQueued():
                self._whole += 1
            case _:
                pass

    @property
    def has_interrupted(self) -> bool:
        """Whether an attempt is under way, or was cancelled: by the interrupt that ends the work."""
        return bool(self._stages) or self._has_cancelled

    def _begin(self, key: AttemptKey) -> None:
        if self._progress.disable:
            return
        name = self._media.history.naming.of_subjects([key.subject_id]).get(key.subject_id, key.subject_id)
        label = self._labels[key.attempt_id] = f"{self._media.registry.noun(key.job_type)} {in_one_line(redact(name))}"
        self._tell_whole()
        room = max(_LEAST_LABEL, self._progress.console.width - _BESIDE_LABEL)
        self._tasks[key.attempt_id] = self._progress.add_task(shortened(label, room), total=1.0, detail="")

    def _tell_whole(self) -> None:
        """Show how many jobs are done, above all other lines."""
        if _ALL not in self._tasks and self._whole > 1:
            self._tasks[_ALL] = self._progress.add_task("", detail="")
        if _ALL in self._tasks:
            self._progress.update(
                self._tasks[_ALL],
                description=f"{self._done:,} of {self._whole:,}",
                total=self._whole,
                completed=self._done,
            )

    def _show(self, record: AttemptProgressed) -> None:
        progress, attempt_id = record.progress, record.key.attempt_id
        if progress.fraction is not None and attempt_id in self._tasks:
            speed = f"{progress.speed:.1f}x" if progress.speed else ""
            eta = f"ETA {progress.eta_s:.0f} s" if progress.eta_s is not None else ""
            detail = f"{self._stages[attempt_id]} {speed} {eta}"
            self._progress.update(self._tasks[attempt_id], completed=progress.fraction, detail=detail)

    def _end(self, outcome: AttemptEnded) -> None:
        self.attempts.append(outcome.attempt_id)
        self._has_cancelled |= outcome.status is AttemptStatus.CANCELLED
        self.dead += outcome.verdict.status is JobStatus.DEAD
        self._drop(outcome.attempt_id)
        self._stages.pop(outcome.attempt_id, None)
        label = self._labels.pop(outcome.attempt_id, outcome.key.subject_id)
        self._done += outcome.verdict.status.is_final
        self._tell_whole()
        line = display.cell(outcome.status).append(
            f"  {label}  {display.seconds(outcome.manifest.duration_ms)}", style="default"
        )
        if outcome.error:
            line.append(f"  {outcome.error.code}: {in_one_line(str(outcome.error))}", style="default")
        if outcome.verdict.pause_s is not None:
            line.append(f" It will be tried again in {display.span(outcome.verdict.pause_s)}.", style="default")
        self._print(line)

    def wait(self, due: datetime) -> None:
        """Show that nothing can run until `due`."""
        self._drop(_WAITING)
        detail = f"the next attempt starts at {due:%H:%M:%S} UTC"
        self._tasks[_WAITING] = self._progress.add_task("waiting for a retry", total=None, detail=detail)

    def wait_for_others(self, until: datetime) -> None:
        """Show that another process has a job that is wanted here; `until`: when its lease ends."""
        self._drop(_WAITING)
        detail = f"it answers for it until {until:%H:%M:%S} UTC, unless it goes on"
        self._tasks[_WAITING] = self._progress.add_task("another process is at work", total=None, detail=detail)

    def _print(self, line: object) -> None:
        if not self._progress.disable:
            self._progress.console.print(line, soft_wrap=True)

    def _drop(self, name: str) -> None:
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
