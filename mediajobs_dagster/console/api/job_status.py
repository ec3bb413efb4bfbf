"""How every kind of job stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import FromOutside, Media, answer
from mediajobs_dagster.console.api.parameters import Parameters, Reference
from mediajobs_dagster.console.api.shapes import HistoryShown, problems
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/jobs", tags=["jobs"])


class Length(Parameters):
    """How much of a history is shown."""

    limit: int = Field(default=20, ge=1, le=100, description="How many attempts to show at most.")


@router.get("/status", response_model=JsonObject, responses=problems())
def status(media: Media, outside: FromOutside) -> Response:
    """Of every job type: its last run, what came before, its breaker and its schedule; and the quotas."""
    return answer(media.job_statuses(outside.schedules()))


@router.get("/history/{name}", response_model=HistoryShown, responses=problems())
def history(media: Media, name: Reference, asked: Annotated[Length, Query()]) -> Response:
    """The latest attempts of a job type, newest first."""
    return answer(media.job_history(name, limit=asked.limit))
