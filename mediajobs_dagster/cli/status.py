"""`mediajobs status`: how everything stands, on one screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.jobs import note_of
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.supervisor.exclusive import user_of
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.use_cases.overview import Overview

_EVERY_S = 2.0
_SHOWN = 10
"""How many running jobs are listed; --json has up to 500."""
_LITTLE = 0.05
"""A disk with less of it free is shown in red."""


@click.command(short_help="Show what waits, runs, is held back and has failed.")
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@display.verbose_option
@display.json_option
@click.pass_obj
def status(media: MediaJobs, watch: bool, verbose: bool, as_json: bool) -> None:
    """Show what waits, runs, is held back and has failed, and the room on the disks: one screen."""
    if watch and as_json:
        raise RequestError("--watch is for people. Call `mediajobs status --json` as often as you need it.")
    if as_json:
        display.print_json({"up": user_of(media.settings.home), **media.overview().to_json()})
        return
    console = display.console()
    if not watch:
        console.print(_screen(media, verbose=verbose))
        return
    with Live(_screen(media, verbose=verbose), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY_S)
            live.update(_screen(media, verbose=verbose), refresh=True)


def _screen(media: MediaJobs, *, verbose: bool) -> Group:
    found = media.overview()
    parts: list[RenderableType] = [_head(media, found), Text()]
    parts.append(_queues(found, whole=verbose) if found.queues else Text("No job waits or runs.\n"))
    if reasons := [each.reason for each in (*found.held, *found.quarantined)]:
        parts += [Text("Held back", style="bold"), *(display.line(reason, "yellow") for reason in reasons), Text()]
    if found.running:
        parts.append(_running(media, found, whole=verbose))
    if found.failures:
        parts.append(_failures(media, found, whole=verbose))
    return Group(*parts, *(_disk_lines(found)))


def _head(media: MediaJobs, found: Overview) -> Text:
    up = user_of(media.settings.home)
    known = f"up ({up})" if up else "not up here; `mediajobs up` or `mediajobs work` runs what is queued"
    if media.settings.celery_url:
        known = "on a cluster"
    workers = ", ".join(f"{host} works on {display.counted(number, 'job')}" for host, number in found.workers.items())
    return display.line(f"{found.at:%Y-%m-%d %H:%M:%S} UTC, {known}{f'; {workers}' if workers else ''}")


def _queues(found: Overview, *, whole: bool) -> RenderableType:
    rows = [
        (
            *(each.makes, each.lane, each.queued, each.paused, each.processing, each.dead),
            display.span((found.at - each.oldest_at).total_seconds()) if each.oldest_at else None,
        )
        for each in found.queues
    ]
    columns = ("Makes", Column("Lane", rank=1), "Queued", "Retry later", "Running", "Dead", "Oldest waits")
    return display.table(columns, rows, title="Queue", whole=whole)


def _running(media: MediaJobs, found: Overview, *, whole: bool) -> RenderableType:
    shown = found.running if whole else found.running[:_SHOWN]
    rows = [
        (
            each.named.job.id,
            media.registry.noun(each.named.job.job_type),
            each.named.label,
            note_of(each.named.job),
            display.span((found.at - each.attempt.started_at).total_seconds()),
            each.attempt.host,
        )
        for each in shown
    ]
    columns = ("Job", "Makes", Column("Of", "name"), Column("Progress", rank=1, below=True), Column("For", rank=2))
    more = f", {len(found.running) - len(shown)} more" if len(shown) < len(found.running) else ""
    return display.table((*columns, Column("On", rank=3)), rows, title=f"Running{more}", whole=whole)


def _failures(media: MediaJobs, found: Overview, *, whole: bool) -> RenderableType:
    rows = [
        (
            f"{each.attempt.created_at:%m-%d %H:%M:%S}",
            media.registry.noun(each.attempt.job_name),
            each.name,
            each.attempt.error_code,
            each.job_status,
            each.attempt.id,
        )
        for each in found.failures
    ]
    columns = (
        *("When (UTC)", "Makes", Column("Of", "name"), "Error"),
        *(Column("Job is now", rank=1, below=True), Column("Attempt", rank=2, below=True)),
    )
    return display.table(columns, rows, title="Latest failures", whole=whole)


def _disk_lines(found: Overview) -> list[Text]:
    places: dict[int, list[str]] = {}
    for disk in found.disks:  # two places on one disk are one line
        places.setdefault(disk.device, []).append(disk.what)
    by_device = {disk.device: disk for disk in found.disks}
    return [
        display.line(
            f"Disk of {' and '.join(places[device])}: {display.size(disk.free_bytes)} of "
            f"{display.size(disk.total_bytes)} free",
            "red" if disk.free_bytes < _LITTLE * disk.total_bytes else "dim",
        )
        for device, disk in by_device.items()
    ]
