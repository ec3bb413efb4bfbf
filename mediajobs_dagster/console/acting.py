"""Who acts through the console, for the record of actions."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from mediajobs_dagster.access.visitor import API, visitor_in
from mediajobs_dagster.history import acting_as


class Acting:
    """An ASGI app: what `app` does is recorded as done by the visitor."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = visitor_in(scope)
        with acting_as(visitor.who if visitor else API):
            await self._app(scope, receive, send)
