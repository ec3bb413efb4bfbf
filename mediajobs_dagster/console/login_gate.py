"""The gate behind which all of the console lies, Dagster's UI too: who is let in, and who may change something."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.access.visitor import ANYBODY, VISITOR, Means, Visitor
from mediajobs_dagster.console.problems import problem_of
from mediajobs_dagster.console.visiting import Reception
from mediajobs_dagster.errors import CrossSiteError, LoginNeededError, MediaJobsError, NotAllowedError
from mediajobs_dagster.orchestration.serving.paths import DAGSTER

LOGIN, _ALIVE = "/login", "/healthz"
OPEN = frozenset({LOGIN, _ALIVE})
"""What is there for everybody, beside what lies below `/static/`."""
FOR_METRICS = frozenset({"/metrics", "/metrics.json", "/readyz"})
"""What a token for metrics is good for."""
FOR_ONESELF = frozenset({"/logout", "/access/password"})
"""What a viewer may send, for it concerns nobody else; and what lies below `/access/sessions/`."""

_STATIC = "/static/"
_SESSIONS = "/access/sessions/"
_PROGRAMS = ("/api", "/openapi.json", "/metrics", "/readyz")
"""Below these, nobody is sent to the page that logs in."""
_ASKING = ("GET", "HEAD", "OPTIONS")
_LOOK_AGAIN_S = 20.0
"""How long an answer that does not end goes on before it is asked whether the visitor may still see it, seconds."""
_LOOKERS = 2
"""How many threads find out who comes, which takes each a look into an index."""
_POLICY_VIOLATED = 1008
"""The code with which a WebSocket is closed (RFC 6455)."""

Look = Callable[[], Awaitable[Visitor | None]]
"""Finds out anew who a visitor is."""


class LoginGate:
    """Hands on to `app` what its visitor may see and do, with the visitor in the scope of the request.

    Behind `gate/gate.py`, which refuses pages of other sites. Without `login`, everybody may do everything.
    """

    def __init__(self, app: ASGIApp, reception: Reception, *, login: bool) -> None:
        self._app, self._reception, self._login = app, reception, login
        # Threads of its own: who comes is found out although all others wait for a storage.
        self._lookers = anyio.CapacityLimiter(_LOOKERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._reception.strip(scope)
        scope[VISITOR] = ANYBODY
        if not self._login:
            await self._app(scope, receive, send)
            return
        try:
            scope[VISITOR] = visitor = await self._visitor_of(scope)
            _check(scope, visitor)
        except MediaJobsError as error:
            await _refuse(error, scope, receive, send)
            return
        look = partial(self._visitor_of, scope, is_new=False)
        watched = send if visitor is None else _Watched(send, visitor, look).send
        await self._app(scope, receive, watched)

    async def _visitor_of(self, scope: Scope, *, is_new: bool = True) -> Visitor | None:
        # Whether the process lives is answered although the database does not answer.
        if scope["path"].startswith(_STATIC) or scope["path"] == _ALIVE:
            return None
        look = partial(self._reception.visitor_of, scope, is_new=is_new)
        return await anyio.to_thread.run_sync(look, limiter=self._lookers)


def _check(scope: Scope, visitor: Visitor | None) -> None:
    """Raise the error of a request that is not answered: LoginNeededError, NotAllowedError, CrossSiteError."""
    path = scope["path"]
    if visitor is None:
        if path not in OPEN and not path.startswith(_STATIC):
            raise LoginNeededError
    elif not visitor.may_look and path not in FOR_METRICS | OPEN:
        raise NotAllowedError(f"The token {visitor.token_name} is for metrics only.")
    if scope["type"] == "websocket" or scope["method"] in _ASKING:
        return
    if (visitor is None or visitor.means is not Means.TOKEN) and not _is_own_page(Headers(scope=scope)):
        raise CrossSiteError
    # Of Dagster's requests, those that only ask are sent in the same way: `dagster_changes.py` tells them apart.
    is_judged_there = path.startswith((f"{DAGSTER}/", _SESSIONS))
    if visitor is not None and not visitor.may_change and path not in FOR_ONESELF | OPEN and not is_judged_there:
        raise NotAllowedError


def _is_own_page(headers: Headers) -> bool:
    # Whether an Origin that is there is ours was looked at by `gate/gate.py`.
    return "origin" in headers or headers.getlist("sec-fetch-site") == ["same-origin"]


async def _refuse(error: MediaJobsError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Before it is accepted, the server makes a bare 403 of it.
        await send({"type": "websocket.close", "code": _POLICY_VIOLATED})
        return
    if isinstance(error, LoginNeededError) and _opens_a_page(scope):
        await RedirectResponse(f"{LOGIN}?next={quote(_address_of(scope))}", 303)(scope, receive, send)
        return
    answer = problem_of(error)
    if isinstance(error, LoginNeededError):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="mediajobs"'
    await answer(scope, receive, send)


def _opens_a_page(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return (
        not scope["path"].startswith(_PROGRAMS)
        and "text/html" in headers.get("accept", "")
        # What a script of a page asks for is shown to nobody.
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
    )


def _address_of(scope: Scope) -> str:
    if scope["method"] != "GET":
        return "/"  # what was sent is not sent again
    query = scope["query_string"].decode("latin-1")
    return scope["path"] + (f"?{query}" if query else "")


class _Watched:
    """What is sent to a visitor. Streams and WebSockets end when the login does."""

    def __init__(self, send: Send, visitor: Visitor, look: Look) -> None:
        self._send, self._visitor, self._look = send, visitor, look
        self._looked = time.monotonic()
        self._has_ended = False

    async def send(self, message: Message) -> None:
        if self._has_ended:
            return
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private")  # proxies keep it for nobody else
        goes_on = message["type"] == "websocket.send" or message.get("more_body", False)
        if goes_on and time.monotonic() - self._looked > _LOOK_AGAIN_S:
            self._looked = time.monotonic()  # before the look: others may send meanwhile
            if not await self._may_go_on():
                if self._has_ended:
                    return
                self._has_ended = True
                await self._send(_end_of(message))
                return
        await self._send(message)

    async def _may_go_on(self) -> bool:
        try:
            return await self._look() == self._visitor
        except MediaJobsError:  # the database does not answer; it will be asked again
            return True


def _end_of(message: Message) -> Message:
    if message["type"] == "websocket.send":
        return {"type": "websocket.close", "code": _POLICY_VIOLATED}
    return {"type": "http.response.body", "body": b"", "more_body": False}
