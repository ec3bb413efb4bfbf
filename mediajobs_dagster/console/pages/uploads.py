"""Uploads: the list, and one of them with what was and is made of it."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.pages.results import Result, result_of
from mediajobs_dagster.history import UploadFilter
from mediajobs_dagster.models import JobStatus, UploadRole
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.references import NamedJob
from mediajobs_dagster.use_cases.rows import JobRow

router = APIRouter(include_in_schema=False)

_PAGE = 50
_MOST_RESULTS = 6
_ORDER = ("film", "sound", "picture", "file")
"""In which order results are shown."""


@router.get("/uploads")
def list_uploads(request: Request, media: Media) -> Response:
    """A page of the list, newest first."""
    query = request.query_params
    name, role = query.get("text", "").strip(), query.get("role", "")
    chosen = UploadFilter(name=name or None, role=UploadRole(role) if role in set(UploadRole) else None)
    found = media.uploads(chosen, limit=_PAGE + 1, after=query.get("after") or None)
    shown = found[:_PAGE]
    return render(
        request,
        "uploads.html",
        uploads=shown,
        next_after=shown[-1].id if len(found) > _PAGE else None,
        text=name,
        role=role,
        roles=list(UploadRole),
    )


@router.get("/uploads/{reference}")
def show_upload(request: Request, media: Media, reference: str) -> Response:
    """What it is, what was made of it, and what is being made."""
    found = media.upload(reference)
    rows = media.rows.of([NamedJob(job, found.upload.filename) for job in found.jobs[:_PAGE]])
    return render(request, "upload.html", found=found, upload=found.upload, rows=rows, results=_results(media, rows))


def _results(media: MediaJobs, rows: Sequence[JobRow]) -> list[tuple[str, Result]]:
    """The newest result of each type that looks like something."""
    newest = {each.job.job_type: each for each in reversed(rows) if each.job.status is JobStatus.COMPLETED}
    made = [each.latest.id for each in newest.values() if each.latest][:_MOST_RESULTS]
    details = [media.attempt(each) for each in made]
    results = [(each.attempt.job_name, result_of(media, each)) for each in details]
    found = [(name, result) for name, result in results if result.shown and not result.is_replaced]
    return sorted(found, key=lambda each: _ORDER.index(each[1].shown[0].kind))
