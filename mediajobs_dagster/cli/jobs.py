"""`mediajobs jobs`: list and show jobs, retry and cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from rich.table import Table

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.choices import checked_jobs
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import Attempt, Job, JobStatus
from mediajobs_dagster.system import MediaJobs


@click.group()
def jobs() -> None:
    """List and show jobs, retry and cancel them."""


@jobs.command("list")
@click.option("--type", "job_type", metavar="JOB_TYPE", help="Only this job type.")
@click.option("--status", "statuses", multiple=True, type=display.STATUSES, help="Only this status; can be repeated.")
@click.option("--trace", "trace_id", metavar="TRACE_ID", help="Only this trace.")
@click.option(
    "--subject", "--upload", "subject_id", metavar="ID", help="Only this subject: the id of an upload or a timeline."
)
@click.option("--error", "error_code", metavar="CODE", help="Only this error code.")
@click.option("--since", type=display.Moment(), help="Created at this time or later (UTC).")
@click.option("--until", type=display.Moment(), help="Created before this time (UTC).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="JOB_ID", help="List the jobs that follow this one: the next page.")
@display.json_option
@click.pass_obj
def list_jobs(
    media: MediaJobs,
    statuses: tuple[str, ...],
    limit: int,
    after: str | None,
    as_json: bool,
    **conditions: Any,
) -> None:
    """List jobs, newest first."""
    chosen = JobFilter(statuses=tuple(JobStatus(status) for status in statuses), **conditions)
    found = media.jobs(checked_jobs(media, chosen), limit=limit, after=after)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print("No job matches. Enqueue some with [bold]mediajobs add VIDEO[/], or use fewer filters.")
        return
    console.print(job_table(found))
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].id}[/].")


@jobs.command("show")
@click.argument("job_id")
@display.json_option
@click.pass_obj
def show_job(media: MediaJobs, job_id: str, as_json: bool) -> None:
    """Show one job, its attempts and its children."""
    found = media.job(job_id)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    console.print(display.table(("Field", "Value"), _fields(found.job), title=f"Job {job_id}"))
    console.print(_attempt_table(found.attempts))
    if found.children:
        console.print(job_table(found.children, title="Children"))
    if found.attempts:
        console.print(f"Everything about the latest attempt: [bold]mediajobs attempt {found.attempts[-1].id}[/]")


@jobs.command("retry")
@click.argument("job_id")
@click.option("--force", is_flag=True, help="Make the output again even if it is up to date.")
@display.json_option
@click.pass_obj
def retry_job(media: MediaJobs, job_id: str, force: bool, as_json: bool) -> None:
    """Put a failed or finished job back into the queue."""
    _print_job(media.retry(job_id, force=force), as_json)


@jobs.command("cancel")
@click.argument("job_id")
@display.json_option
@click.pass_obj
def cancel_job(media: MediaJobs, job_id: str, as_json: bool) -> None:
    """Cancel a job. A job that is being processed stops at its worker's next heartbeat."""
    _print_job(media.cancel(job_id), as_json)


def _print_job(job: Job, as_json: bool) -> None:
    if as_json:
        display.print_json(job)
    else:
        display.console().print(job_table([job]))


def job_table(found: Sequence[Job], *, title: str | None = None) -> Table:
    """A table of jobs, one per row."""
    columns = ("Job", "Type", "Status", "Attempts", "Created (UTC)", "Error", "Trace")
    rows = [
        (
            job.id,
            job.job_type,
            job.status,
            f"{job.attempts}/{job.max_attempts}",
            job.created_at,
            job.error_code,
            job.trace_id,
        )
        for job in found
    ]
    return display.table(columns, rows, title=title)


def _attempt_table(attempts: Sequence[Attempt]) -> Table:
    columns = ("Attempt", "No.", "Status", "Started (UTC)", "Duration", "RTF", "Error")
    rows = [
        (
            attempt.id,
            attempt.attempt,
            attempt.status,
            attempt.started_at,
            display.seconds(attempt.duration_ms),
            display.rtf(attempt.rtf),
            f"{attempt.error_code}: {attempt.error}" if attempt.error_code else None,
        )
        for attempt in attempts
    ]
    return display.table(columns, rows, title="Attempts")


def _fields(job: Job) -> list[tuple[str, object]]:
    next_try: datetime | None = job.not_before if job.status.is_waiting else None
    return [
        ("type", job.job_type),
        ("status", job.status),
        ("subject", job.subject_id),
        ("parameters", ", ".join(f"{name} {value}" for name, value in job.params.items()) or None),
        ("priority", job.priority),
        ("trace", job.trace_id),
        ("parent", job.parent_job_id),
        ("attempts", f"{job.attempts} of {job.max_attempts}"),
        ("not before (UTC)", next_try),
        ("error", job.error_code),
        ("created (UTC)", job.created_at),
        ("updated (UTC)", job.updated_at),
    ]
