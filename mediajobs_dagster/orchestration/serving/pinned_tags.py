"""Which tags Dagster's page of runs shows below each run: trace and file. All others are a click away.

Dagster pins every tag of a job's own, and lets each user unpin them. The choice is kept by the browser, so the page is
sent with a line that makes the first choice. What a user has chosen stays.
"""

from __future__ import annotations

import json
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.orchestration import tags

UNPINNED = (
    *(tags.JOB_TYPE, tags.SUBJECT, tags.LANE, tags.NEEDS),
    *(tags.DISPATCH, tags.TAKEN, tags.SEARCHING, tags.SILENCE, tags.LAUNCHED_BY_USER),
)
"""Our tags that help programs and rarely people."""

_KEY = "unpinned-tags"
"""Where Dagster's page keeps the choice, in the browser's storage of the site."""
_SCRIPT = f"if(localStorage.getItem({json.dumps(_KEY)})===null)localStorage.setItem({json.dumps(_KEY)},%s)"
_NONCE = re.compile(r"'nonce-([\w-]+)'")
_HEAD = b"<head>"


class PinnedTags:
    """An ASGI app that adds the first choice of pinned tags to the pages of `app`, as their own policy allows it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        await self._app(scope, receive, _Page(send).send if is_get else send)


class _Page:
    """One answer. Only of a page with a policy is it held back until all of it is there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._nonce = ""
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and (nonce := _nonce_of(Headers(raw=message["headers"]))):
            self._start, self._nonce = message, nonce
        elif message["type"] != "http.response.body" or self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        choice = json.dumps(json.dumps(UNPINNED))
        script = f'{_HEAD.decode()}<script nonce="{self._nonce}">{_SCRIPT % choice}</script>'.encode()
        body = self._body.replace(_HEAD, script, 1)
        MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _nonce_of(headers: Headers) -> str | None:
    """What a script of a page has to name to be run; None of anything but a plain page with such a policy."""
    if not headers.get("content-type", "").startswith("text/html") or "content-encoding" in headers:
        return None
    found = _NONCE.search(headers.get("content-security-policy", ""))
    return found[1] if found else None
