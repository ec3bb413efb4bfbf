"""What options accept: checked before the answer is looked for, so that nothing found never means a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import click

from mediajobs_dagster.errors import MediaJobsError, NotFoundError, RequestError
from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN
from mediajobs_dagster.system import MediaJobs

PRIORITY = click.IntRange(-1_000_000, 1_000_000)
"""Databases and Dagster take no number of any size."""
_NAMED = 5
"""How many of what there is are named."""


def checked_jobs(media: MediaJobs, chosen: JobFilter) -> JobFilter:
    """`chosen`, if there is what it names. Raises RequestError, with what there is."""
    _check_type(media, chosen.job_type)
    _check_code(media, chosen.error_code)
    _check_trace(media, chosen.trace_id)
    if (subject := chosen.subject_id) and not _is_subject(media, subject):
        raise NotFoundError(f"There is no upload and no timeline {subject}{_such_as(_subjects(media))}")
    return chosen


def checked_attempts(media: MediaJobs, chosen: AttemptFilter) -> AttemptFilter:
    """`chosen`, if there is what it names. Raises RequestError, with what there is."""
    _check_type(media, chosen.job_name)
    _check_code(media, chosen.error_code)
    _check_trace(media, chosen.trace_id)
    if chosen.job_id:
        media.history.jobs.get(chosen.job_id)
    if (run := chosen.run_id) and not _any_attempt(media, AttemptFilter(run_id=run)):
        runs = (each.run_id for each in media.history.attempts.list(AttemptFilter()))
        raise NotFoundError(f"There is no attempt of a run {run}{_such_as(runs)}")
    return chosen


def _check_type(media: MediaJobs, name: str | None) -> None:
    # One that is not installed any more may still have jobs.
    if name and not media.jobs(JobFilter(job_type=name), limit=1):
        _ = media.registry[name]


def _check_code(media: MediaJobs, code: str | None) -> None:
    if not code or code in (known := {BREAKER_OPEN, *_codes(MediaJobsError)}):
        return
    if media.jobs(JobFilter(error_code=code), limit=1) or _any_attempt(media, AttemptFilter(error_code=code)):
        return  # of another package
    near = get_close_matches(code.upper(), known, n=3)
    told = f"Do you mean {' or '.join(near)}?" if near else "docs/reference/errors.md has all of them."
    raise RequestError(f"There is no error code {code}. {told}")


def _check_trace(media: MediaJobs, trace: str | None) -> None:
    if not trace or media.jobs(JobFilter(trace_id=trace), limit=1):
        return
    if not _any_attempt(media, AttemptFilter(trace_id=trace)):
        raise NotFoundError(f"There is no trace {trace}{_such_as(job.trace_id for job in media.jobs())}")


def _is_subject(media: MediaJobs, subject: str) -> bool:
    if media.jobs(JobFilter(subject_id=subject), limit=1) or media.history.uploads.existing([subject]):
        return True
    try:
        return bool(media.history.timelines.get(subject))
    except NotFoundError:
        return False


def _subjects(media: MediaJobs) -> Iterable[str]:
    return (job.subject_id for job in media.jobs())


def _any_attempt(media: MediaJobs, chosen: AttemptFilter) -> bool:
    return bool(media.history.attempts.list(chosen, limit=1))


def _codes(kind: type[MediaJobsError]) -> Iterable[str]:
    yield kind.code
    for each in kind.__subclasses__():
        yield from _codes(each)


def _such_as(newest: Iterable[str | None]) -> str:
    """The end of the sentence that something is not there: the newest of what there is."""
    named = list(dict.fromkeys(filter(None, newest)))[:_NAMED]
    return f". The newest are: {', '.join(named)}." if named else "; there is none at all yet."
