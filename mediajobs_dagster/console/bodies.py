"""How large the body of a request may be. Files that are sent have a limit of their own."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.console.problems import problem_of
from mediajobs_dagster.errors import RequestTooLargeError

LARGEST = 5 << 20
"""Of a body other than a file, bytes; a timeline may have four MiB."""


class BodyLimit:
    """An ASGI app that lets no larger body through to `app`, but for those whose path is `streamed` and no JSON."""

    def __init__(self, app: ASGIApp, streamed: str) -> None:
        self._app, self._streamed = app, streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_file(scope):
            await self._app(scope, receive, send)
            return
        if _declared(scope) > LARGEST:
            await problem_of(_too_large())(scope, receive, send)
            return
        taken, has_begun = 0, False

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST:
                raise _too_large()
            return message

        async def sending(message: Message) -> None:
            nonlocal has_begun
            if taken > LARGEST and not has_begun:
                return  # FastAPI has an answer of its own for whatever is raised while it reads a body
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        except RequestTooLargeError:
            if has_begun:
                raise
        if taken > LARGEST and not has_begun:
            await problem_of(_too_large())(scope, receive, send)

    def _is_file(self, scope: Scope) -> bool:
        kind = Headers(scope=scope).get("content-type", "")
        return scope["path"] == self._streamed and not is_json(kind)


def is_json(content_type: str) -> bool:
    """Whether a body of that type is read as JSON."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _declared(scope: Scope) -> int:
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _too_large() -> RequestTooLargeError:
    return RequestTooLargeError(f"The body has more than {LARGEST >> 20} MiB, the most for a request that is no file.")
