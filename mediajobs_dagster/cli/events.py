"""`mediajobs events`: what the sources of the settings have told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.history import EventFilter, JobFilter
from mediajobs_dagster.models import Event, EventStatus, JobStatus, utc_now
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.choices import check_span

_TITLE = 26
"""Columns that a title has at least: other columns are left out before."""
_COUNTED = 1000
"""How many earlier events are counted."""


@click.group(short_help="List and show scheduled events.")
def events() -> None:
    """List and show scheduled events, which `schedule_sync` takes from calendars and APIs.

    An EVENT is the id of one, the beginning of that, its id at the source, or its title or a part
    of it that no other has.
    """


@events.command("list")
@click.argument("title", required=False)
@click.option("--status", type=click.Choice([each.value for each in EventStatus]), help="Only those that stand so.")
@click.option("--source", metavar="NAME", help="Only those of this source.")
@click.option("--since", type=display.Moment(), help="Beginning at this time or later (UTC); default: a day ago.")
@click.option("--until", type=display.Moment(), help="Beginning before this time (UTC).")
@click.option("--all", "all_times", is_flag=True, help="Also those of long ago.")
@click.option("--removed", "with_removed", is_flag=True, help="Also those that their source does not have any more.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="EVENT_ID", help="List the events that follow this one: the next page.")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_events(
    media: MediaJobs,
    status: str | None,
    since: datetime | None,
    all_times: bool,
    limit: int,
    after: str | None,
    verbose: bool,
    as_json: bool,
    **conditions: Any,
) -> None:
    """List events, the earliest first; with TITLE, those whose title contains it, in any letter case."""
    begin = since or (None if all_times else utc_now() - timedelta(days=1))
    check_span(since, conditions["until"])
    chosen = EventFilter(status=EventStatus(status) if status else None, since=begin, **conditions)
    found = media.events.list(chosen, limit=limit, after=after)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print(_nothing(media, is_all=begin is None), markup=False)
        return
    columns = (
        *("Event", "Begins (UTC)", Column("Title", "name", least_width=_TITLE), "Stands"),
        *(Column("Source", rank=1), Column("Ends (UTC)", rank=2)),
    )
    short = {} if verbose else media.history.naming.short_ids_of_events([each.id for each in found])
    rows = [
        (short.get(each.id, each.id), _moment(each), each.title, _stands(each), each.source, _end(each))
        for each in found
    ]
    console.print(display.table(columns, rows, whole=verbose))
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].id}[/].")
    if since is None and begin and after is None:
        _tell_earlier(media, replace(chosen, since=None, until=begin))


@events.command("show")
@click.argument("event", metavar="EVENT")
@display.verbose_option
@display.json_option
@click.pass_obj
def show_event(media: MediaJobs, event: str, verbose: bool, as_json: bool) -> None:
    """Show one event: all that its source says of it."""
    found = media.events.show(event)
    if as_json:
        display.print_json(found)
        return
    fields = [
        *(("title", found.title), ("stands", _stands(found)), ("begins (UTC)", _moment(found))),
        *(("ends (UTC)", found.ends_at), ("takes part", ", ".join(found.participants) or None)),
        *(("source", found.source), ("id there", found.external_id), ("stored (UTC)", found.created_at)),
        *(("changed (UTC)", found.updated_at), ("seen (UTC)", found.seen_at), ("removed (UTC)", found.removed_at)),
    ]
    console = display.console()
    console.print(display.table(("", Column("", "text")), fields, title=f"Event {found.id}", whole=verbose))


def _tell_earlier(media: MediaJobs, earlier: EventFilter) -> None:
    found = len(media.events.list(earlier, limit=_COUNTED))
    if found:
        told = f"{found:,}{' or more' if found == _COUNTED else ''}"
        display.console().print(f"{told} earlier: add [bold]--all[/].")


def _nothing(media: MediaJobs, *, is_all: bool) -> str:
    if not media.events.list(EventFilter(with_removed=True), limit=1):
        return _none_at_all(media)
    return "No event matches. Use fewer filters." if is_all else "No event matches. Use fewer filters, or --all."


def _none_at_all(media: MediaJobs) -> str:
    if not (media.settings.calendars or media.settings.event_sources):
        return "There is no event. Name a source: MEDIAJOBS_CALENDARS or MEDIAJOBS_EVENT_SOURCES."
    latest = media.jobs(JobFilter(job_type="schedule_sync"), limit=1)
    if latest and latest[0].status is JobStatus.DEAD:
        return "No event is stored yet: the last sync failed. `mediajobs why schedule_sync` says why."
    return "No event is stored yet: `mediajobs run schedule_sync` takes them from their sources."


def _end(event: Event) -> str | None:
    return f"{event.ends_at:%Y-%m-%d %H:%M}" if event.ends_at else None


def _moment(event: Event) -> str:
    return f"{event.starts_at:%Y-%m-%d} all day" if event.is_all_day else f"{event.starts_at:%Y-%m-%d %H:%M}"


def _stands(event: Event) -> str:
    return "removed" if event.removed_at else event.status.value.replace("_", " ")
