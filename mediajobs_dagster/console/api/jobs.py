"""Jobs: listed, and shown with their attempts and children."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from mediajobs_dagster.console.api.answers import Media, Parameters, answer
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import JobStatus

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


class Listing(Parameters):
    """Which jobs are listed."""

    type: str | None = None
    status: list[JobStatus] = Field(default_factory=list[JobStatus])
    limit: int = Field(50, ge=1, le=500)
    after: str | None = None


@router.get("")
def list_jobs(media: Media, asked: Annotated[Listing, Query()]) -> JSONResponse:
    """Jobs, newest first."""
    chosen = JobFilter(job_type=asked.type, statuses=tuple(asked.status))
    found = media.named(media.jobs(chosen, limit=asked.limit, after=asked.after))
    return answer({"jobs": [each.to_json() for each in found]})


@router.get("/{reference}")
def show_job(media: Media, reference: str) -> JSONResponse:
    """A job, its attempts and its children. `reference` is an id, the beginning of one, or a name."""
    return answer(media.job(reference))
