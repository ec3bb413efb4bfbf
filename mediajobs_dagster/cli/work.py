"""`mediajobs work`: run what is queued, here and now, with a progress bar for each attempt."""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

from mediajobs_dagster.attempts.observer import Observer
from mediajobs_dagster.attempts.outcome import Outcome
from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.session import Session
from mediajobs_dagster.media import progress as media
from mediajobs_dagster.models import Job, JobStatus

if TYPE_CHECKING:
    from mediajobs_dagster.orchestration.local_runs import WorkedOff


@click.command()
@display.json_option
@click.pass_obj
def work(session: Session, as_json: bool) -> None:
    """Run every queued job in this process, as real Dagster runs, until none is left.

    Failed jobs are waited for and tried again as their retry policy says. Ctrl-C puts what is under way back into the
    queue.
    """
    done, outcomes = work_off(session, quiet=as_json)
    dead = [outcome for outcome in outcomes if outcome.verdict.status is JobStatus.DEAD]
    if as_json:
        display.print_json(
            {
                "runs": done.runs,
                "failedRuns": done.failed_runs,
                "attempts": [outcome.manifest.to_json() for outcome in outcomes],
                "held": {name: held.reason for name, held in done.held.items()},
            }
        )
    else:
        console = display.console()
        console.print(
            f"{len(outcomes)} attempts in {done.runs} runs; {len(dead)} jobs are dead." if done.runs else _IDLE
        )
        elsewhere = sum(each[JobStatus.PROCESSING] for each in session.history.jobs.counts().values())
        if elsewhere:
            console.print(f"{elsewhere} jobs are being worked on elsewhere, or wait for a dead worker's lease to end.")
        for held in done.held.values():
            console.print(held.reason, style="yellow")
    if dead or done.held:
        raise click.exceptions.Exit(1)


_IDLE = "Nothing is queued. Enqueue something with [bold]mediajobs add VIDEO[/]."


def work_off(session: Session, *, quiet: bool) -> tuple[WorkedOff, list[Outcome]]:
    """Work off the queue with progress bars (on standard error, so that output can be piped)."""
    # Dagster takes more than a second to import; only this command needs it.
    from mediajobs_dagster.orchestration.build import build_definitions
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.local_runs import LocalRuns
    from mediajobs_dagster.orchestration.parts import Parts
    from mediajobs_dagster.orchestration.recovery import recover_runs

    signal.signal(signal.SIGTERM, _interrupt)
    bars = Bars(quiet=quiet)
    parts = Parts(session.registry, session.settings, bars)
    with bars, open_instance(session.settings) as instance:
        recover_runs(parts, instance)
        done = LocalRuns(parts, build_definitions(parts), instance).work_off(on_wait=bars.wait)
    return done, bars.outcomes


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


class Bars(Observer):
    """One line an attempt: a bar with percent, speed and ETA while it runs, the outcome when it is over."""

    def __init__(self, *, quiet: bool) -> None:
        self.outcomes: list[Outcome] = []
        # While a step runs, Dagster turns standard error into a log file; a descriptor of our own stays the terminal.
        self._terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(file=self._terminal, highlight=False),
            disable=quiet,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._terminal.close()

    @override
    def started(self, job: Job) -> None:
        self._drop_task()
        self._task = self._progress.add_task(_label(job), total=1.0, detail="")

    @override
    def stage(self, job: Job, name: str) -> None:
        if self._task is not None:
            self._progress.update(self._task, detail=name)

    @override
    def progress(self, job: Job, progress: media.Progress) -> None:
        if self._task is not None and progress.fraction is not None:
            speed = f"{progress.speed:.1f}x" if progress.speed else ""
            eta = f"ETA {progress.eta_s:.0f} s" if progress.eta_s is not None else ""
            self._progress.update(self._task, completed=progress.fraction, detail=f"ffmpeg {speed} {eta}")

    @override
    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._drop_task()
        manifest = outcome.manifest
        line = display.cell(outcome.status).append(
            f"  {_label(outcome.job)}  {display.seconds(manifest.duration_ms)}", style="default"
        )
        if outcome.error:
            line.append(f"  {outcome.error.code}: {outcome.error}", style="default")
        self._print(line)

    def wait(self, due: datetime) -> None:
        """Say until when nothing can be done."""
        self._drop_task()
        detail = f"the next attempt starts at {due:%H:%M:%S} UTC"
        self._task = self._progress.add_task("waiting for a retry", total=None, detail=detail)

    def _print(self, line: object) -> None:
        if not self._progress.disable:
            self._progress.console.print(line)

    def _drop_task(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def _label(job: Job) -> str:
    return f"{job.job_type} {job.id}"
