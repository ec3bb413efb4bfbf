"""Traces: everything that follows from one request."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from mediajobs_dagster.console.api.answers import Media, answer
from mediajobs_dagster.console.api.parameters import Reference
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/traces", tags=["traces"])


@router.get("/{reference}", response_model=JsonObject, responses=problems(404, 409))
def show_trace(media: Media, reference: Reference) -> Response:
    """The uploads of a trace, and its jobs as a tree, with their attempts."""
    return answer(media.trace_tree(reference))
