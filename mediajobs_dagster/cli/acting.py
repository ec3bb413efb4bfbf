"""`mediajobs jobs retry|cancel`: one job, or all that match; `mediajobs actions list`: what was done, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.choices import checked_jobs
from mediajobs_dagster.cli.jobs import job_table
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import Job, JobStatus
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.use_cases.bulk import BulkDone

Command = TypeVar("Command", bound=Callable[..., Any])

_EXAMPLES = 5


def _filter_options(command: Command) -> Command:
    """Add the conditions for several jobs, and the options that go with them."""
    options = (
        click.argument("job", metavar="[JOB]", required=False),
        click.option("--failed", is_flag=True, help="All that failed: dead, or waiting for their next try."),
        click.option("--type", "job_type", metavar="JOB_TYPE", help="All of this job type."),
        click.option("--error", "error_code", metavar="CODE", help="All with this error code."),
        click.option("--trace", "trace_id", metavar="TRACE", help="All of this trace."),
        click.option("--status", "statuses", multiple=True, type=display.STATUSES, help="All that have this status."),
        click.option("--since", type=display.Moment(), help="All created at this time or later (UTC)."),
        click.option("--until", type=display.Moment(), help="All created before this time (UTC)."),
        click.option("--dry-run", is_flag=True, help="Only say which jobs are meant."),
        click.option("--reason", default="", help="Why; it is kept with the record of who did this."),
        display.json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("retry")
@_filter_options
@click.option("--force", is_flag=True, help="Make the output again even if it is up to date.")
@click.pass_obj
def retry_jobs(media: MediaJobs, job: str | None, force: bool, as_json: bool, **given: Any) -> None:
    """Put a failed or finished JOB back into the queue, or all jobs that match the conditions.

    Conditions are combined: a job has to meet all of them. Without --status, jobs that failed or are dead are meant.
    What was done is kept: see `mediajobs actions list`.
    """
    if job is not None:
        _refuse_conditions(given)
        _print_job(media, media.retry(job, force=force), as_json)
        return
    chosen = _chosen(media, given, (JobStatus.FAILED, JobStatus.DEAD))
    done = media.bulk.retry(chosen, force=force, reason=given["reason"], dry_run=given["dry_run"])
    _print_done(media, done, "queued again", as_json)


@click.command("cancel")
@_filter_options
@click.pass_obj
def cancel_jobs(media: MediaJobs, job: str | None, as_json: bool, **given: Any) -> None:
    """Cancel a JOB, or all jobs that match the conditions. One that is processing stops at its next heartbeat.

    Conditions are combined: a job has to meet all of them. Without --status, jobs that wait or are processing are
    meant; with --failed, those that wait for their next try. What was done is kept: see `mediajobs actions list`.
    """
    if job is not None:
        _refuse_conditions(given)
        _print_job(media, media.cancel(job), as_json)
        return
    chosen = _chosen(media, given, (JobStatus.FAILED,))
    done = media.bulk.cancel(chosen, reason=given["reason"], dry_run=given["dry_run"])
    _print_done(media, done, "cancelled", as_json)


@click.group(short_help="List what people and programs did, and who they are.")
def actions() -> None:
    """What people and programs did, and who they are."""


@actions.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--action", metavar="ACTION", help="Only those of this name, such as 'jobs retry'.")
@click.option("--after", metavar="ACTION_ID", help="List those that follow this one: the next page.")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_actions(
    media: MediaJobs, limit: int, action: str | None, after: str | None, verbose: bool, as_json: bool
) -> None:
    """List what people and programs did, newest first: to jobs, uploads, breakers, objects, users and in Dagster.

    It says who: whom the console has let in, or the user and the machine of the command line.
    """
    found = media.history.actions.list(limit=limit, name=action, after=after)
    if as_json:
        display.print_json(found)
        return
    if not found:
        told = "There is no more." if after else f"Nobody has done {'that' if action else 'anything'} yet."
        display.console().print(told)
        return
    columns = (
        *("When (UTC)", "Action", "Count", Column("To", "text")),
        *(Column("Reason", "text", rank=1, below=True), Column("Who", rank=2)),
    )
    rows = [(each.at, each.action, each.count, each.target, each.reason or None, each.who) for each in found]
    display.console().print(display.table(columns, rows, whole=verbose))
    if len(found) == limit:
        display.console().print(f"There may be more: add [bold]--after {found[-1].id}[/].")


def _refuse_conditions(given: dict[str, Any]) -> None:
    if any(given.values()):
        raise RequestError("Name one JOB, or give conditions for several; not both.")


def _chosen(media: MediaJobs, given: dict[str, Any], failed: tuple[JobStatus, ...]) -> JobFilter:
    if given["failed"] and given["statuses"]:
        raise RequestError("--failed stands for statuses already. Leave it out, or leave out --status.")
    since: datetime | None = given["since"]
    statuses = failed if given["failed"] else tuple(JobStatus(status) for status in given["statuses"])
    names = {name: given[name] for name in ("job_type", "error_code", "trace_id")}
    return checked_jobs(media, JobFilter(statuses=statuses, since=since, until=given["until"], **names))


def _print_job(media: MediaJobs, job: Job, as_json: bool) -> None:
    if as_json:
        display.print_json(media.named([job])[0])
    else:
        display.console().print(job_table(media, media.named([job])))


def _print_done(media: MediaJobs, done: BulkDone, verb: str, as_json: bool) -> None:
    if as_json:
        display.print_json(done)
        return
    console, jobs = display.console(), display.counted(done.count, "job")
    if not done.count and not done.left:
        console.print("No job matches.")
        return
    would = "would be " if done.is_dry_run else ""
    types = ", ".join(f"{count:,} {name}" for name, count in done.by_type.most_common())
    console.print(f"{jobs} {would}{verb}{f': {types}' if types else ''}.", markup=False)
    for why, count in done.left.most_common():
        console.print(f"{display.counted(count, 'job')} left as before: {why}.", markup=False)
    if done.hopeless:
        codes = ", ".join(code for code, _ in done.hopeless.most_common())
        told = f"{done.hopeless.total():,} of them will fail again: {codes}. Narrow it with --error."
        console.print(told, style="yellow", markup=False)
    if done.is_dry_run and done.examples:
        console.print(job_table(media, media.named(done.examples[:_EXAMPLES])))
        if done.count > _EXAMPLES:
            console.print(f"  and {done.count - min(_EXAMPLES, len(done.examples)):,} more")
