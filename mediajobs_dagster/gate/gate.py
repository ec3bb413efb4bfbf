"""An ASGI app in front of others. It answers only requests that this server's own pages, or no web page at all, make.

Programs such as curl are no web page, and send none of the headers that are looked at here except for `Host`. Browsers
send them, and no page can change what they say:

- `Host` is the name that was asked for. A page at a name that its owner points to 127.0.0.1 (DNS rebinding) is of one
  origin with this server as far as the browser knows. Only this name gives it away.
- `Origin` is the site of the page that asks, with every POST and every WebSocket.
- `Sec-Fetch-Site` says whether that is our own site, with every request to loopback or by HTTPS.
"""

from __future__ import annotations

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.gate.names import SETTING, Names, Place

_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",  # no page of others shows ours in a frame, to have its buttons clicked
    "Cross-Origin-Resource-Policy": "same-origin",  # nor takes an answer in as a picture or a script
    "X-Content-Type-Options": "nosniff",
}
"""What browsers are told with every answer, unless the answer says otherwise."""

_MOST_WARNINGS = 20
"""How many different refusals are logged; a page that is refused could ask under any number of names."""

_log = logging.getLogger(__name__)


class Gate:
    """Hands on to `app` what it may see. Anything else is answered with 403 and what to do about it."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app, self._names = app, names
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif (reason := reason_to_refuse(scope, self._names)) is None:
            await self._app(scope, receive, _with_headers(send))
        else:
            self._log_once(reason)
            await PlainTextResponse(f"{reason}\n", status_code=403)(scope, receive, _with_headers(send))

    def _log_once(self, reason: str) -> None:
        if reason not in self._logged and len(self._logged) < _MOST_WARNINGS:
            self._logged.add(reason)
            _log.warning("A request was refused: %s", reason)


def reason_to_refuse(scope: Scope, names: Names) -> str | None:
    """Why a request (an ASGI scope of HTTP or WebSocket) is not answered, and what to do; None if it is."""
    headers = Headers(scope=scope)
    asked: list[Place] = []
    for text in (_only(headers, "host") or "", *_forwarded(headers)):
        place = Place.parse(text)
        if place is None or not names.include(place, _address_of_ours(scope)):
            return _unknown_name(text, place)
        asked.append(place)
    origin = _only(headers, "origin")
    if origin is not None and not names.own(origin, asked):
        return _foreign_origin(origin)
    site = _only(headers, "sec-fetch-site")
    if site not in (None, "same-origin", "none") and not _opens_a_page(scope, headers):
        return (
            f"A page of another site asked for this (Sec-Fetch-Site: {_shown(site)}). Only pages of this server may. "
            "Open its address in the browser instead."
        )
    return None


def _only(headers: Headers, name: str) -> str | None:
    # A header that is there twice becomes a value that nothing fits.
    return ", ".join(headers.getlist(name)) if name in headers else None


def _forwarded(headers: Headers) -> list[str]:
    # Where a proxy puts its own address into Host, this is the name that the browser asked for.
    forwarded = _only(headers, "x-forwarded-host")
    return [] if forwarded is None else [text.strip() for text in forwarded.split(",")]


def _address_of_ours(scope: Scope) -> str | None:
    server = scope.get("server")
    return server[0] if server else None


def _opens_a_page(scope: Scope, headers: Headers) -> bool:
    # A link in a mail or on another page, which the user follows: the answer is shown to the user, and to no page.
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and (_only(headers, "sec-fetch-mode"), _only(headers, "sec-fetch-dest")) == ("navigate", "document")
    )


def _unknown_name(text: str, place: Place | None) -> str:
    if place is None:
        return f"{_shown(text)} is not the name of a server (Host, or X-Forwarded-Host)."
    return (
        f"This server is not known as {_shown(text)}. If that is a name of yours by which browsers reach it, set "
        f"{SETTING}={place.name} (several are separated by commas), and start the web server again."
    )


def _foreign_origin(origin: str) -> str:
    return (
        f"A page of {_shown(origin)} asked for this. Only pages of this server may. If that is the address of a proxy "
        f"of yours, set {SETTING} to its name, such as media.example.com or media.example.com:8443, and start the web "
        "server again."
    )


def _shown(text: str) -> str:
    return repr(text[:100])


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
