"""`mediajobs run`: start a scheduled job by hand."""

from __future__ import annotations

import time

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.callbacks import callback_of, callback_options
from mediajobs_dagster.cli.work import work_off
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import Attempt, Job, JobStatus, JsonObject, SubjectKind, utc_now
from mediajobs_dagster.supervisor.exclusive import user_of
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.why import CauseKind

_EVERY_S = 0.5
_HOLDING = {CauseKind.BREAKER, CauseKind.HOST, CauseKind.NEEDS, CauseKind.QUOTA, CauseKind.PAUSE}
"""What of that may last."""
_FINE = (JobStatus.COMPLETED, JobStatus.SKIPPED)


@click.command("run", short_help="Start a scheduled job now.")
@click.argument("job", metavar="JOB")
@click.option("--wait", is_flag=True, help="Wait until it is done, and show what it did.")
@callback_options
@display.json_option
@click.pass_obj
def run_job(
    media: MediaJobs, job: str, wait: bool, callback_url: str | None, callback_events: tuple[str, ...], as_json: bool
) -> None:
    """Start a scheduled JOB now, such as history_cleanup; `mediajobs schedules list` names them.

    It goes through the queue: `mediajobs up` starts it at once. Where nothing is up, --wait works it off in this
    process, as `mediajobs work` would. Exit code 1: with --wait, it did not succeed.
    """
    from mediajobs_dagster.orchestration.moments import schedules_of

    job_type = _scheduled(media, job)
    job_type.check_settings(media.settings)
    callback = callback_of(callback_url, callback_events)
    queued = schedules_of(media).run(job_type, now=utc_now(), callback=callback and media.webhooks.check(callback))
    done = _waited(media, job_type, queued, quiet=as_json) if wait else queued
    if as_json:
        display.print_json(media.job(done.id))
    else:
        _print(media, done, is_waited=wait)
    if wait and done.status not in _FINE:
        raise click.exceptions.Exit(1)


def _scheduled(media: MediaJobs, name: str) -> JobType:
    job_type = media.registry[media.registry.name_of(name)]
    if job_type.subject is not SubjectKind.TICK:
        known = ", ".join(each.name for each in media.registry if each.subject is SubjectKind.TICK)
        raise RequestError(
            f"{job_type.name} works on an {job_type.subject}, so `mediajobs run` cannot start it. Those that it can: "
            f"{known}."
        )
    return job_type


def _waited(media: MediaJobs, job_type: JobType, queued: Job, *, quiet: bool) -> Job:
    """The job when it is over, or when it is held back and nobody will start it."""
    job, told = queued, set[CauseKind]()
    while not job.status.is_final:
        if media.settings.celery_url or user_of(media.settings.home):
            if not quiet:
                _tell_what_holds(media, job, told)
            time.sleep(_EVERY_S)
        else:
            work_off(media, quiet=quiet, only=job_type)
            if not media.history.jobs.get(queued.id).status.is_final:
                return media.history.jobs.get(queued.id)
        job = media.history.jobs.get(queued.id)
    return job


def _tell_what_holds(media: MediaJobs, job: Job, told: set[CauseKind]) -> None:
    """Say, once, what keeps the job from being started, if that is not over by itself in a moment."""
    for cause in media.why(job.id).causes if job.status.is_waiting else ():
        if cause.kind in _HOLDING - told:
            told.add(cause.kind)
            display.console().print(display.line(f"It waits: {cause.text}", "yellow"), soft_wrap=True)


def _print(media: MediaJobs, job: Job, *, is_waited: bool) -> None:
    console = display.console()
    attempts = media.history.attempts.of_job(job.id) if is_waited else []
    console.print(display.line(f"Job {job.id} is {job.status}. {_what_now(media, job)}".rstrip()), soft_wrap=True)
    if attempts:
        manifest = media.attempt(attempts[-1].id).manifest
        notes = manifest.notes if manifest else ()
        for line in (*_outcome(attempts[-1]), *(f"  {note}" for note in notes)):
            console.print(display.line(line), soft_wrap=True)
    for held in media.held():
        if held.job_type == job.job_type and not job.status.is_final:
            console.print(held.reason, style="yellow", markup=False)


def _what_now(media: MediaJobs, job: Job) -> str:
    if job.status in _FINE:
        return ""
    if job.status.is_final:
        return f"See `mediajobs why {job.id}`, then `mediajobs jobs retry {job.id}`."
    if media.settings.celery_url or user_of(media.settings.home):
        return f"Follow it with `mediajobs jobs watch {job.id}`."
    return "Nothing is up here: `mediajobs up` or `mediajobs work` will run it."


def _outcome(attempt: Attempt) -> list[str]:
    """What the last attempt did: a line for each figure and each note, and its error."""
    result = attempt.result or {}
    figures: JsonObject = result.get("figures") or {}
    shown = [
        f"  {display.words(name)}: {display.figure(each)}"
        for name, each in figures.items()
        if not isinstance(each, dict | list)
    ]
    return [*shown, *([f"{attempt.error_code}: {attempt.error}"] if attempt.error else [])]
