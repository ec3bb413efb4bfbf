"""`mediajobs ingest`: fetch videos by their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.callbacks import callback_of, callback_options
from mediajobs_dagster.cli.choices import PRIORITY
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.cli.videos import length_of
from mediajobs_dagster.job_types.base import MAX_ITEMS
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.use_cases.ingesting import Ingested

_SHOWN = 20


@click.command()
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, MAX_ITEMS), help="Take so many videos of a list at most.")
@click.option("--priority", type=PRIORITY, default=0, show_default=True, help="Higher goes first.")
@click.option("--force", is_flag=True, help="Fetch them again even if they were fetched before.")
@click.option("--trace", "trace_id", type=display.TraceId(), help="Put the jobs into this trace; default: a new one.")
@click.option("--dry-run", is_flag=True, help="Only say which videos would be fetched; nothing is changed.")
@callback_options
@display.json_option
@click.pass_obj
def ingest(
    media: MediaJobs,
    addresses: tuple[str, ...],
    limit: int | None,
    priority: int,
    force: bool,
    trace_id: str | None,
    dry_run: bool,
    callback_url: str | None,
    callback_events: tuple[str, ...],
    as_json: bool,
) -> None:
    """Fetch videos, each as one job; what is fetched is an upload, with the jobs that it is good for.

    ADDRESS is the page of a video at any site that yt-dlp knows, the http(s):// address of a media file, or the s3://
    address of an object. Of a playlist, a channel or a feed, each video is a job of its own. A video that was asked for
    before is not fetched again. Sites other than plain addresses and S3 need: pip install 'mediajobs[ingest]'.
    """
    asked = media.ingest(
        *addresses,
        limit=limit,
        dry_run=dry_run,
        priority=priority,
        force=force,
        trace_id=trace_id,
        callback=callback_of(callback_url, callback_events),
    )
    if as_json:
        display.print_json(asked)
    else:
        _print(asked)
    if not asked.videos:
        raise click.exceptions.Exit(1)


def _print(asked: Ingested) -> None:
    console = display.console()
    rows = [
        (
            *(each.video.title, each.video.site, length_of(each.video.duration_seconds)),
            *(_state(asked, created=each.created), each.job.id if each.job else None),
        )
        for each in asked.videos[:_SHOWN]
    ]
    if rows:
        columns = (Column("Video", "name"), Column("Site", rank=1), Column("Length", rank=2), "State", "Job")
        console.print(display.table(columns, rows))
    if len(asked.videos) > _SHOWN:
        console.print(f"and {len(asked.videos) - _SHOWN:,} more; --json lists all.")
    for each in asked.refused:
        console.print(display.line(f"{each.address}: {each.error.code}: {each.error.message}", "yellow"))
    known = len(asked.videos) - asked.created
    if asked.is_dry_run:
        console.print(f"Would be fetched: {asked.created:,}, fetched before: {known:,}. Nothing was changed.")
        return
    console.print(f"Videos to fetch: {asked.created:,}, asked for before: {known:,}, refused: {len(asked.refused):,}.")
    if asked.created:
        console.print(f"Watch them:  mediajobs jobs watch --trace {asked.trace_id}")
        console.print("Fetch them with [bold]mediajobs work[/]; a running [bold]mediajobs up[/] does so by itself.")


def _state(asked: Ingested, *, created: bool) -> str:
    if created:
        return "to be fetched" if asked.is_dry_run else "queued"
    return "known"
