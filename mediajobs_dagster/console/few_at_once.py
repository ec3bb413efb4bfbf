"""How many requests are answered at once."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST = 6
"""Requests of one process that are answered at the same time; further ones wait for one of these.

Python executes one thread at a time. With forty, as anyio has by default, each answer waits for bits of all others, and
each has a connection to the database. A few are needed, because some wait for the database.
"""
MOST_IN_PROCESS = 2
"""The same with SQLite, which works within the process: nobody waits for it, but each row lets another thread have its
turn. With six threads, two thirds as many requests are answered: the rest of the time goes into taking turns."""


class FewAtOnce:
    """An ASGI app that has `app` work on a few requests at a time.

    Only on those that ask: what is sent with others may take as long as their client likes. A request counts until its
    answer begins, so slow readers, streams and files hold up nobody. Paths that have one of `slow` in them are not
    counted: they wait for a storage, which may be away.
    """

    def __init__(self, app: ASGIApp, slow: tuple[str, ...], most: int) -> None:
        self._app, self._slow = app, slow
        self._free = asyncio.Semaphore(most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or self._is_slow(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._free.acquire()
        is_held = True

        async def sending(message: Message) -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._free.release()
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if is_held:
                self._free.release()

    def _is_slow(self, path: str) -> bool:
        return any(each in path for each in self._slow)
