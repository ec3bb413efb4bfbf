"""The proxy on loopback leads to public addresses only, and only who knows its secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from mediajobs_dagster.services.downloads import proxy as proxy_module
from mediajobs_dagster.services.downloads.proxy import FilterProxy
from tests.services.server import Exchange, Server, head, serving

LOOPBACK = (ip_network("127.0.0.0/8"),)
MANY = 1 << 30


def answer(exchange: Exchange) -> None:
    """Says what it was asked."""
    told = dict(exchange.headers.items())
    exchange.is_last = True
    exchange.answer({"method": exchange.method, "target": exchange.target, "headers": told, "body": len(exchange.body)})


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on loopback."""
    with serving(answer) as running:
        yield running


def spoken(proxy: FilterProxy, request: str, *, secret: bool = True, then: bytes = b"") -> bytes:
    """All that comes back for a request."""
    parts = urlsplit(proxy.address)
    given = f"Proxy-Authorization: {authorization(proxy)}\r\n" if secret else ""
    first, _, rest = request.partition("\r\n")
    with socket.create_connection(("127.0.0.1", parts.port or 0), timeout=10) as line:
        line.sendall(f"{first}\r\n{given}{rest}".encode() + then)
        came = b""
        while piece := line.recv(65536):
            came += piece
    return came


def authorization(proxy: FilterProxy) -> str:
    """What a client sends that has the address of the proxy."""
    import base64

    parts = urlsplit(proxy.address)
    return "Basic " + base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()


def test_a_request_is_passed_on(server: Server) -> None:
    """With the path alone, without what is meant for the proxy, and the connection ends after the answer."""
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        came = spoken(proxy, f"GET {server.url}/a?b=c HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n")
    assert came.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in came
    (exchange,) = server.exchanges
    assert exchange.target == "/a?b=c"
    assert not [name for name in exchange.headers if name.lower().startswith("proxy-")]


def test_a_body_is_passed_on_whole(server: Server) -> None:
    """Also one that comes after the head."""
    body = b"x" * 300_000
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        ask = f"POST {server.url}/a HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        came = spoken(proxy, ask, then=body)
    assert b'"body": 300000' in came


def test_a_word_before_the_answer_is_left_out() -> None:
    """The answer may come in one piece with it."""

    def hint_first(exchange: Exchange) -> None:
        exchange.is_last = True
        exchange.send(head(103, {"Link": "</style.css>"}) + head(200, {"Content-Length": "2"}) + b"ok")

    with serving(hint_first) as server, FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        came = spoken(proxy, f"GET {server.url}/a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert came.startswith(b"HTTP/1.1 200")
    assert came.endswith(b"\r\n\r\nok")


def test_a_second_request_does_not_reach_the_first_server(server: Server) -> None:
    """It may be for another host, and hold its secrets."""
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        ask = f"GET {server.url}/a HTTP/1.1\r\nHost: x\r\n\r\n"
        spoken(proxy, ask, then=b"GET http://other/secret HTTP/1.1\r\nHost: other\r\n\r\n")
    assert [each.target for each in server.exchanges] == ["/a"]


def test_a_tunnel(server: Server) -> None:
    """Whatever is spoken in it."""
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        inner = b"GET /in HTTP/1.1\r\nHost: x\r\n\r\n"
        parts = urlsplit(proxy.address)
        with socket.create_connection(("127.0.0.1", parts.port or 0), timeout=10) as line:
            known = f"Proxy-Authorization: {authorization(proxy)}\r\n"
            line.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n{known}\r\n".encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
            line.sendall(inner)
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
    assert [each.target for each in server.exchanges] == ["/in"]


@pytest.mark.parametrize(
    "request_line", ["GET http://127.0.0.1:{}/a", "CONNECT 127.0.0.1:{}", "GET http://localhost:{}/a"]
)
def test_private_addresses_are_refused(server: Server, request_line: str) -> None:
    """And it is kept which."""
    with FilterProxy.opened((), max_bytes=MANY) as proxy:
        came = spoken(proxy, f"{request_line.format(server.port)} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert came.startswith(b"HTTP/1.1 403")
        assert proxy.refused is not None
        assert proxy.refused.code == "ADDRESS_REFUSED"
    assert server.connections == 0


def test_nobody_else_can_use_it(server: Server) -> None:
    """Other programs on this machine do not know the secret."""
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        assert spoken(proxy, f"GET {server.url}/a HTTP/1.1\r\n\r\n", secret=False).startswith(b"HTTP/1.1 407")
    assert server.connections == 0


@pytest.mark.parametrize("request_line", ["GET file:///etc/passwd", "GET /a", "CONNECT ", "x"])
def test_what_is_no_request_gets_no_answer(request_line: str) -> None:
    """Other schemes and broken requests end the connection."""
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
        assert spoken(proxy, f"{request_line} HTTP/1.1\r\n\r\n") == b""


def test_too_much_ends_the_connection() -> None:
    """Whatever length was declared."""

    def endless(exchange: Exchange) -> None:
        exchange.is_last = True
        exchange.send(head(200, {}))
        while not exchange.over.is_set():
            exchange.send(b"x" * 65536)

    with serving(endless) as server, FilterProxy.opened(LOOPBACK, max_bytes=1_000_000) as proxy:
        came = spoken(proxy, f"GET {server.url}/a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert proxy.is_full
        assert 900_000 < len(came) < 1_200_000


def test_closing_it_ends_whoever_waits() -> None:
    """A server that is silent holds nobody up."""
    with serving(lambda exchange: exchange.hang()) as server:
        with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as proxy:
            parts = urlsplit(proxy.address)
            line = socket.create_connection(("127.0.0.1", parts.port or 0), timeout=10)
            known = f"Proxy-Authorization: {authorization(proxy)}\r\n"
            line.sendall(f"GET {server.url}/a HTTP/1.1\r\n{known}\r\n".encode())
            assert server.blocked.wait(10)
        with line:
            assert line.recv(100) == b""


@pytest.mark.parametrize("is_tunnel", [False, True])
def test_it_goes_through_the_proxy_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch, is_tunnel: bool
) -> None:
    """With the name and password that the environment has for it; names of inner networks are refused all the same."""
    looked_up: list[str] = []
    real = proxy_module.addresses_of

    def addresses_of(host: str, port: int) -> list[proxy_module.Address]:
        looked_up.append(host)
        return real("127.0.0.1" if host == "video.test" else host, port)

    monkeypatch.setattr(proxy_module, "addresses_of", addresses_of)
    with FilterProxy.opened(LOOPBACK, max_bytes=MANY) as outer, FilterProxy.opened((), max_bytes=MANY) as proxy:
        if is_tunnel:
            come = f"CONNECT video.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n"
            inner = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
        else:
            come, inner = f"GET http://video.test:{server.port}/a HTTP/1.1\r\nHost: x\r\n\r\n", b""
        # The outer one is this process too, and must not go through itself.
        monkeypatch.setattr(proxy_module, "proxy_of", Once(outer.address))
        came = spoken(proxy, come, then=inner)
        assert b"200" in came
        assert looked_up == ["127.0.0.1", "video.test"]
        monkeypatch.setattr(proxy_module, "proxy_of", Once(outer.address))
        assert spoken(proxy, "GET http://database.internal/a HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403")
    assert [each.target for each in server.exchanges] == ["/a"]


class Once:
    """Names a proxy the first time it is asked, and none after that."""

    def __init__(self, address: str) -> None:
        self._left = [address]

    def __call__(self, url: str) -> str | None:
        return self._left.pop() if self._left else None
