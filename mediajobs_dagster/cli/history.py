"""`mediajobs history`: export the attempts, and show statistics of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, Any, TypeVar, cast

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.choices import checked_attempts
from mediajobs_dagster.cli.output_file import output_file
from mediajobs_dagster.history import AttemptFilter, StatisticsReport
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.system import MediaJobs

_PARQUET, _JOB_LOG = "parquet", "job-log"

_NONE = "none"
_ENDED = (AttemptStatus.SUCCESS, AttemptStatus.FAILURE, AttemptStatus.LOST)
"""What counts for the success rate."""

Command = TypeVar("Command", bound=Callable[..., Any])


def filters(command: Command) -> Command:
    """Add the options that select attempts."""
    options = (
        click.option("--type", "job_name", metavar="JOB_TYPE", help="Only this job type."),
        click.option(
            "--status",
            "statuses",
            multiple=True,
            type=click.Choice([status.value for status in AttemptStatus]),
            help="Only this status; can be repeated.",
        ),
        click.option("--trace", "trace_id", metavar="TRACE_ID", help="Only this trace."),
        click.option("--job", "job_id", metavar="JOB_ID", help="Only this job."),
        click.option("--run", "run_id", metavar="RUN_ID", help="Only this Dagster run."),
        click.option("--error", "error_code", metavar="CODE", help="Only this error code."),
        click.option("--since", type=display.Moment(), help="Started at this time or later (UTC)."),
        click.option("--until", type=display.Moment(), help="Started before this time (UTC)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _filter(statuses: Iterable[str], conditions: dict[str, Any]) -> AttemptFilter:
    return AttemptFilter(statuses=tuple(AttemptStatus(status) for status in statuses), **conditions)


@click.group()
def history() -> None:
    """Export the attempts, and show statistics of them."""


@history.command("export")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "jsonl", "csv", _PARQUET, _JOB_LOG]),
    default="jsonl",
    show_default=True,
    help="json: one array; jsonl: one object per line; csv, parquet: a table; job-log: an array with an entry for each "
    "job that has ended.",
)
@click.option("--manifests", is_flag=True, help="Include the manifests (json and jsonl only).")
@click.option(
    "--output",
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="File to write; default: standard output.",
)
@filters
@click.pass_obj
def export_history(
    media: MediaJobs, form: Any, manifests: bool, output: str, statuses: tuple[str, ...], **conditions: Any
) -> None:
    """Write the attempts, newest first, for scripts, spreadsheets, notebooks and jq."""
    is_binary = form == _PARQUET
    if is_binary and output == "-":
        raise click.UsageError("Parquet is not text. Give the file to write with --output.")
    if manifests and form not in ("json", "jsonl"):
        raise click.UsageError(f"--format {form} has no manifests: leave out --manifests, or use --format jsonl.")
    chosen = checked_attempts(media, _filter(statuses, conditions))
    with output_file(output, "wb" if is_binary else "w") as out:
        if is_binary:
            media.export_history_parquet(cast(IO[bytes], out), chosen)
        elif form == _JOB_LOG:
            media.export_job_log(out, chosen)
        else:
            media.export_history(out, form, chosen, with_manifest=manifests)


@history.command("stats")
@filters
@display.json_option
@click.pass_obj
def show_statistics(media: MediaJobs, as_json: bool, statuses: tuple[str, ...], **conditions: Any) -> None:
    """Show totals, success rate, durations, outputs, errors, stages and workers."""
    report = media.statistics(checked_attempts(media, _filter(statuses, conditions)))
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
    ended = sum(report.by_status[status] for status in _ENDED)
    return [
        ("attempts", report.attempts),
        *((status, count) for status, count in report.by_status.items() if count),
        ("success rate", f"{report.success_rate:.1%}" if ended else _NONE),
        ("average duration", display.seconds(round(report.duration_ms.average)) if ended else _NONE),
        ("median duration", display.seconds(round(report.duration_ms.p50)) if ended else _NONE),
        ("95th percentile", display.seconds(round(report.duration_ms.p95)) if ended else _NONE),
        ("files made", report.output_files),
        ("bytes made", display.size(report.output_bytes)),
        ("real-time factor", _NONE if report.rtf is None else f"{report.rtf:.2f}x"),
        ("CPU time", display.seconds(round(report.cpu_seconds * 1000))),
        ("bytes read", display.size(report.bytes_in)),
        ("bytes written", display.size(report.bytes_out)),
        ("wasted time", display.seconds(report.wasted_ms)),
    ]
