"""What was done, by whom, when and why."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import render

router = APIRouter(include_in_schema=False)

_SHOWN = 200


@router.get("/audit")
def show_audit(request: Request, media: Media) -> Response:
    """The latest actions, of one kind if `action` names it."""
    name = request.query_params.get("action", "").strip()[:100] or None
    found = media.history.actions.list(limit=_SHOWN, name=name)
    return render(request, "audit.html", actions=found, name=name or "", most=_SHOWN)
