"""The pages, put together: routes and static files."""

from __future__ import annotations

from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from mediajobs_dagster.console.pages import (
    access,
    attempts,
    audit,
    capacity,
    jobs,
    login,
    overview,
    schedules,
    search,
    storage,
    traces,
    uploads,
    webhooks,
)
from mediajobs_dagster.console.pages.asking import refuse_zero_characters

ROUTERS = (
    *(overview.router, jobs.router, attempts.router, traces.router, uploads.router),
    *(
        schedules.router,
        storage.router,
        capacity.router,
        webhooks.router,
        search.router,
        login.router,
        access.router,
        audit.router,
    ),
)


def add_pages(app: FastAPI) -> None:
    """Serve the pages from `app`, at `/`."""
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(refuse_zero_characters)])
    app.mount("/static", _Static(directory=Path(__file__).parent / "static"))


class _Static(StaticFiles):
    """Files of ours. Browsers ask each time whether they have changed: an upgrade shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answered = await super().get_response(path, scope)
        answered.headers["Cache-Control"] = "no-cache"
        answered.headers["X-Content-Type-Options"] = "nosniff"
        return answered
