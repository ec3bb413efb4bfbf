"""Schedules: when jobs run by themselves, and how one is started by hand."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.api.answers import FromOutside, IdempotencyKey, Media, answer, as_json, once
from mediajobs_dagster.console.api.parameters import Reference
from mediajobs_dagster.console.api.shapes import ShownJob, problems
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/schedules", tags=["schedules"])


@router.get("", response_model=JsonObject, responses=problems())
def list_schedules(outside: FromOutside) -> Response:
    """Every schedule: its times, whether it is on, its last and next moment, and what it missed."""
    return answer({"schedules": as_json(outside.schedules())})


@router.post("/{name}/run", status_code=202, response_model=ShownJob, responses=problems(409))
def run_schedule(
    request: Request, media: Media, outside: FromOutside, name: Reference, idempotency_key: IdempotencyKey = None
) -> Response:
    """Put the job of a schedule into the queue now."""
    return once(
        request,
        idempotency_key,
        None,
        lambda: answer(media.named([outside.run_schedule(name)])[0], status=202),
    )
