"""Addresses of users and feeds never lead into private networks: not by number, by name, by redirect or by a proxy."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from mediajobs_dagster.errors import AddressRefusedError, Blame
from mediajobs_dagster.services.addresses import check_address, check_name
from tests.services.conftest import OpenBench
from tests.services.server import Server, serving

HOME = "127.0.0.1/32"


@pytest.mark.parametrize(
    "number",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200"),
        *("0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "168.63.129.16"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::1"),
        *("::127.0.0.1", "2001:0:5ef5:79fd::80ff:fffe"),
    ],
)
def test_a_private_number_is_refused(number: str) -> None:
    """Also one that is wrapped in a number of another kind. It is the request's fault, and final."""
    with pytest.raises(AddressRefusedError, match="MEDIAJOBS_PRIVATE_ADDRESSES") as caught:
        check_address("games.example", number, ())
    assert (caught.value.code, caught.value.blame, caught.value.retryable) == ("ADDRESS_REFUSED", Blame.INPUT, False)


@pytest.mark.parametrize("number", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])
def test_a_public_number_is_taken(number: str) -> None:
    """Also behind a network that translates between the kinds."""
    check_address("games.example", number, ())


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "db", "x.local", "a.internal.", "::1"])
def test_a_proxy_is_not_asked_for_a_private_host(host: str) -> None:
    """Whichever way its number is written; nor for a name that only our network knows."""
    with pytest.raises(AddressRefusedError):
        check_name(host, ())
    check_name("games.example", ())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_this_machine_is_refused(open_bench: OpenBench, host: str) -> None:
    """By number, by name, and by other ways to write the number. Nothing is sent, and the call is on record."""
    bench = open_bench(private_addresses=())
    with serving(lambda exchange: exchange.answer()) as server:
        with pytest.raises(AddressRefusedError):
            bench.client.request("GET", f"http://{host}:{server.port}/", service="s", op="o")
        assert (server.connections, bench.call.status, bench.call.tries) == (0, "ADDRESS_REFUSED", 1)


def test_a_network_can_be_allowed(open_bench: OpenBench) -> None:
    """That one, and no other."""
    bench = open_bench(private_addresses="127.0.0.1/32,10.1.0.0/16")
    with serving(lambda exchange: exchange.answer(b"ok")) as server:
        assert bench.client.request("GET", server.url, service="s", op="o").body == b"ok"
        with pytest.raises(AddressRefusedError):
            bench.client.request("GET", f"http://127.0.0.2:{server.port}", service="s", op="o")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_into_a_private_network_is_not_followed(open_bench: OpenBench, scheme: str) -> None:
    """Each address on the way is checked."""
    bench = open_bench(private_addresses=HOME)
    with serving(lambda exchange: exchange.answer()) as inner:
        to = {"Location": f"{scheme}://127.0.0.2:{inner.port}/latest/meta-data"}
        with (
            serving(lambda exchange: exchange.answer(status=302, headers=to)) as outer,
            pytest.raises(AddressRefusedError, match=r"127\.0\.0\.2"),
        ):
            bench.client.request("GET", outer.url, service="s", op="o")
        assert inner.connections == 0


def test_what_operators_set_is_trusted_and_nothing_beyond(open_bench: OpenBench) -> None:
    """A trusted address may be private. Where it redirects to is not trusted; nor is the same host asked otherwise."""
    bench = open_bench(private_addresses=())
    with serving(lambda exchange: exchange.answer(b"ok")) as inner:
        to = {"Location": inner.url}
        with serving(lambda e: e.answer(b"ok") if e.target == "/" else e.answer(status=302, headers=to)) as outer:

            def ask(path: str, *, trusted: bool) -> bytes:
                url = f"{outer.url}/{path}"
                return bench.client.request("GET", url, service="s", op="o", trusted=trusted).body

            assert ask("", trusted=True) == b"ok"
            for path, trusted in (("away", True), ("", False)):  # the connection is still open
                with pytest.raises(AddressRefusedError):
                    ask(path, trusted=trusted)
        assert inner.connections == 0


def test_a_name_is_looked_up_once(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the number that was checked is connected to. A name server may give another one a moment later."""
    lookups: list[str] = []

    def look_up(host: str, port: int, **options: Any) -> list[Any]:
        lookups.append(host)
        number = "127.0.0.1" if len(lookups) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    bench = open_bench(private_addresses=HOME)
    with serving(lambda exchange: exchange.answer(b"ok")) as server:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        answer = bench.client.request("GET", f"http://games.example:{server.port}", service="s", op="o")
    assert (answer.body, lookups) == (b"ok", ["games.example"])


def test_one_private_address_among_several_is_enough(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is connected to: which of them is tried first would be chance."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", 1)) for number in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    bench = open_bench(private_addresses=HOME)
    with pytest.raises(AddressRefusedError, match=r"games\.example \(127\.0\.0\.2\)"):
        bench.client.request("GET", "http://games.example/", service="s", op="o")


def through(proxy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)


def test_a_proxy_may_be_private_itself(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the operator's. What it is asked for is checked as far as can be told without looking it up."""
    bench = open_bench(private_addresses=())
    with serving(lambda exchange: exchange.answer(b"by proxy")) as proxy:
        through(proxy, monkeypatch)
        assert bench.client.request("GET", "http://games.example/", service="s", op="o").body == b"by proxy"
        for host in ("10.0.0.1", "database"):
            with pytest.raises(AddressRefusedError):
                bench.client.request("GET", f"http://{host}/", service="s", op="o")
        trusted = bench.client.request("GET", "http://database/", service="s", op="o", trusted=True)
        assert (trusted.body, len(proxy.exchanges)) == (b"by proxy", 2)
