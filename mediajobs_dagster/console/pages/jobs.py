"""The list of jobs: filtered by its address, live, with actions on one job and on all that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import QueryParams

from mediajobs_dagster.console.pages.asking import SINCE, Form, JobsQuery, Media, within
from mediajobs_dagster.console.pages.drawings.curves import spark_of
from mediajobs_dagster.console.pages.drawings.ledger import parts_of, verdict
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.pages.results import result_of
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.history.jobs import ErrorGroup
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.printable import counted
from mediajobs_dagster.storage.redaction import redact_values
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.bulk import BulkDone
from mediajobs_dagster.use_cases.rows import JobRow

router = APIRouter(include_in_schema=False)

Action = Literal["retry", "cancel"]

_PAGE = 50
_MOST_LIVE = 100
"""Rows that are refreshed in one request."""
_FILTERS = ("type", "status", "error", "trace", "text", "host", "since")


@dataclass(frozen=True)
class _Listed:
    rows: list[JobRow]
    errors: list[ErrorGroup]
    next_after: str | None
    fault: MediaJobsError | None = None


@dataclass(frozen=True)
class _Newer:
    """How many jobs the first page of a list has beside those that a reader sees."""

    filters: QueryParams
    shown: tuple[str, ...]
    jobs: int = 0

    @property
    def words(self) -> str:
        """How many, for people. Empty: none."""
        if not self.jobs:
            return ""
        return f"{_PAGE} or more new jobs" if self.jobs == _PAGE else counted(self.jobs, "new job")

    @property
    def part(self) -> str:
        """Where to ask again."""
        return f"/jobs/newer?{QueryParams([*self.filters.multi_items(), *(('id', each) for each in self.shown)])}"


@router.get("/jobs")
def list_jobs(request: Request, media: Media) -> Response:
    """A page of the list."""
    asked = JobsQuery.of(request.query_params)
    try:
        listed = _listed(media, asked.chosen(media), request.query_params.get("after"))
    except MediaJobsError as error:
        if error.is_outage:
            raise
        # The bar stays, so that what is wrong in it can be mended.
        listed = _Listed([], [], None, error)
    filter_query = _filters_in(request.query_params)
    return render(
        request,
        "jobs.html",
        status=400 if listed.fault else 200,
        asked=asked,
        listed=listed,
        spark_of=spark_of,
        types=[(each.name, each.asset) for each in media.registry],
        statuses=list(JobStatus),
        since=SINCE,
        newer=_Newer(filter_query, tuple(each.job.id for each in listed.rows)),
        filter_query=filter_query,
    )


@router.get("/jobs/rows")
def refresh_rows(request: Request, media: Media) -> Response:
    """The rows of some jobs, as they are now: what a script puts in the place of those shown."""
    ids = tuple(request.query_params.getlist("id"))[:_MOST_LIVE]
    rows = media.rows.of(media.named(media.jobs(JobFilter(ids=ids), limit=_MOST_LIVE)))
    return render(request, "job_rows.html", rows=rows)


@router.get("/jobs/newer")
def count_newer(request: Request, media: Media) -> Response:
    """How many jobs the first page of a list has now beside those shown: what a script puts above the list."""
    shown = request.query_params.getlist("id")[:_PAGE]
    found = [each.id for each in media.jobs(JobsQuery.of(request.query_params).chosen(media), limit=_PAGE)]
    still_there = [place for place, each in enumerate(found) if each in shown]
    if len(shown) == _PAGE and still_there:
        found = found[: still_there[-1]]  # what comes behind has moved up from the next page
    newer = _Newer(_filters_in(request.query_params), tuple(shown), len(set(found) - set(shown)))
    return render(request, "newer.html", newer=newer)


@router.get("/jobs/bulk/{action}")
def ask_bulk(request: Request, media: Media, action: Action) -> Response:
    """What an action on all jobs that match would do; nothing is done."""
    # What is asked for after this page was shown was not counted on it, so it is left alone.
    query = QueryParams([*request.query_params.multi_items(), ("until", media.history.now().isoformat())])
    asked = JobsQuery.of(query)
    done = _act(media, action, asked.chosen(media), dry_run=True)
    return render(request, "bulk.html", action=action, asked=asked, done=done, filter_query=query)


@router.post("/jobs/bulk/{action}")
def do_bulk(request: Request, media: Media, action: Action, form: Form) -> Response:
    """Do it."""
    asked = JobsQuery.of(request.query_params)
    done = _act(media, action, asked.chosen(media), dry_run=False, reason=form.get("reason", "").strip())
    return render(request, "bulk.html", action=action, asked=asked, done=done, filter_query=request.query_params)


@router.get("/jobs/{reference}")
def show_job(request: Request, media: Media, reference: str) -> Response:
    """A job: how it stands and why, its attempts, its children, and the result of the latest attempt."""
    found = media.job(reference)
    latest = media.attempt(found.attempts[-1].id) if found.attempts else None
    return render(
        request,
        "job.html",
        found=found,
        job=found.job,
        params=redact_values(found.job.params),
        row=media.rows.of([found.named])[0],
        why=media.why(found.job.id),
        children=media.rows.of(found.children),
        latest=latest,
        result=result_of(media, latest) if latest else None,
        verdict=verdict(latest.manifest) if latest and latest.manifest else None,
        parts=parts_of(latest.manifest.time_ledger) if latest and latest.manifest else (),
    )


@router.post("/jobs/{job_id}/retry")
def retry(media: Media, job_id: str, form: Form) -> Response:
    """Put a job back into the queue."""
    job = media.retry(job_id, force=bool(form.get("force")))
    return RedirectResponse(within(form.get("back"), f"/jobs/{job.id}"), 303)


@router.post("/jobs/{job_id}/cancel")
def cancel(media: Media, job_id: str, form: Form) -> Response:
    """Cancel a job."""
    job = media.cancel(job_id)
    return RedirectResponse(within(form.get("back"), f"/jobs/{job.id}"), 303)


def _listed(media: MediaJobs, chosen: JobFilter, after: str | None) -> _Listed:
    found = media.named(media.jobs(chosen, limit=_PAGE + 1, after=after or None))
    shown = found[:_PAGE]
    has_more = len(found) > _PAGE
    return _Listed(media.rows.of(shown), media.rows.errors(chosen), shown[-1].job.id if has_more else None)


def _filters_in(query: QueryParams) -> QueryParams:
    return QueryParams([each for each in query.multi_items() if each[0] in _FILTERS])


def _act(media: MediaJobs, action: Action, chosen: JobFilter, *, dry_run: bool, reason: str = "") -> BulkDone:
    if action == "retry":
        return media.bulk.retry(chosen, dry_run=dry_run, reason=reason)
    return media.bulk.cancel(chosen, dry_run=dry_run, reason=reason)
