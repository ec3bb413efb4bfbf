"""Requests that are part of a trace of another program, as the header `traceparent` of W3C Trace Context says."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mediajobs_dagster.trace_context import HEADER, TraceParent, following


class Following:
    """An ASGI app: what `app` asks for belongs to the trace of the request, unless the request names another one.

    A header that is not valid, or that comes twice, counts as none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = Headers(scope=scope).getlist(HEADER) if scope["type"] == "http" else []
        with following(TraceParent.parse(found[0]) if len(found) == 1 else None):
            await self._app(scope, receive, send)
