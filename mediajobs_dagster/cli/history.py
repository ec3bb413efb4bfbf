"""`mediajobs history`: the attempts as data, and what they add up to."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.history import AttemptFilter, StatisticsReport
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.system import MediaJobs

_PARQUET = "parquet"

Command = TypeVar("Command", bound=Callable[..., Any])


def filters(command: Command) -> Command:
    """The options that say which attempts are meant."""
    options = (
        click.option("--type", "job_name", metavar="JOB_TYPE", help="Of this job type."),
        click.option(
            "--status",
            "statuses",
            multiple=True,
            type=click.Choice([status.value for status in AttemptStatus]),
            help="That ended so; can be repeated.",
        ),
        click.option("--trace", "trace_id", metavar="TRACE_ID", help="Of this trace."),
        click.option("--job", "job_id", metavar="JOB_ID", help="Of this job."),
        click.option("--run", "run_id", metavar="RUN_ID", help="Of this Dagster run."),
        click.option("--error", "error_code", metavar="CODE", help="With this error code."),
        click.option("--since", type=display.Moment(), help="Started at this time or later (UTC)."),
        click.option("--until", type=display.Moment(), help="Started before this time (UTC)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _filter(statuses: Iterable[str], conditions: dict[str, Any]) -> AttemptFilter:
    return AttemptFilter(statuses=tuple(AttemptStatus(status) for status in statuses), **conditions)


@contextmanager
def _output(name: str, mode: str) -> Generator[IO[Any]]:
    """The file to write, which appears when it is whole; `-` is the terminal."""
    path = Path(name)
    if name == "-" or (path.exists() and not path.is_file()):  # a pipe or a device is written to as it is
        with click.open_file(name, mode) as out:
            yield out
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with click.open_file(str(part), mode, encoding=None if "b" in mode else "utf-8") as out:
            yield out
        part.replace(path)
    except OSError as error:
        raise click.FileError(name, error.strerror) from error
    finally:
        part.unlink(missing_ok=True)


@click.group()
def history() -> None:
    """Export the attempts, and see what they add up to."""


@history.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "jsonl", "csv", _PARQUET]),
    default="jsonl",
    show_default=True,
    help="One array, an object a line, or a table.",
)
@click.option("--manifests", is_flag=True, help="With the manifests (not in a table).")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="File to write; default: the terminal.",
)
@filters
@click.pass_obj
def export_history(
    media: MediaJobs, form: Any, manifests: bool, output: str, statuses: tuple[str, ...], **conditions: Any
) -> None:
    """Write the attempts, the newest first, one an entry: for scripts, spreadsheets, notebooks and jq."""
    is_binary = form == _PARQUET
    if is_binary and output == "-":
        raise click.UsageError("Parquet is no text. Say with --output which file to write.")
    manifests = manifests and form in ("json", "jsonl")
    with _output(output, "wb" if is_binary else "w") as out:
        if is_binary:
            media.export_history_parquet(cast(IO[bytes], out), _filter(statuses, conditions))
        else:
            media.export_history(out, form, _filter(statuses, conditions), with_manifest=manifests)


@history.command("stats")
@filters
@display.json_option
@click.pass_obj
def show_statistics(media: MediaJobs, as_json: bool, statuses: tuple[str, ...], **conditions: Any) -> None:
    """Totals, success rate, durations, files made, errors, stages and workers."""
    report = media.statistics(_filter(statuses, conditions))
    if as_json:
        display.print_json(report)
        return
    console = display.console()
    console.print(display.table(("Figure", "Value"), _figures(report), title="Attempts"))
    if report.errors:
        console.print(display.table(("Error", "Attempts"), report.errors.items()))
    if report.stages:
        rows = [(stage.name, stage.count, f"{stage.average_ms:.0f}", f"{stage.p95_ms:.0f}") for stage in report.stages]
        console.print(display.table(("Stage", "Times", "Average ms", "p95 ms"), rows))
    if report.workers:
        console.print(display.table(("Worker", "Attempts"), report.workers.items()))


def _figures(report: StatisticsReport) -> list[tuple[str, object]]:
    return [
        ("attempts", report.attempts),
        *((status, count) for status, count in report.by_status.items() if count),
        ("success rate", f"{report.success_rate:.1%}"),
        ("average duration", display.seconds(round(report.duration_ms.average))),
        ("median duration", display.seconds(round(report.duration_ms.p50))),
        ("95th percentile", display.seconds(round(report.duration_ms.p95))),
        ("files made", report.output_files),
        ("bytes made", display.size(report.output_bytes)),
        ("real-time factor", "-" if report.rtf is None else f"{report.rtf:.2f}x"),
        ("CPU time", display.seconds(round(report.cpu_seconds * 1000))),
        ("bytes read", display.size(report.bytes_in)),
        ("bytes written", display.size(report.bytes_out)),
        ("wasted time", display.seconds(report.wasted_ms)),
    ]
