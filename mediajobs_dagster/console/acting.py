"""Who acts through the console, for the record of actions."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from mediajobs_dagster.history import acting_as

API = "api"
"""Whoever comes without a name."""


class Acting:
    """An ASGI app: what `app` does is recorded as done through the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with acting_as(API):
            await self._app(scope, receive, send)
