"""`mediajobs attempt`: the manifest of one attempt, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from mediajobs_dagster.cli import display
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.manifest import InputMetrics, Manifest


_SHOWN_AS = {"downloadMs": "fetch", "uploadMs": "publish"}
"""What people know a part of the ledger as, where its name in JSON is another one."""


@click.command()
@click.argument("attempt_id")
@display.json_option
@click.pass_obj
def attempt(media: MediaJobs, attempt_id: str, as_json: bool) -> None:
    """Show one attempt: where its time went, its commands, what it read and wrote, and its errors.

    ATTEMPT_ID may also be the id of a job; its latest attempt is shown then.
    """
    manifest = media.attempt(attempt_id)
    if as_json:
        display.print_json(manifest)
        return
    console = display.console()
    console.print(display.table(("Field", "Value"), _summary(manifest), title=f"Attempt {attempt_id}"))
    _print_time(console, manifest)
    _print_commands(console, manifest)
    if manifest.s3_ops:
        rows = [(op.op, op.key, display.size(op.bytes), f"{op.duration_ms} ms", op.status) for op in manifest.s3_ops]
        console.print(display.table(("Operation", "Key", "Bytes", "Time", "Status"), rows, title="Storage"))
    if manifest.outputs:
        outputs = [(output.key, display.size(output.bytes), output.sha256) for output in manifest.outputs]
        console.print(display.table(("Output", "Bytes", "SHA-256"), outputs))
    for note in manifest.notes:
        console.print(Text(f"Note: {in_one_line(note)}"), soft_wrap=True)
    for error in manifest.errors:
        where = f" in stage {error.stage}" if error.stage else ""
        said = f"{error.code}{where} (blame: {error.blame}): {error.message}"
        console.print(Text(said, style="red"), soft_wrap=True)


def _summary(manifest: Manifest) -> list[tuple[str, object]]:
    metrics, shown = manifest.metrics, manifest.media
    return [
        ("job", f"{manifest.job_type} {manifest.job_id}, attempt {manifest.attempt}"),
        ("status", manifest.status),
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
        ("codecs", f"{shown.video_codec or 'no video'}, {shown.audio_codec or 'no audio'}" if shown else None),
        ("CPU", f"{metrics.cpu_pct_avg:.0f} % of one core while ffmpeg ran" if metrics.ffmpeg_ms else None),
        ("memory", f"{metrics.mem_rss_mb_max:.0f} MiB at the peak" if metrics.mem_rss_mb_max else None),
        ("host", f"{metrics.host.hostname} ({metrics.host.instance_type or 'type not known'})"),
        ("versions", f"mediajobs {manifest.versions.mediajobs or '–'}, ffmpeg {manifest.versions.ffmpeg or '–'}"),
    ]


def _media(shown: InputMetrics) -> str:
    picture = f", {shown.width}x{shown.height}" if shown.width and shown.height else ", no picture"
    return f"{shown.duration_seconds:.2f} s{picture}"


def _source(manifest: Manifest) -> str:
    summary = manifest.input_summary
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
    ]
    console.print(display.table(("Time", "", ""), rows))


def _print_commands(console: Console, manifest: Manifest) -> None:
    for command in manifest.ffmpeg_commands:
        speed = f", {command.speed:.1f}x" if command.speed else ""
        head = f"{command.status} (exit {command.exit_code}) in {command.duration_ms} ms{speed}, "
        head += f"{command.cpu_seconds:.2f} s of CPU"
        head += f", {command.max_rss_mb:.0f} MiB" if command.max_rss_mb else ""
        console.print(display.cell(command.status).append(head.removeprefix(command.status), style="dim"))
        display.print_command(console, command.argv)
        if command.status != "ok" and command.stderr_tail:
            console.print(Text(command.stderr_tail, style="dim"), soft_wrap=True)
    if manifest.ffmpeg_commands:
        console.print(
            "The guards, which every command has, are not shown; --json has each argv in full.\n", style="dim"
        )
