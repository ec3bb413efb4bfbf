"""Figures: of the attempts that match conditions, and of the installation as it stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.capacity.planning import CapacityReport
from mediajobs_dagster.console.api.answers import Media, answer
from mediajobs_dagster.console.api.parameters import AttemptConditions, Moment, Parameters, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.history import StatisticsReport
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.use_cases.capacity import LEAST_LOAD, MOST_DAYS, MOST_GROWTH

router = APIRouter(prefix="/api", tags=["statistics"])


class Range(Parameters):
    """How far back is looked."""

    hours: int = Field(default=24, ge=1, le=24 * 366, description="Up to 48 by the hour, else by the day.")


class Plan(Parameters):
    """A period that was measured, and what is assumed of the time ahead."""

    since: Moment | None = Field(default=None, description="Where it begins; default: 30 days before its end.")
    until: Moment | None = Field(default=None, description="Where it ends; default: now.")
    days_ahead: float = Field(30, alias="daysAhead", ge=1, le=MOST_DAYS, description="How far ahead is planned.")
    growth: float = Field(
        default=1, gt=0, le=MOST_GROWTH, description="How much more comes in; 1.5 is half as much again."
    )
    load: float = Field(
        default=0.8, ge=LEAST_LOAD, le=1, description="Share of the time that a machine is planned to be busy."
    )


class Search(Parameters):
    """What is searched for."""

    q: Text = Field(min_length=1, description="A text.", examples=["holiday"])


@router.get("/statistics", response_model=StatisticsReport, responses=problems(404, 409))
def statistics(media: Media, asked: Annotated[AttemptConditions, Query()]) -> Response:
    """Totals and percentiles over the attempts that match."""
    return answer(media.statistics(asked.chosen(media)))


@router.get("/throughput", response_model=JsonObject, responses=problems())
def throughput(media: Media, asked: Annotated[Range, Query()]) -> Response:
    """What has ended of what was begun in the last hours: by span, by job type and by error. Costs the same always."""
    return answer(media.throughput(timedelta(hours=asked.hours)))


@router.get("/capacity", response_model=CapacityReport, responses=problems())
def capacity(media: Media, asked: Annotated[Plan, Query()]) -> Response:
    """What media took of the machines in a period, and how many machines the days ahead ask for, at the prices set."""
    return answer(
        media.capacity(asked.since, asked.until, days_ahead=asked.days_ahead, growth=asked.growth, load=asked.load)
    )


@router.get("/search", response_model=JsonObject, responses=problems())
def search(media: Media, asked: Annotated[Search, Query()]) -> Response:
    """What a text may mean: an error code, the beginning of an id, or a part of a name. Exact ones come first."""
    return answer({"hits": [each.to_json() for each in media.search(asked.q)]})


@router.get("/overview", response_model=JsonObject, responses=problems())
def overview(media: Media) -> Response:
    """How the installation stands now: queues, what is held and runs, the latest failures, and the disks."""
    return answer(media.overview())


@router.post("/doctor", response_model=JsonObject, responses=problems())
def doctor(media: Media) -> Response:
    """Check ffmpeg, database, clock, storage, disk and versions; a finding that is not fine says how to mend it."""
    return answer({"findings": [each.to_json() for each in media.doctor()]})
