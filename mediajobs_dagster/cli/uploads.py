"""`mediajobs uploads`: list, show and delete the media that is known."""

from __future__ import annotations

from typing import Any

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.choices import checked_uploads
from mediajobs_dagster.cli.jobs import job_table
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import UploadFilter
from mediajobs_dagster.models import MediaInfo, Upload, UploadRole
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.system import MediaJobs


@click.group(short_help="List, show and delete uploads.")
def uploads() -> None:
    """List, show and delete the media files that were added or made.

    An UPLOAD is the id of one, the beginning of that, or its file name.
    """


@uploads.command("list")
@click.argument("name", required=False)
@click.option("--role", type=click.Choice([role.value for role in UploadRole]), help="Only sources, or only exports.")
@click.option("--trace", "trace_id", metavar="TRACE", help="Only this trace.")
@click.option("--since", type=display.Moment(), help="Added at this time or later (UTC).")
@click.option("--until", type=display.Moment(), help="Added before this time (UTC).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="UPLOAD_ID", help="List the uploads that follow this one: the next page.")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_uploads(
    media: MediaJobs,
    role: str | None,
    limit: int,
    after: str | None,
    verbose: bool,
    as_json: bool,
    **conditions: Any,
) -> None:
    """List uploads, newest first; with NAME, those whose file name contains it, in any letter case."""
    chosen = checked_uploads(media, UploadFilter(role=UploadRole(role) if role else None, **conditions))
    found = media.uploads(chosen, limit=limit, after=after)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print("No upload matches. Add some with [bold]mediajobs add VIDEO[/], or use fewer filters.")
        return
    columns = ("Upload", Column("File", "name"), Column("Holds", rank=1, below=True), Column("Size", rank=2))
    more = (Column("Added (UTC)", rank=3), Column("Role", rank=4), Column("Trace", rank=5))
    rows = [
        (
            *(each.id, each.filename, media_words(each.media_info), display.size(each.bytes)),
            *(each.created_at, each.role, each.trace_id),
        )
        for each in found
    ]
    console.print(display.table((*columns, *more), rows, whole=verbose))
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].id}[/].")


@uploads.command("show")
@click.argument("upload", metavar="UPLOAD")
@display.verbose_option
@display.json_option
@click.pass_obj
def show_upload(media: MediaJobs, upload: str, verbose: bool, as_json: bool) -> None:
    """Show one upload: what it holds, where it is, and its jobs and outputs."""
    found = media.upload(upload)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    fields = _fields(found.upload, found.place)
    title = f"Upload {found.upload.id}"
    console.print(display.table(("", Column("", "text")), fields, title=title, whole=verbose))
    if found.jobs:
        console.print(job_table(media, media.named(found.jobs), title="Jobs", whole=verbose))
    for place in found.outputs:
        console.print(place, markup=False, soft_wrap=True)


@uploads.command("delete")
@click.argument("upload", metavar="UPLOAD")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@display.json_option
@click.pass_obj
def delete_upload(media: MediaJobs, upload: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete one upload with its content and outputs; jobs that wait for it are cancelled.

    What lay in the storage before it was added stays there. Its jobs and attempts stay on record, and so do exports
    that were made of it; exports that still have to be made of it will fail.
    """
    planned = media.delete_upload(upload, dry_run=True)
    if not dry_run and not yes:
        if as_json:
            raise RequestError("With --json, nothing can be asked. Confirm with --yes, or look with --dry-run.")
        objects = display.counted(len(planned.keys), "object")
        click.confirm(
            f"Delete {in_one_line(planned.upload.filename)} ({planned.upload.id}) with {objects}?", abort=True, err=True
        )
    done = planned if dry_run else media.delete_upload(planned.upload.id)
    if as_json:
        display.print_json(done)
        return
    console = display.console()
    for key in done.keys:
        console.print(f"  {in_one_line(media.place_of(key))}", markup=False, soft_wrap=True)
    verb = "would be" if dry_run else "was" if len(done.keys) == 1 else "were"
    kept = " Its content lay in the storage before it was added, and stays." if done.is_source_kept else ""
    cancelled = f" {display.counted(len(done.cancelled), 'waiting job')} cancelled." if done.cancelled else ""
    objects = f"{display.counted(len(done.keys), 'object')} of {in_one_line(done.upload.filename)}"
    console.print(f"{objects} {verb} deleted.{cancelled}{kept}", markup=False)


def media_words(info: MediaInfo | None) -> str | None:
    """What a file holds, in a few words: `61.2 s, 1920x1080 h264, aac`; None: it was not probed."""
    if info is None:
        return None
    video, audio = info.main_video, info.main_audio
    picture = f"{video.upright_size[0]}x{video.upright_size[1]} {video.codec}" if video else None
    length = None if info.is_image else f"{info.duration_seconds:.1f} s"
    return ", ".join(part for part in (length, picture, audio and audio.codec) if part)


def _fields(upload: Upload, place: str) -> list[tuple[str, object]]:
    return [
        ("file", upload.filename),
        ("holds", media_words(upload.media_info)),
        ("size", display.size(upload.bytes)),
        ("role", upload.role),
        ("content", place),
        ("from", upload.origin),
        ("trace", upload.trace_id),
        ("added (UTC)", upload.created_at),
    ]
