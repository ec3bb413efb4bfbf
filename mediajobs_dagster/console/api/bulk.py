"""Retries and cancels every job that matches conditions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once
from mediajobs_dagster.console.api.parameters import JobConditions, Parameters, Text
from mediajobs_dagster.console.api.shapes import BulkShown, problems

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


class Several(Parameters):
    """Jobs that match conditions, and why something is done to them."""

    filter: JobConditions = Field(description="Which jobs; one condition at least.")
    dry_run: bool = Field(default=False, alias="dryRun", description="Only say which jobs are meant.")
    reason: Text = Field(default="", description="Why; it is kept with the record of who did this.")

    model_config = ConfigDict(
        json_schema_extra={"example": {"filter": {"error": "STORAGE_UNAVAILABLE"}, "dryRun": True, "reason": ""}}
    )


class SeveralAgain(Several):
    """Jobs that are tried again."""

    force: bool = Field(default=False, description="Make the outputs again even if they are up to date.")


@router.post("/retry", response_model=BulkShown, responses=problems(404, 409))
def retry_all(request: Request, media: Media, asked: SeveralAgain, idempotency_key: IdempotencyKey = None) -> Response:
    """Put all jobs that match back into the queue; without a status, those that failed or are dead."""
    return once(
        request,
        idempotency_key,
        asked,
        lambda: answer(
            media.bulk.retry(asked.filter.chosen(media), force=asked.force, reason=asked.reason, dry_run=asked.dry_run)
        ),
    )


@router.post("/cancel", response_model=BulkShown, responses=problems(404, 409))
def cancel_all(request: Request, media: Media, asked: Several, idempotency_key: IdempotencyKey = None) -> Response:
    """Cancel all jobs that match; without a status, those that wait or are processing."""
    return once(
        request,
        idempotency_key,
        asked,
        lambda: answer(media.bulk.cancel(asked.filter.chosen(media), reason=asked.reason, dry_run=asked.dry_run)),
    )
