"""An ASGI app on a real server, and requests to it that say of themselves what browsers, or attackers, say."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

Headers = Sequence[tuple[str, str]]
"""Names and values; a name may be there twice, and `Host` takes the place of the true one."""


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Its base address, until the block ends."""
    options: dict[str, Any] = {"log_config": None, "log_level": "error", "lifespan": "off"}
    # Believes nothing that is said of where a request comes from, as our own server does.
    server = uvicorn.Server(uvicorn.Config(app, port=0, proxy_headers=False, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def data(self) -> Any:
        """The answer of a GraphQL server."""
        return self.json["data"]

    @property
    def json(self) -> Any:
        """What it says as JSON."""
        return json.loads(self.text)


def send(url: str, method: str = "GET", headers: Headers = (), body: str | bytes | None = None) -> Answer:
    """Send a request with these headers and no others, but for `Host` and the length of the body."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        target = url.partition(parts.netloc)[2] or "/"
        connection.putrequest(method, target, skip_host=has_host(headers), skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        content = body.encode() if isinstance(body, str) else body
        if content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
    finally:
        connection.close()


def has_host(headers: Headers) -> bool:
    """Whether they name the server themselves."""
    return any(name.lower() == "host" for name, _ in headers)


def open_websocket(url: str, headers: Headers = ()) -> ClientConnection:
    """A WebSocket of GraphQL at that address of HTTP. Raises InvalidStatus when the server refuses it."""
    parts = urlsplit(url)
    asked = dict(headers).get("Host", parts.netloc)
    given = [(name, value) for name, value in headers if name != "Host"]
    return connect(
        f"ws://{asked}{parts.path}",
        sock=socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30),
        additional_headers=given,
        subprotocols=["graphql-ws"],  # pyright: ignore[reportArgumentType]  # a type of its own for a text
        compression=None,
    )


def refused_websocket(url: str, headers: Headers = ()) -> Answer:
    """What the server says instead of opening a WebSocket; fails if it opens it."""
    try:
        open_websocket(url, headers).close()
    except InvalidStatus as error:
        response = error.response
        return Answer(response.status_code, dict(response.headers), bytes(response.body or b"").decode())
    raise AssertionError(f"{url} was opened, with {headers}")
