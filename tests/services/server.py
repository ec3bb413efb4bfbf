"""A server on loopback that does as a test says, down to the single byte."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPMessage, parse_headers
from threading import Event, Lock, Thread

REASONABLE_S = 10.0
"""However slow the machine is, what a test waits for is there by then."""


@dataclass
class Exchange:
    """One request that the server got, and the connection to answer it on."""

    method: str
    target: str
    headers: HTTPMessage
    body: bytes
    number: int
    """How many requests came before it."""
    line: socket.socket
    blocked: Event
    over: Event
    is_last: bool = False
    """Whether the connection is closed after this."""

    def answer(self, body: bytes | object = b"", status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer, with its length."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(head(status, {"Content-Length": str(len(content)), **(headers or {})}) + content)

    def send(self, data: bytes) -> None:
        """So many bytes, and no more."""
        self.line.sendall(data)

    def end(self, data: bytes = b"") -> None:
        """So many bytes, and then the connection is closed."""
        self.send(data)
        self.is_last = True

    def hang(self) -> None:
        """Tell the test that nothing more comes, and wait until the client is gone."""
        self.is_last = True
        self.blocked.set()
        self.line.settimeout(REASONABLE_S)
        with contextlib.suppress(OSError):
            while self.line.recv(4096):
                pass

    def drip(self, byte: bytes) -> None:
        """One byte every twentieth of a second, until the client is gone."""
        self.is_last = True
        self.blocked.set()
        with contextlib.suppress(OSError):
            while not self.over.wait(0.05):
                self.line.sendall(byte)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The beginning of an answer, up to its body."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


@dataclass
class Server:
    """Where it is, and what came in."""

    url: str
    port: int
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    blocked: Event = field(default_factory=Event)
    """Set when the server has sent all that it will."""
    over: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)


Behaviour = Callable[[Exchange], None]


@contextmanager
def serving(behave: Behaviour, wrap: Callable[[socket.socket], socket.socket] | None = None) -> Generator[Server]:
    """A server that does with every request what `behave` says; `wrap` makes a connection one of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        server = Server(f"{'https' if wrap else 'http'}://127.0.0.1:{port}", port)
        accepting = Thread(target=_accept, args=(listener, server, behave, wrap))
        accepting.start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(REASONABLE_S)


def _accept(
    listener: socket.socket,
    server: Server,
    behave: Behaviour,
    wrap: Callable[[socket.socket], socket.socket] | None,
) -> None:
    threads: list[Thread] = []
    with contextlib.suppress(OSError):
        while True:
            line, _ = listener.accept()
            server.connections += 1
            threads.append(Thread(target=_talk, args=(line, server, behave, wrap), daemon=True))
            threads[-1].start()


def _talk(
    line: socket.socket,
    server: Server,
    behave: Behaviour,
    wrap: Callable[[socket.socket], socket.socket] | None,
) -> None:
    with contextlib.suppress(OSError), wrap(line) if wrap else line as spoken, spoken.makefile("rb") as incoming:
        while first := incoming.readline():
            method, target, _ = first.decode().split()
            headers = parse_headers(incoming)
            body = incoming.read(int(headers.get("Content-Length", "0")))
            with server.lock:
                number = len(server.exchanges)
                exchange = Exchange(method, target, headers, body, number, spoken, server.blocked, server.over)
                server.exchanges.append(exchange)
            behave(exchange)
            if exchange.is_last:
                return
