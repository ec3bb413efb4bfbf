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
import selectors
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock, Thread
from typing import Self
from urllib.parse import unquote, urlsplit

from mediajobs_dagster.errors import AddressRefusedError
from mediajobs_dagster.services.addresses import Networks, check_address, check_name
from mediajobs_dagster.services.connections import addresses_of, proxy_of

_HEAD_BYTES = 65_536
_PIECE_BYTES = 65_536
_AT_ONCE = 32
_SILENCE_S = 60.0
_NAME = "mediajobs"
_OWN = "proxy-"
_PER_HOP = ("connection", "keep-alive", "te", "upgrade")


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
        return f"http://{_NAME}:{self._secret}@127.0.0.1:{self._listener.getsockname()[1]}"

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
        if not hmac.compare_digest(asked.authorization, _basic(_NAME, self._secret)):
            _refuse(client, 407, "Proxy Authentication Required")
            return
        try:
            server, forwarded = self._way(asked)
        except AddressRefusedError as error:
            self.refused = self.refused or error
            _refuse(client, 403, "Address Refused")
            return
        except (OSError, ValueError):  # a name with a label that is too long is a UnicodeError, which is a ValueError
            _refuse(client, 502, "Bad Gateway")
            return
        with server, self._held(server):
            if asked.is_tunnel:
                client.sendall(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                server.sendall(rest)
                self._relay(client, server)
                return
            server.sendall(forwarded + rest[: asked.body_bytes])
            for piece in _rest_of_body(client, asked.body_bytes - len(rest)):
                server.sendall(piece)
            client.sendall(_closing(server))
            self._relay(client, server, is_asked=True)

    def _way(self, asked: _Asked) -> tuple[socket.socket, bytes]:
        """A connection by which the server is reached, and what goes into it first."""
        if asked.scheme != "http":
            raise AddressRefusedError(f"{asked.scheme}: addresses are not fetched, only http:// and https:// ones.")
        outer = proxy_of(asked.url)
        if outer is None:
            return self._connected(asked.host, asked.port, self.allowed), asked.forwarded
        check_name(asked.host, self.allowed)  # what the proxy of the environment may connect to is its own business
        parts = urlsplit(outer)
        if parts.scheme != "http" or not parts.hostname:
            raise OSError(f"a proxy at {parts.scheme}:// is not used here")
        server = self._connected(parts.hostname, parts.port or 80, None)
        known = f"Proxy-Authorization: {_basic(parts.username, parts.password or '')}\r\n" if parts.username else ""
        if not asked.is_tunnel:
            return server, asked.through(known)
        try:
            server.sendall(f"CONNECT {asked.place} HTTP/1.1\r\nHost: {asked.place}\r\n{known}\r\n".encode())
            head, _ = _read_head(server)
            if head.split(b" ")[1:2] != [b"200"]:
                raise OSError("the proxy of the environment refuses the connection")
        except BaseException:
            server.close()
            raise
        return server, b""

    def _connected(self, host: str, port: int, allowed: Networks | None) -> socket.socket:
        """A connection to one of the addresses that were checked; `allowed` None: any will do."""
        addresses = addresses_of(host, port)
        for address in addresses if allowed is not None else ():
            check_address(host, address.sockaddr[0], allowed or ())
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
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ, server)
            waiting.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in waiting.select():
                    is_from_server = key.data is client
                    piece = (server if is_from_server else client).recv(_PIECE_BYTES)
                    if not piece or (is_asked and not is_from_server):
                        return
                    if is_from_server and not self._takes(len(piece)):
                        return
                    key.data.sendall(piece)

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
    scheme: str = "http"
    """Of the address that is asked for; of a tunnel, what goes through it is not known."""

    @property
    def is_tunnel(self) -> bool:
        """Whether a connection is wanted, for TLS."""
        return self.method == "CONNECT"

    @property
    def place(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"{'https' if self.is_tunnel else 'http'}://{self.place}"

    def through(self, known: str) -> bytes:
        """What goes first to a further proxy, with the header by which that knows us."""
        first, _, rest = self.forwarded.partition(b"\r\n")
        method, path, version = first.split(b" ")
        return b" ".join((method, self.url.encode() + path, version)) + b"\r\n" + known.encode() + rest

    @classmethod
    def parsed(cls, head: bytes) -> Self:
        """The request that begins with `head`. Raises ValueError."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
        given = next((value for name, value in headers if name.lower() == "proxy-authorization"), "")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        if not parts.hostname:
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
        return cls(method, parts.hostname, parts.port or 80, given, sent.encode("latin-1"), size, parts.scheme)


def _rest_of_body(client: socket.socket, left: int) -> Iterator[bytes]:
    while left > 0 and (piece := client.recv(min(left, _PIECE_BYTES))):
        left -= len(piece)
        yield piece


def _closing(server: socket.socket) -> bytes:
    """The head of a server's answer, and what came with it, with the word that nothing follows it.

    Not every server heeds `Connection: close`. A client that kept the connection would send its next request, which may
    be for another host, to this one.
    """
    rest = b""
    while True:
        head, rest = _read_head(server, rest)
        first, *lines = head.split(b"\r\n")
        if first.split(b" ")[1:2] and first.split(b" ")[1].startswith(b"1"):
            continue  # a word on the way to the answer; nobody asked for one
        kept = [line for line in lines if line.partition(b":")[0].strip().lower().decode("latin-1") not in _PER_HOP]
        return b"\r\n".join((first, *kept, b"Connection: close", b"", rest))


def _read_head(line: socket.socket, read: bytes = b"") -> tuple[bytes, bytes]:
    """The head of a request or an answer, without the empty line after it, and what came behind it.

    `read` is what was read of it before.
    """
    line.settimeout(_SILENCE_S)
    while b"\r\n\r\n" not in read:
        piece = line.recv(_PIECE_BYTES)
        if not piece or len(read) > _HEAD_BYTES:
            raise ValueError("this is not HTTP")
        read += piece
    line.settimeout(None)
    head, _, rest = read.partition(b"\r\n\r\n")
    return head, rest


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{unquote(name)}:{unquote(secret)}".encode()).decode()


def _refuse(client: socket.socket, status: int, reason: str) -> None:
    client.sendall(f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
