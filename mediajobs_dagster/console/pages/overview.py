"""How everything stands: throughput, queues, errors, breakers, quotas, machines, disks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import RANGES, Media
from mediajobs_dagster.console.pages.drawings.columns import columns_of
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.use_cases.overview import Overview, Running

router = APIRouter(include_in_schema=False)

_MOST_MACHINES = 50


@dataclass(frozen=True)
class _Machine:
    """A machine that works, or has worked in the range."""

    name: str
    attempts: int
    """Those that it began in the range, and that have ended."""
    running: tuple[Running, ...]


@router.get("/")
def show_overview(request: Request, media: Media) -> Response:
    """The page that the console starts with."""
    asked = request.query_params.get("range", "24h")
    chosen = asked if asked in RANGES else "24h"
    throughput = media.throughput(RANGES[chosen])
    overview = media.overview()
    return render(
        request,
        "overview.html",
        ranges=RANGES,
        chosen=chosen,
        throughput=throughput,
        columns=columns_of(throughput.slots),
        overview=overview,
        machines=_machines(overview, throughput.hosts),
        breakers=[each for each in media.breakers.all() if each.state is not BreakerState.CLOSED],
        quota=media.quota.standings(),
    )


def _machines(overview: Overview, worked: Mapping[str, int]) -> list[_Machine]:
    """Those that work now first, then those that have done most."""
    running: dict[str, list[Running]] = {}
    for each in overview.running:
        running.setdefault(each.attempt.host or "unknown", []).append(each)
    found = [
        _Machine(name, worked.get(name, 0), tuple(running.get(name, ()))) for name in dict.fromkeys([*running, *worked])
    ]
    return sorted(found, key=lambda each: (-len(each.running), -each.attempts, each.name))[:_MOST_MACHINES]
