"""Answers that have not changed are not sent again: an ETag for each JSON answer to a GET."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LARGEST = 8 << 20
"""Larger answers are passed on as they come, bytes."""


class ETags:
    """An ASGI app that names each JSON answer of `app` by its content, and answers 304 to who has it already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["type"] == "http" and scope["method"] == "GET"
        await self._app(scope, receive, _Answer(scope, send).send if is_read else send)


class _Answer:
    """One answer: held back until its body is there, if it is JSON in one piece."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._asked = Headers(scope=scope).get("if-none-match", "")
        self._send = send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_named_by_content(message):
            self._start = message
        elif self._start is not None and message["type"] == "http.response.body":
            start, self._start = self._start, None
            body: bytes = message.get("body", b"")
            if message.get("more_body", False) or len(body) > _LARGEST:
                await self._send(start)
                await self._send(message)
            else:
                await self._finish(start, body)
        else:
            await self._send(message)

    async def _finish(self, start: Message, body: bytes) -> None:
        etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        headers = MutableHeaders(raw=start["headers"])
        headers["ETag"] = etag
        headers.setdefault("Cache-Control", "private, no-cache")
        if any(each.strip().removeprefix("W/") in (etag, "*") for each in self._asked.split(",")):
            del headers["content-length"]
            start, body = {**start, "status": 304}, b""
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_named_by_content(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    is_json = headers.get("content-type", "").startswith("application/json")
    may_be_kept = "no-store" not in headers.get("cache-control", "")
    return start["status"] == 200 and is_json and may_be_kept and "etag" not in headers
