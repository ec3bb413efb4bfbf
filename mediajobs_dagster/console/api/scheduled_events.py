"""Scheduled events, as calendars and APIs have told of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import Media, answer, as_json, page
from mediajobs_dagster.console.api.parameters import Moment, Paged, Reference, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.history import EventFilter
from mediajobs_dagster.models import EventStatus, JsonObject

router = APIRouter(prefix="/api/scheduled-events", tags=["scheduled events"])


class EventListing(Paged):
    """Which events are listed."""

    title: Text | None = Field(default=None, description="Part of the title, in any letter case.")
    status: EventStatus | None = Field(default=None, description="Only those that stand so.")
    source: Text | None = Field(default=None, description="Only those of this source.")
    since: Moment | None = Field(default=None, description="Beginning at this moment or later.")
    until: Moment | None = Field(default=None, description="Beginning before this moment.")
    removed: bool = Field(default=False, description="Also those that their source does not have any more.")


@router.get("", response_model=JsonObject, responses=problems(404))
def list_events(request: Request, media: Media, asked: Annotated[EventListing, Query()]) -> Response:
    """Events, the earliest first."""
    chosen = EventFilter(
        title=asked.title,
        status=asked.status,
        source=asked.source,
        since=asked.since,
        until=asked.until,
        with_removed=asked.removed,
    )
    found = media.events.list(chosen, limit=asked.limit + 1, after=asked.after)
    return page(request, asked, "events", found, lambda each: each.id)


@router.get("/{reference}", response_model=JsonObject, responses=problems(404, 409))
def show_event(media: Media, reference: Reference) -> Response:
    """One event: all that its source says of it."""
    return answer(media.events.show(reference))


@router.get("/{reference}/videos", response_model=JsonObject, responses=problems(404, 409))
def candidates(media: Media, reference: Reference) -> Response:
    """The videos that came into question for an event, the best first."""
    return answer({"candidates": as_json(media.videos.candidates(reference))})
