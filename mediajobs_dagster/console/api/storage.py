"""The storage as a whole: its map, the latest report, and the removal of what nobody needs."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once
from mediajobs_dagster.console.api.parameters import Parameters, Reference, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/storage", tags=["storage"])


class Collecting(Parameters):
    """Which objects are collected."""

    delete: bool = Field(default=False, description="Remove them; without it, they are only listed.")
    prefix: Text = Field(default="", description="Only keys that begin so, such as thumbs/.")
    older_than_hours: float = Field(
        default=24, alias="olderThanHours", ge=24, le=1e6, description="Only what is older."
    )
    limit: int = Field(default=50, ge=0, le=1000, description="How many to list at most.")


@router.get("/map", response_model=JsonObject, responses=problems())
def show_map(media: Media) -> Response:
    """What lies under which prefix, and for how long it is kept."""
    return answer(media.inventory.map)


@router.get("/report", response_model=JsonObject, responses=problems(404))
def show_report(media: Media) -> Response:
    """The latest report: how much lies under each prefix, how it grows, and what is missing, left over or unknown."""
    found = media.inventory.latest()
    if found is None:
        raise NotFoundError(
            "There is no report on this storage yet. The job storage_report makes one: POST "
            "/api/schedules/storage_report/run."
        )
    return answer(found)


@router.post("/gc", response_model=JsonObject, responses=problems(409, 502))
def collect(
    request: Request, media: Media, asked: Collecting | None = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """The objects that nobody needs, each with the reason; with `delete` they are removed."""
    chosen = asked or Collecting()
    return once(
        request,
        idempotency_key,
        chosen,
        lambda: answer(
            media.inventory.collect(
                delete=chosen.delete,
                prefix=chosen.prefix,
                older_than=timedelta(hours=chosen.older_than_hours),
                limit=chosen.limit,
            )
        ),
    )


@router.post("/restore/{removal}", response_model=JsonObject, responses=problems(404, 409, 502))
def restore(request: Request, media: Media, removal: Reference, idempotency_key: IdempotencyKey = None) -> Response:
    """Bring back what a removal put into the trash of a local folder."""
    return once(request, idempotency_key, None, lambda: answer(media.inventory.restore(removal)))
