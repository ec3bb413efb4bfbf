"""`/metrics` and `/metrics.json`: what the installation counts, and what this process measures of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from mediajobs_dagster.console.api.answers import FromOutside, Media
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.telemetry.metrics.process import sample_process
from mediajobs_dagster.telemetry.metrics.readings import Readings
from mediajobs_dagster.use_cases.metrics import Metrics

router = APIRouter(tags=["metrics"])

_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus' text format, or OpenMetrics for those that ask for it.",
        "content": {"text/plain": {}, "application/openmetrics-text": {}},
    }
}
_FRESH = {"Cache-Control": "no-store"}


def _metrics(request: Request, media: Media, outside: FromOutside) -> Metrics:
    readings: Readings = request.app.state.readings
    if media.settings.metrics:
        sample_process(readings, media.settings.scratch)
    return replace(media.metrics, process=readings, daemons=outside.silence)


FromMetrics = Annotated[Metrics, Depends(_metrics)]


@router.get("/metrics", response_class=Response, responses={**problems(), **_FORMS})
def text(metrics: FromMetrics, accept: Annotated[str, Header()] = "") -> Response:
    """The metrics, as Prometheus reads them."""
    found = metrics.exposition(accept)
    return Response(found.body, media_type=found.content_type, headers=_FRESH)


@router.get("/metrics.json", response_model=JsonObject, responses=problems())
def snapshot(metrics: FromMetrics) -> Response:
    """The metrics as JSON: times in milliseconds, and histograms with estimated quantiles."""
    return JSONResponse(metrics.snapshot(), headers=_FRESH)
