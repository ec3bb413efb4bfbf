"""How everything stands: throughput, queues, errors, breakers, quotas, machines, disks."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.drawings.columns import columns_of
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.resilience.states import BreakerState

router = APIRouter(include_in_schema=False)

RANGES = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}


@router.get("/")
def show_overview(request: Request, media: Media) -> Response:
    """The page that the console starts with."""
    asked = request.query_params.get("range", "24h")
    chosen = asked if asked in RANGES else "24h"
    throughput = media.throughput(RANGES[chosen])
    return render(
        request,
        "overview.html",
        ranges=RANGES,
        chosen=chosen,
        throughput=throughput,
        columns=columns_of(throughput.slots),
        overview=media.overview(),
        breakers=[each for each in media.breakers.all() if each.state is not BreakerState.CLOSED],
        quota=media.quota.standings(),
    )
