"""What was done by people, and what was alerted of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import Media, page
from mediajobs_dagster.console.api.parameters import Moment, Paged, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.models import AlertKind, JsonObject

router = APIRouter(prefix="/api", tags=["records"])


class ActionListing(Paged):
    """Which actions are listed."""

    limit: int = Field(default=50, ge=1, le=1000, description="How many to list at most.")
    action: Text | None = Field(default=None, description="Only those of this name, such as `jobs retry`.")


class AlertListing(Paged):
    """Which alerts are listed."""

    kind: list[AlertKind] = Field(default_factory=list[AlertKind], max_length=20, description="One of these.")
    since: Moment | None = Field(default=None, description="Since this moment.")


@router.get("/actions", response_model=JsonObject, responses=problems(404))
def list_actions(request: Request, media: Media, asked: Annotated[ActionListing, Query()]) -> Response:
    """What people and programs did, newest first: by whom, when and why."""
    found = media.history.actions.list(limit=asked.limit + 1, name=asked.action, after=asked.after)
    return page(request, asked, "actions", found, lambda each: each.id)


@router.get("/alerts", response_model=JsonObject, responses=problems(404))
def list_alerts(request: Request, media: Media, asked: Annotated[AlertListing, Query()]) -> Response:
    """Alerts, newest first."""
    found = media.alerts.list(kinds=asked.kind, since=asked.since, limit=asked.limit + 1, after=asked.after)
    return page(request, asked, "alerts", found, lambda each: each.id)
