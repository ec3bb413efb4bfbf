"""Jobs: listed, asked for, shown and explained, retried and cancelled."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from mediajobs_dagster.console.api.answers import FromOutside, IdempotencyKey, Media, answer, once, page
from mediajobs_dagster.console.api.parameters import (
    CallsBack,
    Document,
    Flag,
    JobConditions,
    Paged,
    Parameters,
    Priority,
    Reference,
    Text,
    TraceId,
)
from mediajobs_dagster.console.api.shapes import JobPage, JobsAsked, JobShown, ShownJob, problems
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


class JobListing(Paged, JobConditions):
    """Which jobs are listed."""


class NewJobs(CallsBack):
    """Jobs that are asked for."""

    upload: Text = Field(min_length=1, description="The upload, by its id or name.")
    types: list[Text] | None = Field(
        None, min_length=1, max_length=50, description="Job types, by name; default: all that fit."
    )
    params: Document = Field(default_factory=dict, description="Parameters, where one type is asked for.")
    priority: Priority = Field(default=0, strict=True, description="Higher goes first.")
    trace: TraceId | None = Field(default=None, description="The trace they belong to; default: a new one.")
    force: Flag = Field(default=False, description="Make the outputs again even if they are up to date.")

    model_config = ConfigDict(json_schema_extra={"example": {"upload": "holiday.mp4", "types": ["upload_thumb_v1"]}})


class Again(Parameters):
    """How a job is tried again."""

    force: Flag = Field(default=False, description="Make the output again even if it is up to date.")


@router.get("", response_model=JobPage, responses=problems(404, 409))
def list_jobs(request: Request, media: Media, asked: Annotated[JobListing, Query()]) -> Response:
    """Jobs, newest first."""
    found = media.named(media.jobs(asked.chosen(media), limit=asked.limit + 1, after=asked.after))
    return page(request, asked, "jobs", found, lambda each: each.job.id)


@router.post("", status_code=202, response_model=JobsAsked, responses=problems(404, 409))
def submit(request: Request, media: Media, asked: NewJobs, idempotency_key: IdempotencyKey = None) -> Response:
    """Ask for jobs on an upload. What was asked for before is not asked for again, unless `force` is set."""

    def do() -> Response:
        submitted = media.submit(
            asked.upload,
            asked.types,
            params=asked.params,
            priority=asked.priority,
            trace_id=asked.trace,
            force=asked.force,
            callback=asked.called_back(media),
        )
        return answer(submitted, status=202)

    return once(request, idempotency_key, asked, do)


@router.get("/{reference}", response_model=JobShown, responses=problems(404, 409))
def show_job(media: Media, reference: Reference) -> Response:
    """A job, its attempts with their manifests, and its children."""
    return answer(media.job(reference))


@router.get("/{reference}/why", response_model=JsonObject, responses=problems(404, 409))
def why(media: Media, outside: FromOutside, reference: Reference) -> Response:
    """Why a job waits, or why it ended as it did and whether it is tried again."""
    return answer(media.why(reference, outside.signs))


@router.post("/{reference}/retry", response_model=ShownJob, responses=problems(404, 409))
def retry(
    request: Request,
    media: Media,
    reference: Reference,
    asked: Again | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Put a failed or finished job back into the queue."""
    chosen = asked or Again()
    return once(
        request,
        idempotency_key,
        chosen,
        lambda: answer(media.named([media.retry(reference, force=chosen.force)])[0]),
    )


@router.post("/{reference}/cancel", response_model=ShownJob, responses=problems(404, 409))
def cancel(request: Request, media: Media, reference: Reference, idempotency_key: IdempotencyKey = None) -> Response:
    """Cancel a job. One that is being processed stops at its worker's next heartbeat."""
    return once(request, idempotency_key, None, lambda: answer(media.named([media.cancel(reference)])[0]))
