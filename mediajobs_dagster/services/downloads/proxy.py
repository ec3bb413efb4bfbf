"""A proxy on loopback that leads to public addresses only, for programs that do not check where they connect to.

A name is looked up once; each of its addresses is checked, and one of these very addresses is connected to. So no
redirect, playlist, manifest or fragment leads into a private network, whoever follows it. Each client has a proxy of
its own, with a random port and a secret. When it is closed, so are all of its connections: that ends whatever waits
for one.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import secrets
import select
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock, Thread
from typing import Self
from urllib.parse import urlsplit

from mediajobs_dagster.errors import AddressRefusedError
from mediajobs_dagster.services.addresses import Networks, check_address
from mediajobs_dagster.services.connections import addresses_of

_HEAD_BYTES = 65_536
_PIECE_BYTES = 65_536
_AT_ONCE = 32
_SILENCE_S = 60.0
_OWN = "proxy-"
_PER_HOP = ("connection", "keep-alive", "te", "upgrade")
_PORTS = {"http": 80}


@dataclass
class FilterProxy:
    """The proxy, which serves from `open` to `close`."""

    allowed: Networks
    """The private networks that it may lead to."""
    max_bytes: int
    """When so many bytes have come in, it ends all connections."""
    connect_s: float = 10.0
    received: int = 0
    """Bytes that have come in."""
    refused: AddressRefusedError | None = None
    """The first address that was refused."""
    _secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: set[socket.socket] = field(default_factory=set[socket.socket])
    _lock: Lock = field(default_factory=Lock)
    _places: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(_AT_ONCE))
    _is_over: bool = False

    @classmethod
    @contextmanager
    def opened(cls, allowed: Networks, *, max_bytes: int, connect_s: float = 10.0) -> Generator[Self]:
        """A proxy that serves inside of the block."""
        proxy = cls(tuple(allowed), max_bytes, connect_s)
        accepting = Thread(target=proxy._accept, name="filter-proxy", daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            proxy.close()
            accepting.join(1.0)

    @property
    def address(self) -> str:
        """Where it is, with its secret."""
        return f"http://mediajobs:{self._secret}@127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def is_full(self) -> bool:
        """Whether more came in than was allowed."""
        return self.received > self.max_bytes

    def close(self) -> None:
        """End every connection, and take no more. May be called from any thread."""
        with self._lock:
            self._is_over = True
            held = [self._listener, *self._open]
        for each in held:
            with contextlib.suppress(OSError):  # not connected yet, or no longer
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    # --- one connection ----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                if not self._places.acquire(blocking=False):
                    client.close()
                    continue
                Thread(target=self._serve, args=(client,), name="filter-proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError, ValueError), client, self._held(client):
                head, rest = _read_head(client)
                self._answer(client, _Asked.parsed(head), rest)
        finally:
            self._places.release()

    def _answer(self, client: socket.socket, asked: _Asked, rest: bytes) -> None:
        if not hmac.compare_digest(asked.authorization, _basic(self._secret)):
            _refuse(client, 407, "Proxy Authentication Required")
            return
        try:
            server = self._connected(asked.host, asked.port)
        except AddressRefusedError as error:
            self.refused = self.refused or error
            _refuse(client, 403, "Address Refused")
            return
        except (OSError, UnicodeError):
            _refuse(client, 502, "Bad Gateway")
            return
        with server, self._held(server):
            if asked.method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                server.sendall(rest)
                self._relay(client, server)
                return
            server.sendall(asked.forwarded + rest[: asked.body_bytes])
            for piece in _rest_of_body(client, asked.body_bytes - len(rest)):
                server.sendall(piece)
            client.sendall(_closing(server))
            self._relay(client, server, is_asked=True)

    def _connected(self, host: str, port: int) -> socket.socket:
        addresses = addresses_of(host, port)
        for address in addresses:
            check_address(host, address.sockaddr[0], self.allowed)
        failure: OSError = ConnectionError(f"{host} has no address")
        for address in addresses:
            server = socket.socket(address.family, socket.SOCK_STREAM)
            server.settimeout(self.connect_s)
            try:
                server.connect(address.sockaddr)
            except OSError as error:
                server.close()
                failure = error
            else:
                server.settimeout(None)
                return server
        raise failure

    def _relay(self, client: socket.socket, server: socket.socket, *, is_asked: bool = False) -> None:
        """Pass on bytes both ways until either side ends, or the limit is reached.

        With `is_asked` the client has sent its request. A further one may be for another host: it does not get through.
        """
        ways = {client: server, server: client}
        while True:
            readable, _, _ = select.select(list(ways), (), ())
            for source in readable:
                piece = source.recv(_PIECE_BYTES)
                if not piece or (source is client and is_asked):
                    return
                if source is server and not self._takes(len(piece)):
                    return
                ways[source].sendall(piece)

    def _takes(self, size: int) -> bool:
        with self._lock:
            self.received += size
        return not self.is_full

    @contextmanager
    def _held(self, line: socket.socket) -> Generator[None]:
        with self._lock:
            if self._is_over:
                raise ConnectionAbortedError
            self._open.add(line)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(line)


@dataclass(frozen=True)
class _Asked:
    """A request to the proxy."""

    method: str
    host: str
    port: int
    authorization: str
    forwarded: bytes
    """What goes to the server first; of a tunnel, nothing."""
    body_bytes: int = 0
    """How much follows of a body."""

    @classmethod
    def parsed(cls, head: bytes) -> Self:
        """The request that begins with `head`. Raises ValueError."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
        given = next((value for name, value in headers if name.lower() == "proxy-authorization"), "")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        if not parts.hostname or (method != "CONNECT" and parts.scheme not in _PORTS):
            raise ValueError(f"{target} is no address")
        if method == "CONNECT":
            return cls(method, parts.hostname, parts.port or 443, given, b"")
        # One request a connection: the next one may be for another host.
        kept = [
            f"{name}: {value}"
            for name, value in headers
            if name.lower() not in _PER_HOP and not name.lower().startswith(_OWN)
        ]
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = "\r\n".join((f"{method} {path} {version}", *kept, "Connection: close", "", ""))
        size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        return cls(method, parts.hostname, parts.port or 80, given, sent.encode("latin-1"), size)


def _rest_of_body(client: socket.socket, left: int) -> Iterator[bytes]:
    while left > 0 and (piece := client.recv(min(left, _PIECE_BYTES))):
        left -= len(piece)
        yield piece


def _closing(server: socket.socket) -> bytes:
    """The head of a server's answer, and what came with it, with the word that nothing follows it.

    Not every server heeds `Connection: close`. A client that kept the connection would send its next request, which may
    be for another host, to this one.
    """
    while True:
        head, rest = _read_head(server)
        first, *lines = head.split(b"\r\n")
        if first.split(b" ")[1:2] and first.split(b" ")[1].startswith(b"1"):
            continue  # a word on the way to the answer; nobody asked for one
        kept = [line for line in lines if line.partition(b":")[0].strip().lower().decode("latin-1") not in _PER_HOP]
        return b"\r\n".join((first, *kept, b"Connection: close", b"", rest))


def _read_head(line: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request or an answer, without the empty line after it, and what came with it of the body."""
    line.settimeout(_SILENCE_S)
    read = b""
    while b"\r\n\r\n" not in read:
        piece = line.recv(_PIECE_BYTES)
        if not piece or len(read) > _HEAD_BYTES:
            raise ValueError("this is not HTTP")
        read += piece
    line.settimeout(None)
    head, _, rest = read.partition(b"\r\n\r\n")
    return head, rest


def _basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"mediajobs:{secret}".encode()).decode()


def _refuse(client: socket.socket, status: int, reason: str) -> None:
    client.sendall(f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
