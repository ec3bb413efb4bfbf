"""`mediajobs videos`: what discovery found, which events it is of and why, and a word against it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.history import VideoFilter
from mediajobs_dagster.models import VideoMatch
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.videos import VideoDetails

_TITLE = 30
"""Columns that a title has at least: other columns are left out before."""
_SHOWN = 3
"""How many of the events that a video was compared with are shown."""


@click.group(short_help="List the videos that were found, link them to events.")
def videos() -> None:
    """List and show the videos that discovery found, and link them to their events.

    A VIDEO is the id of one, the beginning of that, its id or page at its site, or its title or a part of it. An
    EVENT is the id of one, the beginning of that, its id at its source, or its title or a part of it.
    """


@videos.command("list")
@click.argument("title", required=False)
@click.option("--channel", help="Only of this channel: its id or its name.")
@click.option("--event", metavar="EVENT", help="Only those that are linked to this event.")
@click.option("--linked/--unlinked", default=None, help="Only those with, or without, an event.")
@click.option("--for", "wanted_for", metavar="EVENT", help="The candidates for this event, with their scores.")
@click.option("--since", type=display.Moment(), help="Found at this time or later (UTC).")
@click.option("--removed", is_flag=True, help="Also those that their site does not have any more.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="VIDEO_ID", help="List the videos that follow this one: the next page.")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_videos(
    media: MediaJobs,
    title: str | None,
    channel: str | None,
    event: str | None,
    linked: bool | None,
    wanted_for: str | None,
    since: datetime | None,
    removed: bool,
    limit: int,
    after: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """List videos, the newest found first; with TITLE, those whose title contains it, in any letter case."""
    if wanted_for is not None:
        _list_candidates(media, wanted_for, limit=limit, whole=verbose, as_json=as_json)
        return
    event_id = media.references.event(event).id if event is not None else None
    chosen = VideoFilter(title, channel, event_id, linked, since, with_removed=removed)
    found = media.videos.list(chosen, limit=limit, after=after)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print("No video matches. [bold]mediajobs run video_discovery[/] looks for some; or use fewer filters.")
        return
    rows = [
        (
            *(each.video.external_id, each.video.title, each.event.title if each.event else None),
            *(length_of(each.video.duration_seconds), each.video.channel, _minute(each.video.published_at)),
            *(each.video.found_by, each.video.linked_by, each.video.id),
        )
        for each in found
    ]
    columns = (
        *("Video", Column("Title", "name", least_width=_TITLE), Column("Event", "name"), Column("Length", rank=1)),
        *(Column("Channel", "name", rank=2), Column("Published (UTC)", rank=3), Column("Found by", rank=4)),
        *(Column("Linked by", rank=5), Column("Id", rank=6)),
    )
    console.print(display.table(columns, rows, whole=verbose))
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].video.id}[/].")


def _list_candidates(media: MediaJobs, event: str, *, limit: int, whole: bool, as_json: bool) -> None:
    found = media.videos.candidates(event, limit=limit)
    if as_json:
        display.print_json(found)
        return
    if not found:
        display.console().print("No video came into question for this event so far.")
        return
    rows = [(each.video.external_id, _score(each.match), each.video.title, _why(each.match)) for each in found]
    columns = ("Video", "Score", Column("Title", "name"), Column("Why", "text"))
    title = f"Candidates for {found[0].event.title}"
    display.console().print(display.table(columns, rows, title=title, whole=whole))


@videos.command("show")
@click.argument("video", metavar="VIDEO")
@display.verbose_option
@display.json_option
@click.pass_obj
def show_video(media: MediaJobs, video: str, verbose: bool, as_json: bool) -> None:
    """Show one video: what is known of it, its event, and how well it fits others, with the reasons."""
    _print(media.videos.show(video), whole=verbose, as_json=as_json)


@videos.command("link")
@click.argument("video", metavar="VIDEO")
@click.argument("event", metavar="EVENT")
@display.json_option
@click.pass_obj
def link_video(media: MediaJobs, video: str, event: str, as_json: bool) -> None:
    """Link a video to an event. Discovery never changes what a person has linked."""
    _print(media.videos.link(video, event), whole=False, as_json=as_json)


@videos.command("unlink")
@click.argument("video", metavar="VIDEO")
@display.json_option
@click.pass_obj
def unlink_video(media: MediaJobs, video: str, as_json: bool) -> None:
    """Say that a video is of no event. Discovery never links it again; the event may get another video."""
    _print(media.videos.unlink(video), whole=False, as_json=as_json)


def _print(details: VideoDetails, *, whole: bool, as_json: bool) -> None:
    if as_json:
        display.print_json(details)
        return
    console, video, event = display.console(), details.found.video, details.found.event
    fields = [
        ("title", video.title),
        ("page", video.address),
        ("channel", " ".join(f"{video.channel or ''} ({video.channel_id})".split()) if video.channel_id else None),
        ("published (UTC)", video.published_at),
        ("length", length_of(video.duration_seconds)),
        ("event", f"{event.title}, {event.starts_at:%Y-%m-%d %H:%M} UTC" if event else None),
        ("linked", _linked(details)),
        ("found", f"by {video.found_by}, in {video.found_in}, at {video.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("id", video.id),
    ]
    fields += [("gone since (UTC)", video.removed_at)] if video.removed_at else []
    title = f"Video {in_one_line(video.external_id)}"
    console.print(display.table(("", Column("", "text")), fields, title=title, whole=whole))
    shown = details.candidates if whole else details.candidates[:_SHOWN]
    for each in shown:
        rows = [
            (reason.feature, f"{reason.score:.2f}", f"×{reason.weight:g}", reason.said) for reason in each.match.reasons
        ]
        begins = f"{each.event.starts_at:%Y-%m-%d %H:%M} UTC"
        heading = f"{each.match.score:.2f} for {each.event.title}, {begins}"
        columns = (*map(Column, ("", "", "")), Column("", "text"))
        console.print(display.table(columns, rows, title=heading, whole=whole))
    if more := len(details.candidates) - len(shown):
        console.print(f"It was compared with {display.counted(more, 'event')} more: [bold]--verbose[/] shows them.")


def _linked(details: VideoDetails) -> str | None:
    video = details.found.video
    if video.linked_by is None or video.linked_at is None:
        return None
    said = f"by {'a person' if video.linked_by == 'person' else 'matching'} at {video.linked_at:%Y-%m-%d %H:%M:%S} UTC"
    return said if video.event_id else f"to no event, {said}"


def _minute(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else None


def length_of(seconds: float | None) -> str | None:
    """A length in hours, minutes and seconds; None where it is unknown."""
    if seconds is None:
        return None
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _score(match: VideoMatch) -> str:
    return f"{match.score:.2f}"


def _why(match: VideoMatch) -> str:
    return ", ".join(f"{reason.feature} {reason.score:.2f}" for reason in match.reasons)
