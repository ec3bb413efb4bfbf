"""The console's ASGI app, put together: the API, the pages, and Dagster's UI below `/dagster`."""

from __future__ import annotations

from functools import partial

import anyio
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mediajobs_dagster import __version__
from mediajobs_dagster.console import metrics
from mediajobs_dagster.console.acting import Acting
from mediajobs_dagster.console.api import (
    attempts,
    breakers,
    bulk,
    exports,
    health,
    ingests,
    job_status,
    jobs,
    live,
    quota,
    records,
    scheduled_events,
    schedules,
    statistics,
    storage,
    studies,
    traces,
    uploads,
    videos,
    webhooks,
)
from mediajobs_dagster.console.bodies import BodyLimit
from mediajobs_dagster.console.document import document_of
from mediajobs_dagster.console.etags import ETags
from mediajobs_dagster.console.few_at_once import MOST, MOST_IN_PROCESS, FewAtOnce
from mediajobs_dagster.console.following import Following
from mediajobs_dagster.console.heads import Heads
from mediajobs_dagster.console.live import Live
from mediajobs_dagster.console.login_gate import LoginGate
from mediajobs_dagster.console.measured import Measured
from mediajobs_dagster.console.outside import Outside
from mediajobs_dagster.console.pages.problem_pages import ProblemPages
from mediajobs_dagster.console.pages.site import add_pages
from mediajobs_dagster.console.problems import Unexpected, answer_with_problems
from mediajobs_dagster.console.visiting import Reception
from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.metrics.readings import Readings

ROUTERS = (
    *(health.router, live.router, job_status.router, bulk.router, jobs.router, attempts.router, traces.router),
    *(uploads.router, ingests.router, exports.router, breakers.router, quota.router, schedules.router, storage.router),
    *(statistics.router, scheduled_events.router, videos.router, records.router, metrics.router),
    *(studies.router, webhooks.router),
)
"""What is served, a router for each noun. The first route that fits a path is taken."""

_DOWNLOADS = 4
"""How many addresses are downloaded at once; further ones wait."""
_ARRIVALS = 4
"""How many files that have arrived are probed and stored at once."""
_SLOW = ("/content", "/outputs/", "/storage", "/readyz", "/healthz")
"""In paths of what waits for a storage, or has to answer whatever else does not."""
_LOGINS = 2
"""How many passwords are looked at at once, each of which takes 19 MiB; further ones wait."""


def console_app(
    media: MediaJobs,
    outside: Outside,
    dagster: ASGIApp,
    *,
    live: Live | None = None,
    login: bool = False,
    probe_key: str | None = None,
) -> ASGIApp:
    """The app of one process, on its `media`. `dagster` serves what is below `/dagster`, with that in its paths.

    `live` tells what happens; by default it never ends a stream. With `login`, visitors have to say who they are;
    `probe_key` is a token for whoever has started the process, to see whether it works.
    """
    app = FastAPI(title="mediajobs", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.media, app.state.outside, app.state.live = media, outside, live or Live(media)
    app.state.readings = readings = Readings()
    app.state.reception = reception = Reception(media, probe_key)
    app.state.logins = anyio.CapacityLimiter(_LOGINS)
    app.state.readiness = health.Readiness()
    app.state.downloads, app.state.arrivals = anyio.CapacityLimiter(_DOWNLOADS), anyio.CapacityLimiter(_ARRIVALS)
    app.openapi = partial(document_of, app)
    app.add_middleware(BodyLimit, streamed=uploads.router.prefix)
    app.add_middleware(Acting)
    app.add_middleware(Following)
    app.add_middleware(ETags)
    app.add_middleware(Heads, endless="/events")
    answer_with_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    add_pages(app)
    app.add_api_route(DAGSTER, _to_dagster, include_in_schema=False)
    few = FewAtOnce(app, _SLOW, MOST_IN_PROCESS if media.history.is_on_this_machine else MOST)
    gate = LoginGate(Below(DAGSTER, dagster, few), reception, login=login)
    whole = ProblemPages(Unexpected(gate))
    return Measured(whole, readings) if media.settings.metrics else whole


async def _to_dagster() -> RedirectResponse:
    return RedirectResponse(f"{DAGSTER}/")


class Below:
    """Hands requests whose path lies below `prefix` to one app, and all others to another. The path stays whole."""

    def __init__(self, prefix: str, inner: ASGIApp, outer: ASGIApp) -> None:
        self._prefix, self._inner, self._outer = prefix, inner, outer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_below = scope["type"] in ("http", "websocket") and scope["path"].startswith(f"{self._prefix}/")
        await (self._inner if is_below else self._outer)(scope, receive, send)
