"""HEAD for every page and answer that GET has: what link checkers, proxies and `curl --head` ask with."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """An ASGI app that has `app` answer HEAD as it would GET, and leaves the body out.

    Routes that know HEAD themselves are asked as they are. Paths that end with `endless` do not know it: they are
    streams, which would never end.
    """

    def __init__(self, app: ASGIApp, endless: str) -> None:
        self._app, self._endless = app, endless

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or self._knows_head(scope):
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A scope of its own: the server looks at the method to know whether a body will come.
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, without_body)
        finally:
            scope["route"] = as_get.get("route")  # by which answers are counted

    def _knows_head(self, scope: Scope) -> bool:
        routes: Sequence[BaseRoute] = scope["app"].routes
        return scope["path"].endswith(self._endless) or any(each.matches(scope)[0] is Match.FULL for each in routes)
