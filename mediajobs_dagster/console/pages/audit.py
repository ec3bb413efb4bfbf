"""What was done, by whom, when and why."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import render

router = APIRouter(include_in_schema=False)

_PAGE = 100


@router.get("/audit")
def show_audit(request: Request, media: Media) -> Response:
    """A page of the actions, newest first, of one kind if `action` names it."""
    query = request.query_params
    name = query.get("action", "").strip()[:100] or None
    found = media.history.actions.list(limit=_PAGE + 1, name=name, after=query.get("after") or None)
    shown = found[:_PAGE]
    next_after = shown[-1].id if len(found) > _PAGE else None
    return render(request, "audit.html", actions=shown, name=name or "", next_after=next_after)
