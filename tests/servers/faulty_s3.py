"""A proxy on 127.0.0.1 before an HTTP server: counts what passes, and fails as it is told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from mediajobs_dagster.settings import Settings

IDLE_TIMEOUT_S = 30.0
CHUNK = 64 * 1024
ALWAYS = 1_000_000


class Kind(Enum):
    """Ways to fail."""

    ANSWER = "answer"
    DROP = "drop"
    TRUNCATE = "truncate"
    SLOW = "slow"


@dataclass
class Fault:
    """What happens to the next `times` requests that fit."""

    kind: Kind
    times: int
    method: str | None
    key: str
    status: int = 0
    after_bytes: int = 0
    bytes_per_s: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether this fault is for such a request."""
        return self.times > 0 and self.method in (None, method) and self.key in path


@dataclass
class FaultyS3:
    """The proxy. Each connection carries one request, so that every request is seen."""

    upstream_port: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path (with its query) of each request so far."""
    heads: list[str] = field(default_factory=list)
    """The whole head of each request so far."""
    bytes_sent: int = 0
    """Bytes of response bodies sent to clients so far."""

    def __enter__(self) -> Self:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def endpoint(self) -> str:
        """Address for the SDK."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def settings(self, settings: Settings) -> Settings:
        """The same settings, but through this proxy."""
        return settings.model_copy(update={"s3_endpoint_url": self.endpoint})

    # --- what shall happen; `key` is any part of the path ------------------------------------------------------------

    def answer(self, status: int, *, times: int = ALWAYS, method: str | None = None, key: str = "") -> None:
        """Answer with an error of this HTTP status; the server sees nothing."""
        self._faults.append(Fault(Kind.ANSWER, times, method, key, status=status))

    def drop(self, *, after_bytes: int = 0, times: int = ALWAYS, method: str | None = None, key: str = "") -> None:
        """Reset the connection once so many bytes of the response's body have passed; 0: before it begins."""
        self._faults.append(Fault(Kind.DROP, times, method, key, after_bytes=after_bytes))

    def truncate(self, *, after_bytes: int, times: int = ALWAYS, method: str | None = None, key: str = "") -> None:
        """End the response in good order, but after so many bytes of its body."""
        self._faults.append(Fault(Kind.TRUNCATE, times, method, key, after_bytes=after_bytes))

    def slow(self, *, bytes_per_s: int, times: int = ALWAYS, method: str | None = None, key: str = "") -> None:
        """Send response bodies at this speed."""
        self._faults.append(Fault(Kind.SLOW, times, method, key, bytes_per_s=bytes_per_s))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    # --- how ---------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the proxy was closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # What a broken connection raises here is the very thing the tests ask for.
        with client, contextlib.suppress(OSError):
            client.settimeout(IDLE_TIMEOUT_S)
            head, body = _read_head(client)
            if not head:
                return
            method, path = head.split(b" ", 2)[:2]
            fault = self._begin(method.decode(), path.decode(), head.decode())
            if fault and fault.kind is Kind.ANSWER:
                _answer(client, head, body, fault.status)
            elif fault and fault.kind is Kind.DROP and not fault.after_bytes:
                _reset(client)
            else:
                self._relay(client, head, body, fault)

    def _begin(self, method: str, path: str, head: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, path))
            self.heads.append(head)
            fault = next((fault for fault in self._faults if fault.fits(method, path)), None)
            if fault:
                fault.times -= 1
            return fault

    def _relay(self, client: socket.socket, head: bytes, body: bytes, fault: Fault | None) -> None:
        with socket.create_connection(("127.0.0.1", self.upstream_port), IDLE_TIMEOUT_S) as upstream:
            upstream.sendall(head[:-2] + b"Connection: close\r\n\r\n" + body)
            threading.Thread(target=_pump, args=(client, upstream), daemon=True).start()
            head, body = _read_head(upstream)
            while head.startswith(b"HTTP/1.1 100"):
                client.sendall(head)
                head, body = _read_head(upstream, body)
            client.sendall(head)
            self._send_body(client, upstream, body, fault)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _send_body(self, client: socket.socket, upstream: socket.socket, chunk: bytes, fault: Fault | None) -> None:
        limit = fault.after_bytes if fault and fault.kind in (Kind.DROP, Kind.TRUNCATE) else None
        sent = 0
        chunk = chunk or upstream.recv(CHUNK)
        while chunk:
            if limit is not None:
                chunk = chunk[: limit - sent]
            sent += len(chunk)
            with self._lock:  # before they are sent, because whoever has read them may look at once
                self.bytes_sent += len(chunk)
            client.sendall(chunk)
            if sent == limit:
                if fault and fault.kind is Kind.DROP:
                    _reset(client)
                return
            if fault and fault.kind is Kind.SLOW:
                time.sleep(len(chunk) / fault.bytes_per_s)
            chunk = upstream.recv(CHUNK if not (fault and fault.bytes_per_s) else max(1, fault.bytes_per_s // 10))


def _read_head(connection: socket.socket, received: bytes = b"") -> tuple[bytes, bytes]:
    """The head of a message, its empty line included, and what came after it; nothing at the end of the stream."""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(CHUNK)
        if not chunk:
            return b"", received
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _answer(client: socket.socket, head: bytes, body: bytes, status: int) -> None:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"expect" not in fields:  # else the client holds its body back until it is asked for
        missing = int(fields.get(b"content-length", b"0")) - len(body)
        while missing > 0 and (chunk := client.recv(CHUNK)):
            missing -= len(chunk)
    code = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 503: "ServiceUnavailable"}.get(
        status, "InternalError"
    )
    text = f"<Error><Code>{code}</Code><Message>as the test asked</Message></Error>".encode()
    content = b"" if head.startswith(b"HEAD ") else text
    client.sendall(
        f"HTTP/1.1 {status} As asked\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + content
    )


def _reset(connection: socket.socket) -> None:
    # Lingering for no time at all makes closing send a reset, once no other thread waits for the socket.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
