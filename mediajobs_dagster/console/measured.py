"""An ASGI app that counts the answers of another, and how late its event loop is."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.telemetry.metrics.readings import Readings

_LOOK_S = 0.5
"""How long the event loop is asked to wait, between two looks at how late it is, seconds."""
_CLIENT_GONE = 499
"""Stands for no answer because its client has gone, as nginx logs it."""
_UNKNOWN = "unknown"
"""The route of what no route fits: a path is whatever somebody has sent, so it is no label."""


class Measured:
    """Counts what `app` answers, by the templates of its routes. Requests cost a few microseconds more."""

    def __init__(self, app: ASGIApp, readings: Readings) -> None:
        self._app, self._readings = app, readings
        self._watching: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch_loop())
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), _CLIENT_GONE
        stream_begun: float | None = None

        async def sending(message: Message) -> None:
            nonlocal status, stream_begun
            if message["type"] == "http.response.start":
                status = message["status"]
                if _is_stream(message):
                    stream_begun = time.perf_counter()
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            status = HTTPStatus.INTERNAL_SERVER_ERROR.value
            raise
        finally:
            self._record(scope, status, 1000 * ((stream_begun or time.perf_counter()) - begun))

    def _record(self, scope: Scope, status: int, took_ms: float) -> None:
        found, route = self._readings, _route_of(scope)
        found.count("http.requests_total", method=scope["method"], route=route, code_class=f"{status // 100}xx")
        found.observe("http.request_latency_ms", took_ms, route=route)
        if status >= HTTPStatus.BAD_REQUEST:
            found.count("http.errors_total", route=route, code=str(status))

    async def _watch_loop(self) -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(_LOOK_S)
            self._readings.observe("event_loop.lag_ms", max(0.0, 1000 * (time.perf_counter() - begun - _LOOK_S)))


def _is_stream(start: Message) -> bool:
    """Whether it ends only when its client goes: how long that takes says nothing of us."""
    return Headers(raw=start["headers"]).get("content-type", "").startswith("text/event-stream")


def _route_of(scope: Scope) -> str:
    """The template of the route that has answered: routers leave it in the scope."""
    if path := getattr(scope.get("route"), "path", None):
        return path
    if scope["path"].startswith(f"{DAGSTER}/"):
        return f"{DAGSTER}/{{path}}"
    if mounted := scope.get("root_path"):
        return f"{mounted}/{{path}}"
    return _UNKNOWN
