"""The storage: what lies under which prefix, how it grows, and what may go, with the reasons."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import render

router = APIRouter(include_in_schema=False)

_SNAPSHOTS = 30


@router.get("/storage")
def show_storage(request: Request, media: Media) -> Response:
    """The latest report, with those before. `?candidates=1` also walks the storage for what may go."""
    report = media.inventory.latest()
    asked = request.query_params.get("candidates") == "1"
    before = reversed(media.history.storage_snapshots.list(limit=_SNAPSHOTS))
    return render(
        request,
        "storage.html",
        report=report,
        snapshots=[each for each in before if report and each.report.get("storage") == report.storage],
        collected=media.inventory.collect(limit=200) if asked else None,
        is_asked=asked,
    )
