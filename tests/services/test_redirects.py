"""Where a service sends us, and what goes along."""

from __future__ import annotations

import pytest

from mediajobs_dagster.errors import ServiceAnswerError, ServiceRefusedError
from mediajobs_dagster.services.redirects import Request
from tests.services.conftest import Bench
from tests.services.server import Exchange, serving

SECRETS = {"Authorization": "Bearer x", "X-Api-Key": "k", "Accept": "text/html"}


def countdown(exchange: Exchange) -> None:
    """`/3` leads to `/2`, and so on."""
    left = int(exchange.target[1:])
    if left:
        exchange.answer(status=302, headers={"Location": f"/{left - 1}"})
    else:
        exchange.answer(b"there")


def test_five_redirects_are_followed(bench: Bench) -> None:
    """In one try, of one call."""
    with serving(countdown) as server:
        answer = bench.client.request("GET", f"{server.url}/5", service="s", op="o")
    assert answer.body == b"there"
    assert (len(server.exchanges), bench.call.tries, bench.call.target) == (6, 1, f"{server.url}/5")


def test_a_sixth_is_not(bench: Bench) -> None:
    """Two addresses that lead to each other have an end."""
    with serving(countdown) as server, pytest.raises(ServiceAnswerError, match="more than 5 times"):
        bench.client.request("GET", f"{server.url}/6", service="s", op="o")
    assert len(server.exchanges) == 6
    assert bench.call.status == "SERVICE_ANSWER_INVALID"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/", "gopher://x", "http://[::1"])
def test_only_http_is_followed(bench: Bench, location: str) -> None:
    """A service must not make us open files."""
    with (
        serving(lambda e: e.answer(status=302, headers={"Location": location})) as server,
        pytest.raises(ServiceAnswerError, match="Only http:// and https:// are followed"),
    ):
        bench.client.request("GET", server.url, service="s", op="o")
    assert bench.call.tries == 1


def test_secrets_stay_with_the_host_they_were_meant_for(bench: Bench) -> None:
    """Another port is another host; user names that the redirect makes up are dropped."""
    with serving(lambda exchange: exchange.answer(b"there")) as other:
        there = f"{other.url}/a?b=c#d".replace("//", "//user:password@")
        with serving(lambda exchange: exchange.answer(status=302, headers={"Location": there})) as first:
            bench.client.request("GET", first.url, service="s", op="o", headers=SECRETS)
    (sent,) = other.exchanges
    assert sent.target == "/a?b=c"
    assert sent.headers["Accept"] == "text/html"
    assert (sent.headers["Authorization"], sent.headers["X-Api-Key"]) == (None, None)
    assert first.exchanges[0].headers["X-Api-Key"] == "k"


def test_a_redirect_without_an_address_is_no_answer(bench: Bench) -> None:
    """Nothing says where to go."""
    with (
        serving(lambda exchange: exchange.answer(status=302)) as server,
        pytest.raises(ServiceAnswerError, match="302"),
    ):
        bench.client.request("GET", server.url, service="s", op="o")


@pytest.mark.parametrize(
    ("method", "status", "turned"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("PUT", 303, "GET"),
        ("HEAD", 303, "HEAD"),
        ("PUT", 302, "PUT"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
    ],
)
def test_method_and_body_after_a_redirect(method: str, status: int, turned: str) -> None:
    """RFC 9110, section 15.4: what becomes a GET has no body, and no header that speaks of one."""
    request = Request.of(method, "http://host/a/b", {**SECRETS, "Content-Type": "x"}, b"body")
    after = request.redirected(status, "../c?d=e")
    assert (after.method, after.url) == (turned, "http://host/c?d=e")
    assert after.body == (None if turned != method or method == "HEAD" else b"body")
    assert ("Content-Type" in after.headers) == (after.body is not None)
    assert after.headers["X-Api-Key"] == "k"


@pytest.mark.parametrize("elsewhere", ["http://other/", "https://host/", "http://host:81/", "//other/"])
def test_a_body_never_goes_to_another_host(elsewhere: str) -> None:
    """Nor does it go with another scheme; whoever runs the service has to give the right address."""
    request = Request.of("POST", "http://host/", {}, b"body")
    with pytest.raises(ServiceRefusedError, match="redirects to another host"):
        request.redirected(307, elsewhere)


def test_the_port_of_a_scheme_need_not_be_written() -> None:
    """It is the same host."""
    request = Request.of("POST", "http://host/", SECRETS, b"body")
    assert request.redirected(307, "http://HOST:80/b").headers["X-Api-Key"] == "k"
