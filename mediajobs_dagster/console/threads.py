"""How many threads answer requests."""

from __future__ import annotations

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

MOST = 6
"""Threads of one process that answer at the same time; further requests wait for one.

Python executes one thread at a time. With forty, as anyio starts by default, each answer waits for bits of all others,
and each has a connection to the database. A few are needed, because some wait for the disk or for a storage.
"""


class FewThreads:
    """An ASGI app that has `app` answer with a few threads, in the event loop that serves it."""

    def __init__(self, app: ASGIApp, most: int = MOST) -> None:
        self._app, self._most, self._is_set = app, most, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_set:
            anyio.to_thread.current_default_thread_limiter().total_tokens = self._most
            self._is_set = True
        await self._app(scope, receive, send)
