"""Breakers of job types and machines."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, as_json, once
from mediajobs_dagster.console.api.parameters import Parameters, Reference, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/breakers", tags=["breakers"])


class Setting(Parameters):
    """Which breaker is set, and why."""

    scope: Literal["job_type", "host"] = Field(
        default="job_type", description="Whether a job type is named, or a machine."
    )
    reason: Text = Field(default="", description="Why; it is kept with the record of who did this.")


@router.get("", response_model=JsonObject, responses=problems())
def list_breakers(media: Media) -> Response:
    """The breaker of every job type, and of each machine whose breaker is not closed or was set by a person."""
    return answer({"breakers": as_json(media.breakers.all())})


@router.post("/{name}/open", response_model=JsonObject, responses=problems(409))
def open_breaker(
    request: Request,
    media: Media,
    name: Reference,
    asked: Setting | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Hold all jobs of a type, or all claims of a machine, until somebody closes the breaker."""
    chosen = asked or Setting()

    def do() -> Response:
        return answer(media.breakers.open(name, host=chosen.scope == "host", reason=chosen.reason))

    return once(request, idempotency_key, chosen, do)


@router.post("/{name}/close", response_model=JsonObject, responses=problems(409))
def close_breaker(
    request: Request,
    media: Media,
    name: Reference,
    asked: Setting | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Let jobs start again: failures until now do not count any more."""
    chosen = asked or Setting()

    def do() -> Response:
        return answer(media.breakers.close(name, host=chosen.scope == "host", reason=chosen.reason))

    return once(request, idempotency_key, chosen, do)
