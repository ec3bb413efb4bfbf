"""Proxies of the environment, and what we rely on of urllib3."""

from __future__ import annotations

import inspect
import logging

import pytest
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.services.connections import addresses_of
from tests.services.conftest import Bench
from tests.services.server import head, serving


@pytest.mark.parametrize("form", ["http://me:secret@127.0.0.1:{port}", "127.0.0.1:{port}"])
def test_a_proxy_of_the_environment_is_used(bench: Bench, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """It is asked for the whole address, and looks the name up itself."""
    with serving(lambda exchange: exchange.answer(b"by proxy")) as proxy:
        monkeypatch.setenv("http_proxy", form.format(port=proxy.port))
        answer = bench.client.request("GET", "http://games.invalid/v1", service="s", op="o")
    assert answer.body == b"by proxy"
    (exchange,) = proxy.exchanges
    assert exchange.target == "http://games.invalid/v1"
    assert exchange.headers["Proxy-Authorization"] == ("Basic bWU6c2VjcmV0" if "secret" in form else None)


def test_a_proxy_is_asked_to_connect_for_https(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the name of the host and nothing else; its refusal is told of, without its password."""
    with serving(lambda exchange: exchange.end(head(403, {}))) as proxy:
        monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
        with pytest.raises(Exception, match="403") as caught:
            bench.client.request("GET", "https://games.invalid/v1?key=k", service="s", op="o", retry_safe=False)
    assert (proxy.exchanges[0].method, proxy.exchanges[0].target) == ("CONNECT", "games.invalid:443")
    assert bench.call.status == "SERVICE_UNAVAILABLE"
    assert "secret" not in str(caught.value)


def test_loopback_and_no_proxy_go_straight(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service of this machine is none of the proxy's business."""
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    with serving(lambda exchange: exchange.answer(b"straight")) as server:
        for host in ("127.0.0.1", "localhost"):
            assert bench.client.request("GET", f"http://{host}:{server.port}/", service="s", op="o").body == b"straight"
    monkeypatch.setenv("no_proxy", "games.invalid")
    with pytest.raises(Exception, match=r"games\.invalid.*cannot be reached"):
        bench.client.request("GET", "http://games.invalid/", service="s", op="o")


def test_a_proxy_that_cannot_be_used_is_a_fault_of_the_settings(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which variable."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(SettingsError, match="PROXY"):
        bench.client.request("GET", "http://games.invalid/", service="s", op="o")


def test_urllib3_logs_no_secret(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It warns with the whole address of an answer whose headers it cannot read, and tells of each request."""
    caplog.set_level(logging.DEBUG)
    with serving(
        lambda e: e.end(head(200, {"Content-Length": "0", "no colon": "x"}).replace(b"colon:", b"colon"))
    ) as s:
        bench.client.request("GET", f"{s.url}/?api_key=hidden", service="s", op="o")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("urllib3")]
    assert any("/?<redacted>" in message for message in told)
    assert not any("hidden" in message for message in told)


def test_an_address_is_not_given_twice() -> None:
    """Loopback has one address for each family."""
    addresses = addresses_of("127.0.0.1", 80)
    assert [address.sockaddr for address in addresses] == [("127.0.0.1", 80)]


@pytest.mark.parametrize("kind", [HTTPConnection, HTTPSConnection])
def test_urllib3_opens_connections_where_we_do_it(kind: type[HTTPConnection]) -> None:
    """`_new_conn` has no public name. If this fails, see `services.connections` before raising urllib3's version."""
    assert list(inspect.signature(kind._new_conn).parameters) == ["self"], urllib3.__version__
    assert "self._new_conn()" in inspect.getsource(kind.connect), urllib3.__version__
    assert "_dns_host" in inspect.getsource(HTTPConnection), urllib3.__version__
