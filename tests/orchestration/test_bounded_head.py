"""The head of a request has an end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from mediajobs_dagster.orchestration.serving.bounded_head import LARGEST, BoundedHead


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that answers everything alike."""
    config = uvicorn.Config(PlainTextResponse("fine"), port=0, http=BoundedHead, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(30)


def answer_to(port: int, *pieces: bytes) -> bytes:
    """The first line of what comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    "part", [b"GET /%s", b"GET / HTTP/1.1\r\nHost: a\r\n%s: b", b"GET / HTTP/1.1\r\nHost: a\r\nx: %s"]
)
def test_one_without_end_is_refused(port: int, part: bytes) -> None:
    """Before it ends: a path, a name, a value."""
    assert answer_to(port, part % (b"a" * (LARGEST + 1))).startswith(b"HTTP/1.1 400")


def test_large_ones_and_large_bodies_are_taken(port: int) -> None:
    """The body does not count, whether it comes with the head or after it."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nx: " + b"a" * (LARGEST // 2) + b"\r\nContent-Length: 300000\r\n\r\n"
    body = b"b" * 300_000
    assert answer_to(port, head + body).startswith(b"HTTP/1.1 200")
    assert answer_to(port, head, body).startswith(b"HTTP/1.1 200")


def test_the_head_of_each_request_counts_by_itself(port: int) -> None:
    """On a connection that is used again."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"a" * (LARGEST // 2) + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for _ in range(3):
            connection.sendall(head)
            assert connection.recv(15).startswith(b"HTTP/1.1 200")
            while not connection.recv(4096).endswith(b"fine"):
                pass
