"""Quotas of outside services."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from mediajobs_dagster.console.api.answers import Media, answer, as_json
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/quota", tags=["quota"])


@router.get("", response_model=JsonObject, responses=problems())
def show_quota(media: Media) -> Response:
    """How every quota stands: what is used, what is left, and when it is full again."""
    return answer({"quota": as_json(media.quota.standings())})
