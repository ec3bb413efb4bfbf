"""Schedules: when each runs next, how its last runs ended, and why one was skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from mediajobs_dagster.console.outside import Outside
from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.history import AttemptFilter
from mediajobs_dagster.models import Attempt, AttemptStatus
from mediajobs_dagster.use_cases.schedules import ScheduleStanding

router = APIRouter(include_in_schema=False)

_RECENT = 10


def _outside(request: Request) -> Outside:
    outside: Outside = request.app.state.outside
    return outside


FromOutside = Annotated[Outside, Depends(_outside)]
"""What only Dagster knows, as a parameter of a route."""


@dataclass(frozen=True)
class _Row:
    standing: ScheduleStanding
    recent: tuple[Attempt, ...]
    """Newest first."""

    @property
    def skipped(self) -> Attempt | None:
        """The latest run, if it was skipped."""
        latest = self.recent[0] if self.recent else None
        return latest if latest and latest.status is AttemptStatus.SKIPPED else None


@router.get("/schedules")
def list_schedules(request: Request, media: Media, outside: FromOutside) -> Response:
    """All of them."""

    def row(standing: ScheduleStanding) -> _Row:
        of_type = AttemptFilter(job_name=standing.name)
        return _Row(standing, tuple(media.history.attempts.list(of_type, limit=_RECENT)))

    held = {each.job_type: each.reason for each in media.held()}
    return render(request, "schedules.html", rows=[row(each) for each in outside.schedules()], held=held)


@router.post("/schedules/{name}/run")
def run_schedule(outside: FromOutside, name: str) -> Response:
    """Put its job into the queue now."""
    return RedirectResponse(f"/jobs/{outside.run_schedule(name).id}", 303)
