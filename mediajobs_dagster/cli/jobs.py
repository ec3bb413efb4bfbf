"""`mediajobs jobs`: list and show jobs, retry and cancel them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.choices import checked_jobs
from mediajobs_dagster.cli.table import Column, Table
from mediajobs_dagster.cli.why import lines_of
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import Attempt, Job, JobProgress, JobStatus, utc_now
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.use_cases.references import NamedJob


@click.group()
def jobs() -> None:
    """List, watch and show jobs, retry and cancel them.

    A JOB is the id of one, the beginning of that, the id of its attempt or run, or a file name or title that only one
    job is about. Where several can be meant, they are listed.
    """


@jobs.command("list")
@click.option("--type", "job_type", metavar="JOB_TYPE", help="Only this job type.")
@click.option("--status", "statuses", multiple=True, type=display.STATUSES, help="Only this status; can be repeated.")
@click.option("--trace", "trace_id", metavar="TRACE", help="Only this trace.")
@click.option(
    "--subject",
    "--upload",
    "subject_id",
    metavar="SUBJECT",
    help="Only this subject: an upload or a timeline, by its id, file name or title.",
)
@click.option("--error", "error_code", metavar="CODE", help="Only this error code.")
@click.option("--since", type=display.Moment(), help="Created at this time or later (UTC).")
@click.option("--until", type=display.Moment(), help="Created before this time (UTC).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="JOB_ID", help="List the jobs that follow this one: the next page.")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_jobs(
    media: MediaJobs,
    statuses: tuple[str, ...],
    limit: int,
    after: str | None,
    verbose: bool,
    as_json: bool,
    **conditions: Any,
) -> None:
    """List jobs, newest first."""
    chosen = JobFilter(statuses=tuple(JobStatus(status) for status in statuses), **conditions)
    found = media.named(media.jobs(checked_jobs(media, chosen), limit=limit, after=after))
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print("No job matches. Enqueue some with [bold]mediajobs add VIDEO[/], or use fewer filters.")
        return
    console.print(job_table(media, found, whole=verbose))
    waiting = {each.job.job_type for each in found if each.job.status.is_waiting}
    for held in media.held() if waiting else ():
        if held.job_type in waiting:
            console.print(held.reason, style="yellow", markup=False)
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].job.id}[/].")


@jobs.command("show")
@click.argument("job", metavar="JOB")
@display.verbose_option
@display.json_option
@click.pass_obj
def show_job(media: MediaJobs, job: str, verbose: bool, as_json: bool) -> None:
    """Show one job, its attempts and its children."""
    found = media.job(job)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    console.print(
        display.table(("", Column("", "text")), _fields(media, found.named), title=f"Job {found.job.id}", whole=verbose)
    )
    told = lines_of(media.why(found.job.id))
    for line in told:
        console.print(line, markup=False)
    console.print()
    console.print(_attempt_table(found.attempts, told=" ".join(told), whole=verbose))
    if found.children:
        console.print(job_table(media, found.children, title="Children", whole=verbose))
    if found.attempts:
        console.print(f"Everything about the latest attempt: [bold]mediajobs attempt {found.attempts[-1].id}[/]")


_COLUMNS = (
    Column("Job"),
    Column("Makes"),
    Column("Status"),
    Column("Of", "name"),
    Column("Note", "text", rank=1, below=True),
    Column("Created (UTC)", rank=2),
    Column("Tries", rank=3),
    Column("Trace", rank=4),
)


def job_table(media: MediaJobs, found: Sequence[NamedJob], *, title: str | None = None, whole: bool = False) -> Table:
    """A table of jobs, one per row."""
    rows = [
        (
            each.job.id,
            media.registry.noun(each.job.job_type),
            each.job.status,
            each.label,
            note_of(each.job),
            each.job.created_at,
            tries_of(each.job, "/"),
            each.job.trace_id,
        )
        for each in found
    ]
    return display.table(_COLUMNS, rows, title=title, whole=whole)


def note_of(job: Job) -> str | None:
    """Its error, when it is tried again, or how far it is; None: nothing to say."""
    if job.status is JobStatus.PROCESSING:
        return job.progress and progress_words(job.progress)
    if job.status is JobStatus.FAILED and job.not_before:
        again = f"next try {job.not_before:%H:%M:%S}" if job.not_before > utc_now() else "its next try is due"
        return f"{job.error_code}, {again}"
    return job.error_code


def tries_of(job: Job, of: str) -> str:
    """How many attempts it has had, of how many; attempts in an outage count for nothing, so there may be more."""
    return f"{job.attempts}{of}{job.max_attempts}" if job.attempts <= job.max_attempts else str(job.attempts)


def progress_words(progress: JobProgress) -> str:
    """Percent, speed, time left and stage, as far as they are known."""
    words = [
        f"{progress.fraction:.0%}".replace("%", " %") if progress.fraction is not None else None,
        f"{progress.speed:.1f}x" if progress.speed else None,
        f"ETA {display.span(progress.eta_s)}" if progress.eta_s is not None else None,
        progress.stage,
    ]
    return ", ".join(word for word in words if word) or "started"


_ATTEMPT_COLUMNS = (
    Column("Attempt"),
    Column("No.", rank=2),
    Column("Status"),
    Column("Started (UTC)"),
    Column("Duration", rank=3),
    Column("RTF", rank=4),
    Column("Error", "text", rank=1, below=True),
)


def _attempt_table(attempts: Sequence[Attempt], *, told: str, whole: bool) -> Table:
    rows = [
        (
            attempt.id,
            attempt.attempt,
            attempt.status,
            attempt.started_at,
            display.seconds(attempt.duration_ms),
            display.rtf(attempt.rtf),
            error,
        )
        for attempt, error in zip(attempts, _errors(attempts, told, whole=whole), strict=True)
    ]
    return display.table(_ATTEMPT_COLUMNS, rows, title="Attempts", whole=whole)


def _errors(attempts: Sequence[Attempt], told: str, *, whole: bool) -> Iterator[str | None]:
    """What each attempt failed by. Unless `whole`, a message is told once: not if it is `told` above the table."""
    first: dict[str, int] = {}
    for attempt in attempts:
        error = f"{attempt.error_code}: {attempt.error}" if attempt.error_code else None
        if error is None or whole:
            yield error
        elif in_one_line(error).rstrip(".") in told:
            yield f"{attempt.error_code}, as above"
        elif (number := first.setdefault(error, attempt.attempt)) != attempt.attempt:
            yield f"{attempt.error_code}, as attempt {number}"
        else:
            yield error


def _fields(media: MediaJobs, named: NamedJob) -> list[tuple[str, object]]:
    job = named.job
    next_try: datetime | None = job.not_before if job.status.is_waiting else None
    fields: list[tuple[str, object]] = [
        ("status", job.status),
        ("of", named.label),
        ("type", f"{job.job_type} ({media.registry.noun(job.job_type)})"),
        ("subject", job.subject_id),
    ]
    if job.status is JobStatus.PROCESSING and job.progress:
        fields += [
            ("progress", f"{progress_words(job.progress)}, as of {job.progress.at:%H:%M:%S} UTC"),
            ("command", in_one_line(" ".join(job.progress.command)) or None),
        ]
    return [
        *fields,
        ("error", job.error_code),
        ("tries", tries_of(job, " of ")),
        ("next try (UTC)", next_try),
        ("parameters", display.plain(job.params)),
        ("priority", job.priority),
        ("trace", job.trace_id),
        ("parent", job.parent_job_id),
        ("created (UTC)", job.created_at),
        ("updated (UTC)", job.updated_at),
    ]
