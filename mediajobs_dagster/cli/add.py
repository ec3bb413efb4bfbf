"""`mediajobs add`: taking media in, one file or thousands, and asking for the jobs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from typing_extensions import override

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.jobs import job_table
from mediajobs_dagster.cli.session import Session
from mediajobs_dagster.errors import FfmpegMissingError, MediaJobsError, RequestError
from mediajobs_dagster.history import Registered
from mediajobs_dagster.intake.batch import BatchIntake, Inspected, Listener, Prober
from mediajobs_dagster.intake.candidates import Candidate, Skipped
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.journal import journals_of
from mediajobs_dagster.intake.search import Search, is_folder
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import JsonObject, SubjectKind, new_trace_id
from mediajobs_dagster.storage.local import LocalStorage

_SHOWN = 10
"""Skipped files that people are shown; --json has all."""


@click.command()
@click.argument("locations", nargs=-1, required=True, metavar="LOCATION...")
@click.option("--type", "types", multiple=True, metavar="JOB_TYPE", help="Only these job types; default: all.")
@click.option("--priority", default=0, show_default=True, help="Higher goes first.")
@click.option("--force", is_flag=True, help="Make the outputs again even if they are up to date.")
@click.option("--trace", "trace_id", type=display.TraceId(), help="Belong to this trace; default: a new one.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only files of these names or paths, such as '*.mov'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not these names or paths, such as 'drafts/*'.")
@click.option("--dry-run", is_flag=True, help="Only list what would be added.")
@display.json_option
@click.pass_obj
def add(
    session: Session,
    locations: tuple[str, ...],
    types: tuple[str, ...],
    priority: int,
    force: bool,
    trace_id: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Register videos and enqueue their jobs, all of them as one trace.

    LOCATION is a file, a folder (with all below it), an s3:// address, or one that ends with / for all below it.
    An image that is named is registered too, for use in timelines.

    The same file, unchanged, is the same upload: adding it again enqueues nothing twice, so an addition that was
    interrupted is simply repeated. What is no media is skipped and listed; a single file is registered whatever it is,
    and its attempts tell what is wrong with it.
    """
    order = order_of(session, types, priority=priority, force=force, trace_id=trace_id)
    intake = CommandLineIntake(session, locations, order, quiet=as_json, include=include, exclude=exclude)
    if dry_run:
        _print_inspected(intake.inspect(), intake.counts.skips, as_json=as_json)
        return
    counts = intake.take()
    if as_json:
        display.print_json(counts.to_json(order.trace_id))
    elif intake.single and counts.kept:
        _print_one(counts.kept[0])
    else:
        _print_many(counts, order.trace_id)
    if not counts.uploads:
        raise click.exceptions.Exit(1)


def _of_uploads(session: Session, name: str) -> JobType:
    job_type = session.registry[name]
    if job_type.subject is not SubjectKind.UPLOAD:
        raise RequestError(f"{name} is not made of an upload. Ask for it with `mediajobs export TIMELINE`.")
    return job_type


def order_of(
    session: Session, types: Sequence[str], *, priority: int = 0, force: bool = False, trace_id: str | None = None
) -> Order:
    """What is asked for; without `types`, one job of every type."""
    return Order(
        tuple(_of_uploads(session, name) for name in types) or session.registry.of_uploads(),
        by_name=bool(types),
        trace_id=trace_id or new_trace_id(),
        priority=priority,
        max_attempts=session.settings.max_attempts,
        force=force,
    )


class CommandLineIntake:
    """One intake with a progress bar on standard error."""

    def __init__(
        self,
        session: Session,
        locations: Sequence[str],
        order: Order,
        *,
        quiet: bool,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> None:
        self.single = len(locations) == 1 and not is_folder(locations[0])
        """Whether one file was asked for by its name: it is registered whatever it is."""
        self._named = not any(is_folder(location) for location in locations)
        self._session, self._locations, self._order = session, locations, order
        own = [session.settings.scratch]
        if isinstance(session.storage, LocalStorage):
            own.append(session.storage.root)
        self._search = Search(session.storage, tuple(session.registry), tuple(own), include, exclude)
        self._console = Console(stderr=True, highlight=False)
        columns = (
            *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[files]} files")),
            *(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
        )
        shown = not quiet and self._console.is_terminal
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not shown)
        # Everything is kept only where it will be printed: an intake may be of a hundred thousand files.
        self.counts = IntakeCounts(self._progress, keep=quiet or self.single)

    def take(self) -> IntakeCounts:
        """Take everything in. Raises as the search and the intake do; what was registered by then stays."""
        with self._progress:
            batch = self._batch()
            candidates = self._find()
            try:
                batch.take(candidates)
            except (KeyboardInterrupt, MediaJobsError) as error:
                self._progress.stop()
                self._console.print(self._kept(len(candidates)))
                if isinstance(error, KeyboardInterrupt):
                    raise click.exceptions.Exit(130) from None
                raise
        return self.counts

    def inspect(self) -> list[Inspected]:
        """What would become of each file."""
        with self._progress:
            inspected = self._batch().inspect(self._find())
            return sorted(inspected, key=lambda each: each.candidate.location)

    def _find(self) -> list[Candidate]:
        candidates: list[Candidate] = []
        for find in self._search.find(self._locations):
            if isinstance(find, Skipped):
                self.counts.skipped(find)
            else:
                candidates.append(find)
                self.counts.found(find)
        self.counts.begin()
        return candidates

    def _batch(self) -> BatchIntake:
        session = self._session
        try:
            prober = Prober.from_settings(session.settings, images=self._named)
        except FfmpegMissingError:
            if not self.single:
                raise
            prober = None  # the attempts will say so, on record
        return BatchIntake(
            Intake(session.history, session.storage),
            self._order,
            prober,
            journals_of(session.settings),
            even_if_not_media=self.single,
            listener=self.counts,
        )

    def _kept(self, found: int) -> str:
        return (
            f"Not all was added: {self.counts.uploads:,} of {found:,} files are, and their jobs are queued. Repeat the "
            f"command to go on where it stopped; with --trace {self._order.trace_id} it stays one trace."
        )


class IntakeCounts(Listener):
    """Counts what comes of an intake, and shows how it gets on."""

    def __init__(self, progress: Progress, *, keep: bool) -> None:
        self.uploads = 0
        """Registered now or earlier."""
        self.known = 0
        """Registered earlier."""
        self.with_jobs = 0
        """Those among them that have jobs; images have none."""
        self.jobs = 0
        """Enqueued now."""
        self.skips: list[Skipped] = []
        self.kept: list[tuple[Registered, bool]] = []
        """With `keep`: what was registered, and whether it was known."""
        self._keep = keep
        self._progress = progress
        self._task = progress.add_task("Looking for files", total=None, files="0")
        self._files = self._bytes = self._done = 0

    def found(self, candidate: Candidate) -> None:
        """A file is to be taken in."""
        self._files += 1
        self._bytes += candidate.bytes
        self._progress.update(self._task, files=f"{self._files:,}")

    def begin(self) -> None:
        """All files are found."""
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
        self._bytes -= rest  # nothing was moved, which must not count as speed
        self._progress.update(self._task, total=self._bytes, files=files)

    @override
    def registered(self, found: Sequence[Registered], *, known: bool) -> None:
        self.uploads += len(found)
        self.known += len(found) if known else 0
        self.with_jobs += sum(bool(each.jobs) for each in found)
        self.jobs += sum(entry.created for each in found for entry in each.jobs)
        if self._keep:
            self.kept += [(each, known) for each in found]

    @override
    def skipped(self, skipped: Skipped) -> None:
        self.skips.append(skipped)

    def to_json(self, trace_id: str) -> JsonObject:
        """All of it, for scripts."""
        return {
            "traceId": trace_id,
            "uploads": [{**each.upload.to_json(), "created": not known} for each, known in self.kept],
            "jobs": [{**entry.job.to_json(), "created": entry.created} for each, _ in self.kept for entry in each.jobs],
            "skipped": [asdict(skipped) for skipped in self.skips],
        }


def print_skipped(skips: Sequence[Skipped]) -> None:
    """The first skipped files and why, those first that might surprise."""
    if not skips:
        return
    ordered = sorted(skips, key=lambda skipped: skipped.code == "HIDDEN")
    rows = [(skipped.location, skipped.code, skipped.reason) for skipped in ordered[:_SHOWN]]
    display.console().print(display.table(("Skipped", "Code", "Reason"), rows))
    if len(skips) > _SHOWN:
        hidden = sum(skipped.code == "HIDDEN" for skipped in ordered[_SHOWN:])
        also = f", {hidden:,} of them hidden" if hidden else ""
        display.console().print(f"and {len(skips) - _SHOWN:,} more{also}; --json lists all.")


def _print_one(kept: tuple[Registered, bool]) -> None:
    registered, known = kept
    if not registered.jobs:
        is_new = "was known before" if known else "is added"
        display.console().print(f"Upload {registered.upload.id} {is_new}: an image, for timelines. It has no jobs.")
        return
    display.console().print(job_table([entry.job for entry in registered.jobs], title=f"Upload {registered.upload.id}"))
    _print_next(any(entry.created for entry in registered.jobs))


def _print_many(counts: IntakeCounts, trace_id: str) -> None:
    print_skipped(counts.skips)
    console = display.console()
    if not counts.uploads:
        console.print("Nothing was added: there is no media here that can be taken in.")
        return
    console.print(
        f"Uploads added: {counts.uploads - counts.known:,}, known before: {counts.known:,}, "
        f"skipped: {len(counts.skips):,}. Jobs enqueued: {counts.jobs:,}."
    )
    if counts.jobs:
        console.print(f"Watch them:  mediajobs jobs list --trace {trace_id}")
    if counts.with_jobs:
        _print_next(counts.jobs > 0)


def _print_next(enqueued: bool) -> None:
    if enqueued:
        text = "Run them with [bold]mediajobs work[/], or let [bold]mediajobs up[/] do it."
    else:
        text = "Nothing new was enqueued: these jobs exist already. Make them again with [bold]--force[/]."
    display.console().print(text)


def _print_inspected(inspected: Sequence[Inspected], skips: Sequence[Skipped], *, as_json: bool) -> None:
    skips = [*skips, *(each.fault for each in inspected if each.fault)]
    found = [each for each in inspected if not each.fault]
    if as_json:
        display.print_json({"files": [_to_json(each) for each in found], "skipped": [asdict(each) for each in skips]})
        return
    rows = [
        (
            each.candidate.location,
            display.size(each.candidate.bytes),
            each.info and f"{each.info.duration_seconds:.1f} s",
            "known" if each.known else "new",
        )
        for each in found
    ]
    display.console().print(display.table(("File", "Size", "Length", "Upload"), rows))
    print_skipped(skips)
    new = sum(not each.known for each in found)
    display.console().print(f"{new:,} uploads would be added, {len(found) - new:,} are known; nothing was touched.")


def _to_json(each: Inspected) -> JsonObject:
    return {
        "location": each.candidate.location,
        "bytes": each.candidate.bytes,
        "durationSeconds": each.info and each.info.duration_seconds,
        "known": each.known,
    }
