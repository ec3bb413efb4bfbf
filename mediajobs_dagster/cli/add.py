"""`mediajobs add`: register media, one file or thousands, and enqueue the jobs on it."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from typing_extensions import override

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.callbacks import callback_of, callback_options
from mediajobs_dagster.cli.choices import PRIORITY
from mediajobs_dagster.cli.jobs import job_table
from mediajobs_dagster.cli.running import database_fault
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.cli.waiting import held_of
from mediajobs_dagster.errors import RequestError, StorageMissingError
from mediajobs_dagster.intake.adding import Added, AddingListener, Inspection
from mediajobs_dagster.intake.candidates import Candidate, Skipped
from mediajobs_dagster.printable import counted
from mediajobs_dagster.supervisor.exclusive import is_used
from mediajobs_dagster.system import MediaJobs

_SHOWN = 10
"""How many skipped files are printed; --json has all."""


@click.command(short_help="Register media files and enqueue their jobs.")
@click.argument("locations", nargs=-1, required=True, metavar="LOCATION...")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="JOB_TYPE",
    help="Only this job type; can be repeated. Default: all that fit the file.",
)
@click.option("--priority", type=PRIORITY, default=0, show_default=True, help="Higher goes first.")
@click.option("--force", is_flag=True, help="Make the outputs again even if they are up to date.")
@click.option("--trace", "trace_id", type=display.TraceId(), help="Put the jobs into this trace; default: a new one.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only these file names or paths, such as '*.mov'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these names or paths, such as 'drafts/*'.")
@click.option("--follow", is_flag=True, help="Follow links that lead out of a folder too.")
@callback_options
@click.option("--dry-run", is_flag=True, help="Only list what would be added.")
@display.json_option
@click.pass_obj
def add(
    media: MediaJobs,
    locations: tuple[str, ...],
    types: tuple[str, ...],
    priority: int,
    force: bool,
    trace_id: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    follow: bool,
    callback_url: str | None,
    callback_events: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Register media files and enqueue their jobs, all in one trace.

    LOCATION is a file, a folder (with everything below it), an s3:// address, or an s3:// address that ends with /
    (everything below it). An image that is named by itself is registered too, for use in timelines.

    An unchanged file is always the same upload: adding it again enqueues no job twice. So after an interruption, repeat
    the command. Files that are not media, and links that lead out of a folder, are skipped and listed. A single file is
    registered whatever it is; its attempts report what is wrong with it.
    """
    if not all(locations):
        raise RequestError("An empty name is no file and no folder. Write . for the working folder.")
    chosen, callback = types or None, callback_of(callback_url, callback_events)
    bars = IntakeBars(quiet=as_json)
    if dry_run:
        with bars:
            found = media.inspect(
                *locations, types=chosen, include=include, exclude=exclude, follow=follow, listener=bars
            )
        _print_inspection(found, as_json=as_json)
        return
    with bars:
        added = media.add(
            *locations,
            types=chosen,
            priority=priority,
            force=force,
            trace_id=trace_id,
            include=include,
            exclude=exclude,
            follow=follow,
            callback=callback,
            keep=as_json,  # there may be a hundred thousand uploads: keep them only if they are printed
            listener=bars,
        )
    if fault := database_fault(media):
        display.Terminal(stderr=True, highlight=False).print(fault, style="yellow", markup=False, soft_wrap=True)
    if as_json:
        display.print_json(added)
    elif added.is_single and added.uploads:
        _print_one(media, added, is_up=is_used(media.settings.home))
    else:
        _print_many(media, added, is_up=is_used(media.settings.home))
    if added.counts.restored and not as_json:
        what = counted(added.counts.restored, "upload")
        display.console().print(
            f"The content of {what} was gone from the storage, and is stored again. Retry what died of that: "
            f"[bold]mediajobs jobs retry --error {StorageMissingError.code}[/]"
        )
    if not added.counts.uploads:
        raise click.exceptions.Exit(1)


class IntakeBars(AddingListener):
    """A progress bar on standard error: files, bytes, speed and the time left."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = display.Terminal(stderr=True, highlight=False)
        columns = (
            *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[files]} files")),
            *(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
        )
        shown = not quiet and self._console.is_terminal
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not shown)
        self._task = self._progress.add_task("Looking for files", total=None, files="0")
        self._files = self._bytes = self._done = 0
        self._has_reported = False

    def __enter__(self) -> IntakeBars:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._progress.stop()
        if kind is KeyboardInterrupt and self._has_reported:
            raise click.exceptions.Exit(130) from None

    @override
    def found(self, candidate: Candidate) -> None:
        self._files += 1
        self._bytes += candidate.bytes
        self._progress.update(self._task, files=f"{self._files:,}")

    @override
    def searched(self) -> None:
        self._progress.update(self._task, description="Adding", total=self._bytes, completed=0)

    @override
    def moved(self, size: int) -> None:
        self._progress.advance(self._task, size)

    @override
    def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
        self._done += 1
        files = f"{self._done:,}/{self._files:,}"
        rest = candidate.bytes - moved
        if stored:
            self._progress.update(self._task, advance=rest, files=files)
            return
        self._bytes -= rest  # these bytes were not transferred, so they must not count as speed
        self._progress.update(self._task, total=self._bytes, files=files)

    @override
    def stopped(self, so_far: Added) -> None:
        self._progress.stop()
        self._console.print(
            f"Stopped. Added so far, with their jobs: {so_far.counts.uploads:,} of "
            f"{counted(so_far.counts.found, 'file')}. Repeat the command to add the rest; with --trace "
            f"{so_far.trace_id} it stays one trace."
        )
        self._has_reported = True


def _print_skipped(skips: Sequence[Skipped]) -> None:
    """Print the first skipped files and why; hidden files come last."""
    if not skips:
        return
    ordered = sorted(skips, key=lambda skipped: skipped.code == "HIDDEN")
    rows = [(skipped.location, skipped.code, skipped.reason) for skipped in ordered[:_SHOWN]]
    display.console().print(display.table((Column("Skipped", "name"), "Code", Column("Reason", "text")), rows))
    if len(skips) > _SHOWN:
        hidden = sum(skipped.code == "HIDDEN" for skipped in ordered[_SHOWN:])
        also = f", {hidden:,} of them hidden" if hidden else ""
        display.console().print(f"and {len(skips) - _SHOWN:,} more{also}; --json lists all.")


def _print_one(media: MediaJobs, whole: Added, *, is_up: bool) -> None:
    (added,) = whole.uploads
    upload = added.upload
    if not added.jobs:
        is_new = "was added" if added.created else "was registered before"
        display.console().print(f"Upload {upload.id} {is_new}. It has no jobs: it is an image, for timelines.")
        return
    jobs = media.named([entry.job for entry in added.jobs])
    display.console().print(job_table(media, jobs, title=f"Upload {upload.id}"))
    _print_next(media, whole.trace_id, any(entry.created for entry in added.jobs), is_up=is_up)


def _print_many(media: MediaJobs, added: Added, *, is_up: bool) -> None:
    _print_skipped(added.skipped)
    console, counts = display.console(), added.counts
    if not counts.uploads:
        console.print("Nothing was added: no media was found.")
        return
    console.print(
        f"Uploads added: {counts.uploads - counts.known:,}, registered before: {counts.known:,}, "
        f"skipped: {len(added.skipped):,}. Jobs enqueued: {counts.jobs:,}."
    )
    if counts.jobs:
        console.print(f"Watch them:  mediajobs jobs list --trace {added.trace_id}")
    if counts.with_jobs:
        _print_next(media, added.trace_id, counts.jobs > 0, is_up=is_up)


def _print_next(media: MediaJobs, trace_id: str, enqueued: bool, *, is_up: bool) -> None:
    if enqueued and is_up:
        text = "[bold]mediajobs up[/] is running and makes them now."
    elif enqueued:
        text = "Run them with [bold]mediajobs work[/]; a running [bold]mediajobs up[/] does so by itself."
    else:
        text = "Nothing new was enqueued: these jobs exist already. Run them again with [bold]--force[/]."
    console = display.console()
    console.print(text)
    for reason in held_of(media, trace_id) if enqueued else ():
        console.print(reason, style="yellow", markup=False)


def _print_inspection(inspection: Inspection, *, as_json: bool) -> None:
    if as_json:
        display.print_json(inspection)
        return
    rows = [
        (
            each.candidate.location,
            display.size(each.candidate.bytes),
            each.info and f"{each.info.duration_seconds:.1f} s",
            "known" if each.known else "new",
        )
        for each in inspection.files
    ]
    display.console().print(display.table((Column("File", "name"), "Size", "Length", "Upload"), rows))
    _print_skipped(inspection.skipped)
    new = sum(not each.known for each in inspection.files)
    known = len(inspection.files) - new
    display.console().print(f"Would be added: {new:,}, registered before: {known:,}. Nothing was changed.")
