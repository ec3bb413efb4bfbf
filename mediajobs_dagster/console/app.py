"""The console's ASGI app, put together: the API, the pages, and Dagster's UI below `/dagster`."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mediajobs_dagster import __version__
from mediajobs_dagster.console.api import attempts, health, jobs
from mediajobs_dagster.console.outside import Outside
from mediajobs_dagster.console.pages.site import add_pages
from mediajobs_dagster.console.problems import answer_with_problems
from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.system import MediaJobs

ROUTERS = (health.router, jobs.router, attempts.router)
"""What is served, a router for each noun."""


def console_app(media: MediaJobs, outside: Outside, dagster: ASGIApp) -> ASGIApp:
    """The app of one process, on its `media`. `dagster` serves what is below `/dagster`, with that in its paths."""
    app = FastAPI(title="mediajobs", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.media, app.state.outside = media, outside
    answer_with_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    add_pages(app)
    app.add_api_route(DAGSTER, _to_dagster, include_in_schema=False)
    return Below(DAGSTER, dagster, app)


async def _to_dagster() -> RedirectResponse:
    return RedirectResponse(f"{DAGSTER}/")


class Below:
    """Hands requests whose path lies below `prefix` to one app, and all others to another. The path stays whole."""

    def __init__(self, prefix: str, inner: ASGIApp, outer: ASGIApp) -> None:
        self._prefix, self._inner, self._outer = prefix, inner, outer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_below = scope["type"] in ("http", "websocket") and scope["path"].startswith(f"{self._prefix}/")
        await (self._inner if is_below else self._outer)(scope, receive, send)
