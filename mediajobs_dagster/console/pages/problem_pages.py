"""What browsers see when a page cannot be shown: the same as programs get, as a page."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.problems import MEDIA_TYPE

_PROGRAMS = ("/api", "/openapi.json", "/healthz", "/readyz", "/metrics")
"""Who asks below these gets what programs get, browser or not."""


class ProblemPages:
    """An ASGI app that turns the problem details of `app` into pages, for browsers that asked for a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _asks_for_page(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def sending(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await _page(Request(scope), start, json.loads(body))(scope, receive, send)

        await self._app(scope, receive, sending)


def _asks_for_page(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["path"].startswith(_PROGRAMS):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def _is_problem(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith(MEDIA_TYPE)


def _page(request: Request, start: Message, problem: dict[str, Any]) -> ASGIApp:
    answered = render(request, "problem.html", status=start["status"], problem=problem)
    if retry_after := Headers(raw=start["headers"]).get("retry-after"):
        answered.headers["Retry-After"] = retry_after
    return answered
