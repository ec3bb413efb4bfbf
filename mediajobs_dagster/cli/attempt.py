"""`mediajobs attempt`: the manifest of one attempt, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.jobs import progress_words
from mediajobs_dagster.cli.table import Column, Table
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.printable import in_a_list, in_one_line
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.manifest import InputMetrics, Manifest
    from mediajobs_dagster.use_cases.answers import AttemptDetails


_SHOWN_AS = {"downloadMs": "fetch", "uploadMs": "publish"}
"""What people know a part of the ledger as, where its name in JSON is another one."""


@click.command(short_help="Show one attempt: its result, its time, its commands.")
@click.argument("attempt", metavar="ATTEMPT")
@display.verbose_option
@display.json_option
@click.pass_obj
def attempt(media: MediaJobs, attempt: str, verbose: bool, as_json: bool) -> None:
    """Show one attempt: what came of it and why, where its time went, its commands, and what it read and wrote.

    ATTEMPT is the id of one, the beginning of that, or the id of its run. It may also name a job, as for `jobs show`;
    its latest attempt is shown then. With --verbose, filter graphs and checksums are shown too.
    """
    found = media.attempt(attempt)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    _print_result(console, found)
    if found.manifest is None:
        return
    manifest = found.manifest
    fields = [(name, value) for name, value in _summary(manifest) if value is not None]
    console.print(_fields([*fields, *_figures(manifest)], whole=verbose))
    _print_time(console, manifest)
    _print_commands(console, manifest, verbose=verbose)
    if manifest.s3_ops:
        rows = [(op.op, op.key, display.size(op.bytes), f"{op.duration_ms} ms", op.status) for op in manifest.s3_ops]
        columns = ("Operation", Column("Key", "name"), Column("Bytes", rank=2), Column("Time", rank=1), "Status")
        console.print(display.table(columns, rows, title="Storage", whole=verbose))
    if verbose and manifest.outputs:
        checksums = [(output.key, output.sha256) for output in manifest.outputs]
        console.print(display.table(("Output", "SHA-256"), checksums, whole=True))


def _print_result(console: Console, found: AttemptDetails) -> None:
    """What came of it first, in full: where the outputs are, or the reason."""
    row, manifest = found.attempt, found.manifest
    head = Text(f"Attempt {row.id}: ", style="bold").append_text(display.cell(row.status))
    of = f" of {in_one_line(found.name)}" if found.name else ""
    what = f"  {row.job_name}{of}, try {row.attempt}" if row.job_id else f"  {row.job_name}"
    console.print(head.append(what), soft_wrap=True)
    for place, output in zip(found.outputs, manifest.outputs if manifest else (), strict=True):
        gone = ", replaced since by a newer attempt" if found.is_replaced else ""
        console.print(Text(f"  {place}  ({display.size(output.bytes)}{gone})"), soft_wrap=True)
    for error in manifest.errors if manifest else ():
        where = f" in stage {error.stage}" if error.stage else ""
        said = f"  {error.code}{where} (blame: {error.blame}): {error.message}"
        console.print(Text(in_a_list(said), style="red"), soft_wrap=True)
    if manifest is None and row.error_code:
        console.print(Text(in_a_list(f"  {row.error_code}: {row.error}"), style="red"), soft_wrap=True)
    for note in manifest.notes if manifest else ():
        console.print(Text(f"  Note: {in_one_line(note)}", style="yellow"), soft_wrap=True)
    if not row.status.is_final:
        _print_progress(console, found)
    console.print()


def _print_progress(console: Console, found: AttemptDetails) -> None:
    row, progress = found.attempt, found.progress
    running = (utc_now() - row.started_at).total_seconds()
    since = f"  It has been running for {display.span(running)} on {row.host}"
    if progress is None:
        console.print(f"{since}; its first heartbeat has not arrived yet.")
        return
    console.print(f"{since}: {progress_words(progress)}, as of {progress.at:%H:%M:%S} UTC.")
    if progress.command:
        display.print_command(console, progress.command)


def _fields(fields: Sequence[tuple[str, object]], *, whole: bool) -> Table:
    return display.table(("", Column("", "text")), fields, whole=whole)


def _summary(manifest: Manifest) -> list[tuple[str, object]]:
    metrics, shown = manifest.metrics, manifest.media
    return [
        ("job", manifest.job_id),
        ("trace", manifest.trace_id),
        ("Dagster run", manifest.run_id),
        ("started (UTC)", manifest.started_at),
        (
            "duration",
            f"{display.seconds(manifest.duration_ms)}, after {display.seconds(manifest.queue_ms)} in the queue",
        ),
        ("real-time factor", f"{display.rtf(metrics.rtf)}, of the {metrics.rtf_basis}" if metrics.rtf else None),
        ("subject", _source(manifest)),
        ("media", _media(shown) if shown else None),
        ("CPU", f"{metrics.cpu_pct_avg:.0f} % of one core while ffmpeg ran" if metrics.ffmpeg_ms else None),
        ("memory", f"{metrics.mem_rss_mb_max:.0f} MiB at the peak" if metrics.mem_rss_mb_max else None),
        ("host", f"{metrics.host.hostname} ({metrics.host.instance_type or 'type not known'})"),
        ("versions", f"mediajobs {manifest.versions.mediajobs or '–'}, ffmpeg {manifest.versions.ffmpeg or '–'}"),
    ]


def _figures(manifest: Manifest) -> list[tuple[str, object]]:
    """What the job reported, but for tables."""
    told = {name: each for name, each in manifest.figures.items() if not isinstance(each, dict | list)}
    return [(display.words(name), display.figure(each)) for name, each in told.items()]


def _media(shown: InputMetrics) -> str:
    size = f"{shown.width}x{shown.height}" if shown.width and shown.height else None
    codecs = f"{shown.video_codec or 'no picture'}, {shown.audio_codec or 'no sound'}"
    return ", ".join(part for part in (f"{shown.duration_seconds:.2f} s", size, codecs) if part)


def _source(manifest: Manifest) -> str:
    summary = manifest.input_summary
    if "scheduledAt" in summary:
        return f"{summary['schedule']} at {summary['scheduledAt']}"
    if "timelineId" in summary:
        return f"timeline {summary['title']!r} ({summary['timelineId']})"
    return f"{summary.get('filename', '?')} ({summary.get('key', summary['subjectId'])})"


def _print_time(console: Console, manifest: Manifest) -> None:
    ledger = manifest.time_ledger.to_json()
    whole = max(1, manifest.duration_ms)
    rows = [
        (
            _SHOWN_AS.get(name, name.removesuffix("Ms")),
            f"{spent} ms",
            "" if name == "queueMs" else "█" * round(30 * spent / whole),
        )
        for name, spent in ledger.items()
        if spent or name != "ffmpegMs"
    ]
    console.print(display.table(("Time", "", ""), rows))


def _print_commands(console: Console, manifest: Manifest, *, verbose: bool) -> None:
    for command in manifest.ffmpeg_commands:
        speed = f", {command.speed:.1f}x" if command.speed else ""
        head = f"{command.status} (exit {command.exit_code}) in {command.duration_ms} ms{speed}, "
        head += f"{command.cpu_seconds:.2f} s of CPU"
        head += f", {command.max_rss_mb:.0f} MiB" if command.max_rss_mb else ""
        console.print(display.cell(command.status).append(head.removeprefix(command.status), style="dim"))
        display.print_command(console, command.argv, with_graph=verbose)
        if command.status != "ok" and command.stderr_tail:
            console.print(Text(command.stderr_tail, style="dim"), soft_wrap=True)
    if manifest.ffmpeg_commands:
        left_out = "The guards, which every command has, are" if verbose else "Guards and long filter graphs are"
        console.print(f"{left_out} not shown; --json has each argv in full.\n", style="dim")
