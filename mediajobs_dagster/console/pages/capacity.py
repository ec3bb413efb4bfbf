"""What an hour of video takes and costs, and how many machines the time ahead needs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.capacity.planning import UNKNOWN, EnoughFor
from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.errors import RequestError

router = APIRouter(include_in_schema=False)

_DEFAULTS = {"days": 30.0, "growth": 1.0, "load": 0.8}
"""What is assumed of the time ahead, by its name in the address."""


@router.get("/capacity")
def show_capacity(request: Request, media: Media) -> Response:
    """The last 30 days, and a plan for as many. `?growth=1.5`, `days` and `load` change the plan."""
    asked = {name: _number(request, name, default) for name, default in _DEFAULTS.items()}
    report = media.capacity(days_ahead=asked["days"], growth=asked["growth"], load=asked["load"])
    return render(request, "capacity.html", report=report, asked=asked, aims=list(EnoughFor), unknown=UNKNOWN)


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name) or str(default)
    try:
        return float(text)
    except ValueError as error:
        raise RequestError(f"{text!r} is no number for `{name}`.") from error
