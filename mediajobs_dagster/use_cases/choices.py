"""What filters accept: checked before the answer is looked for, so that nothing found never means a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from mediajobs_dagster.errors import NotFoundError, RequestError, all_errors
from mediajobs_dagster.history import AttemptFilter, JobFilter, UploadFilter
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN
from mediajobs_dagster.system import MediaJobs

PRIORITIES = (-1_000_000, 1_000_000)
"""The least priority and the highest: databases and Dagster take no number of any size."""
_NAMED = 5
"""How many of what there is are named."""


def checked_jobs(media: MediaJobs, chosen: JobFilter) -> JobFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    _check_code(media, chosen.error_code)
    return replace(
        chosen,
        job_type=_type(media, chosen.job_type),
        trace_id=_trace(media, chosen.trace_id),
        subject_id=_subject(media, chosen.subject_id),
    )


def checked_attempts(media: MediaJobs, chosen: AttemptFilter) -> AttemptFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    _check_code(media, chosen.error_code)
    return replace(
        chosen,
        job_name=_type(media, chosen.job_name),
        trace_id=_trace(media, chosen.trace_id),
        job_id=None if chosen.job_id is None else media.references.job(chosen.job_id).id,
        run_id=_run(media, chosen.run_id),
    )


def checked_uploads(media: MediaJobs, chosen: UploadFilter) -> UploadFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    return replace(chosen, trace_id=_trace(media, chosen.trace_id))


def _type(media: MediaJobs, name: str | None) -> str | None:
    # One that is not installed any more may still have jobs.
    if name is None or media.jobs(JobFilter(job_type=name), limit=1):
        return name
    return media.registry.name_of(name)


def _trace(media: MediaJobs, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return media.references.trace(text)
    except NotFoundError:
        newest = _such_as(job.trace_id for job in media.jobs())
        raise NotFoundError(f"There is no trace {text}{newest}") from None


def _subject(media: MediaJobs, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return media.references.subject(text)
    except NotFoundError:
        newest = _such_as(job.subject_id for job in media.jobs())
        raise NotFoundError(f"There is no upload and no timeline {text}{newest}") from None


def _run(media: MediaJobs, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return media.references.run(text)
    except NotFoundError:
        newest = _such_as(each.run_id for each in media.history.attempts.list(AttemptFilter()))
        raise NotFoundError(f"There is no attempt of a run {text}{newest}") from None


def _check_code(media: MediaJobs, code: str | None) -> None:
    if code is None or code in (known := {BREAKER_OPEN, *(kind.code for kind in all_errors())}):
        return
    if media.jobs(JobFilter(error_code=code), limit=1) or _any_attempt(media, AttemptFilter(error_code=code)):
        return  # of another package
    near = get_close_matches(code.upper(), known, n=3)
    told = f"Do you mean {' or '.join(near)}?" if near else "docs/reference/errors.md has all of them."
    raise RequestError(f"There is no error code {code}. {told}")


def _any_attempt(media: MediaJobs, chosen: AttemptFilter) -> bool:
    return bool(media.history.attempts.list(chosen, limit=1))


def _such_as(newest: Iterable[str | None]) -> str:
    """The end of the sentence that something is not there: the newest of what there is."""
    named = list(dict.fromkeys(filter(None, newest)))[:_NAMED]
    return f". The newest are: {', '.join(named)}." if named else "; there is none at all yet."
