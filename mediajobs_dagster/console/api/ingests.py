"""Videos that are fetched by their addresses."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AfterValidator, ConfigDict, Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once
from mediajobs_dagster.console.api.parameters import CallsBack, Flag, Priority, TraceId
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.job_types.base import MAX_ITEMS
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/ingests", tags=["videos"])


def _of_web(address: str) -> str:
    if not address.lower().startswith(("http://", "https://")):
        raise ValueError("is no http:// or https:// address. `mediajobs ingest` takes s3:// addresses too")
    return address


WebAddress = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$"), AfterValidator(_of_web)]
"""Whoever asks by HTTP must not have objects read with the server's keys that lie outside of its storage."""


class NewIngest(CallsBack):
    """Videos that are asked for."""

    addresses: list[WebAddress] = Field(
        min_length=1, max_length=100, description="Pages of videos, of lists of them, or media files."
    )
    limit: int | None = Field(
        default=None, ge=1, le=MAX_ITEMS, strict=True, description="Take so many videos of a list at most."
    )
    dry_run: Flag = Field(default=False, alias="dryRun", description="Only say which videos would be fetched.")
    priority: Priority = Field(default=0, strict=True, description="Higher goes first.")
    trace: TraceId | None = Field(default=None, description="The trace they belong to; default: a new one.")
    force: Flag = Field(default=False, description="Fetch them again even if they were fetched before.")

    model_config = ConfigDict(
        json_schema_extra={"example": {"addresses": ["https://media.example.com/talk.mp4"], "dryRun": True}}
    )


@router.post("", status_code=202, response_model=JsonObject, responses=problems(404, 409, 502, 504))
def ingest(request: Request, media: Media, asked: NewIngest, idempotency_key: IdempotencyKey = None) -> Response:
    """Fetch videos, each as one job. One that was asked for before is not fetched again, unless `force` is set."""

    def do() -> Response:
        ingested = media.ingest(
            *asked.addresses,
            limit=asked.limit,
            dry_run=asked.dry_run,
            priority=asked.priority,
            force=asked.force,
            trace_id=asked.trace,
            callback=asked.called_back(media),
        )
        return answer(ingested, status=202)

    return once(request, idempotency_key, asked, do)
