"""Figures: of the attempts that match conditions, and of the installation as it stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from mediajobs_dagster.console.api.answers import Media, answer
from mediajobs_dagster.console.api.parameters import AttemptConditions
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.history import StatisticsReport
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api", tags=["statistics"])


@router.get("/statistics", response_model=StatisticsReport, responses=problems(404, 409))
def statistics(media: Media, asked: Annotated[AttemptConditions, Query()]) -> Response:
    """Totals and percentiles over the attempts that match."""
    return answer(media.statistics(asked.chosen(media)))


@router.get("/overview", response_model=JsonObject, responses=problems())
def overview(media: Media) -> Response:
    """How the installation stands now: queues, what is held and runs, the latest failures, and the disks."""
    return answer(media.overview())


@router.post("/doctor", response_model=JsonObject, responses=problems())
def doctor(media: Media) -> Response:
    """Check ffmpeg, database, clock, storage, disk and versions; a finding that is not fine says how to mend it."""
    return answer({"findings": [each.to_json() for each in media.doctor()]})
