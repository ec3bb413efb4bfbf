"""`mediajobs work`: run the queued jobs in this process, with a progress bar for each attempt."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.cli import display
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.records import AttemptKey, AttemptProgressed, AttemptStarted, Record, StageStarted
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.orchestration.local_runs import WorkedOff


@click.command()
@display.json_option
@click.pass_obj
def work(media: MediaJobs, as_json: bool) -> None:
    """Run every queued job in this process, as real Dagster runs, until none is left.

    Failed jobs are tried again as their retry policy says; the command waits for them. Ctrl-C stops it: jobs that are
    running go back into the queue.
    """
    done, bars = work_off(media, quiet=as_json)
    if as_json:
        _print_json(media, done, bars.attempts)
    else:
        _print(media, done, bars)
    if bars.dead or done.held:
        raise click.exceptions.Exit(1)


def _print(media: MediaJobs, done: WorkedOff, bars: Bars) -> None:
    """What was done, and what is left: each with the reason why."""
    console, counts = display.console(), media.history.jobs.counts()
    if done.runs:
        console.print(f"{len(bars.attempts)} attempts in {done.runs} runs; {bars.dead} jobs are dead.")
    elif not any(each[status] for each in counts.values() for status in _LEFT):
        console.print(_IDLE)
    if elsewhere := sum(each[JobStatus.PROCESSING] for each in counts.values()):
        console.print(f"{elsewhere} jobs are running elsewhere, or wait for the lease of a dead worker to end.")
    installed = {job_type.name for job_type in media.registry}
    for name, each in counts.items():
        waiting = each[JobStatus.QUEUED] + each[JobStatus.FAILED]
        reason = done.held[name].reason if name in done.held else None
        if waiting and name not in installed:
            reason = f"No job type {name} is installed here. Install the package that brings it."
        if waiting and reason:
            console.print(f"{waiting} {name} jobs are held back. {reason}", style="yellow", markup=False)


_LEFT = (JobStatus.QUEUED, JobStatus.FAILED, JobStatus.PROCESSING)
_IDLE = "Nothing is queued. Enqueue something with [bold]mediajobs add VIDEO[/]."


def _print_json(media: MediaJobs, done: WorkedOff, attempts: list[str]) -> None:
    """One JSON document. The manifests are written one by one, because thousands would not fit into memory."""
    click.echo(f'{display.json_text(done.to_json())[:-1]}, "attempts": [', nl=False)
    for number, attempt_id in enumerate(attempts):
        manifest = media.history.attempts.get(attempt_id).manifest
        click.echo(f"{',' if number else ''}\n{display.json_text(manifest)}", nl=False)
    click.echo("]}")


def work_off(media: MediaJobs, *, quiet: bool) -> tuple[WorkedOff, Bars]:
    """Run the queue until it is empty, with progress bars (on standard error, so that output can be piped).

    Raises KeyboardInterrupt on SIGINT and SIGTERM.
    """
    # Dagster takes more than a second to import, so only the commands that need it import it.
    from mediajobs_dagster.orchestration.build import build_definitions
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.local_runs import LocalRuns
    from mediajobs_dagster.orchestration.recovery import recover_runs

    media.check()  # before Dagster makes its own databases in the same folder
    signal.signal(signal.SIGTERM, _interrupt)
    bars = Bars(quiet=quiet)
    media.listen(bars)
    try:
        with open_instance(media.settings) as instance:
            recover_runs(media, instance)
            with bars:
                done = LocalRuns(media, build_definitions(media), instance).work_off(on_wait=bars.wait)
    except KeyboardInterrupt:
        click.echo(_STOPPED, err=True)
        raise
    return done, bars


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


_STOPPED = "Stopped. A job that was running goes back into the queue, and its attempt is recorded as cancelled."

_WAITING = "waiting"


class _Terminal(display.Terminal):
    """A console that falls silent when nobody reads it any more: the work goes on."""

    @override
    def on_broken_pipe(self) -> None:
        self.quiet = True


class Bars:
    """One line per attempt: a bar with percent, speed and ETA while it runs, its result when it has ended."""

    def __init__(self, *, quiet: bool) -> None:
        self.attempts: list[str] = []
        """Ids of the attempts that have ended."""
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
                self._tasks[record.key.attempt_id] = self._progress.add_task(_label(record.key), total=1.0, detail="")
            case StageStarted():
                self._stages[record.key.attempt_id] = record.stage
                self._progress.update(self._tasks[record.key.attempt_id], detail=record.stage)
            case AttemptProgressed():
                self._show(record)
            case AttemptEnded():
                self._end(record)
            case _:
                pass

    def _show(self, record: AttemptProgressed) -> None:
        progress, attempt_id = record.progress, record.key.attempt_id
        if progress.fraction is not None:
            speed = f"{progress.speed:.1f}x" if progress.speed else ""
            eta = f"ETA {progress.eta_s:.0f} s" if progress.eta_s is not None else ""
            detail = f"{self._stages[attempt_id]} {speed} {eta}"
            self._progress.update(self._tasks[attempt_id], completed=progress.fraction, detail=detail)

    def _end(self, outcome: AttemptEnded) -> None:
        self.attempts.append(outcome.attempt_id)
        self.dead += outcome.verdict.status is JobStatus.DEAD
        self._drop(outcome.attempt_id)
        self._stages.pop(outcome.attempt_id, None)
        line = display.cell(outcome.status).append(
            f"  {_label(outcome.key)}  {display.seconds(outcome.manifest.duration_ms)}", style="default"
        )
        if outcome.error:
            line.append(f"  {outcome.error.code}: {in_one_line(str(outcome.error))}", style="default")
        self._print(line)

    def wait(self, due: datetime) -> None:
        """Show that nothing can run until `due`."""
        self._drop(_WAITING)
        detail = f"the next attempt starts at {due:%H:%M:%S} UTC"
        self._tasks[_WAITING] = self._progress.add_task("waiting for a retry", total=None, detail=detail)

    def _print(self, line: object) -> None:
        if not self._progress.disable:
            self._progress.console.print(line)

    def _drop(self, name: str) -> None:
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))


def _label(key: AttemptKey) -> str:
    return f"{key.job_type} {key.job_id}"
