"""Search: one field that takes any id, trace, file name or error code, and goes there."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import address, render
from mediajobs_dagster.use_cases.search import Hit, HitKind

router = APIRouter(include_in_schema=False)

_LONGEST = 500


@router.get("/search")
def find(request: Request, media: Media) -> Response:
    """To the one thing that is meant; else the list of what may be."""
    text = request.query_params.get("q", "").strip()[:_LONGEST]
    hits = media.search(text)
    exact = [each for each in hits if each.is_exact]
    if len(exact) == 1 or len(hits) == 1:
        return RedirectResponse(place_of((exact or hits)[0]), 303)
    return render(request, "search.html", text=text, hits=hits, place_of=place_of)


def place_of(hit: Hit) -> str:
    """The page of what was found."""
    if hit.kind is HitKind.ERROR:
        return address("/jobs", error=hit.id)
    return f"/{hit.kind}s/{quote(hit.id, safe='')}"
