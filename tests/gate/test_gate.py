"""The gate in front of an app, on a real server: what pages of other sites ask for never reaches the app."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.gate.gate import Gate
from mediajobs_dagster.gate.names import Names, Place
from tests.servers.asgi import Headers, open_websocket, refused_websocket, send, serving

LISTED = ("media.example.com", "odd.example.com:8443")
LINK = (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"))


@pytest.fixture(scope="module")
def reached() -> list[str]:
    """What the app was asked for."""
    return []


@pytest.fixture(scope="module")
def url(reached: list[str]) -> Iterator[str]:
    """An app behind the gate."""

    async def page(request: Request) -> PlainTextResponse:
        reached.append(request.method)
        return PlainTextResponse("a page")

    async def channel(websocket: WebSocket) -> None:
        reached.append("WEBSOCKET")
        await websocket.accept(subprotocol="graphql-ws")
        await websocket.send_text("a channel")
        await websocket.close()

    app = Starlette(routes=[Route("/", page, methods=["GET", "POST"]), WebSocketRoute("/", channel)])
    with serving(Gate(app, Names.of("0.0.0.0", LISTED))) as url:
        yield f"{url}/"


def filled_in(headers: Headers, url: str) -> Headers:
    """The headers, with the port of the server where they have OURS."""
    port = str(urlsplit(url).port)
    return [(name, value.replace("OURS", port)) for name, value in headers]


OWN: tuple[Headers, ...] = (
    (),
    (("Origin", "http://127.0.0.1:OURS"), ("Sec-Fetch-Site", "same-origin")),
    (("Host", "localhost:OURS"), ("Origin", "http://localhost:OURS")),
    (("Host", "LOCALHOST:OURS"), ("Origin", "http://localhost:OURS")),
    (("Host", "[::1]:OURS"), ("Origin", "http://[::1]:OURS")),
    (("Host", "localhost:8080"), ("Origin", "http://localhost:8080")),  # a tunnel, or the port of a container
    (("Host", "0.0.0.0:OURS"),),  # what it was told to listen on
    # Proxies that pass on the name, one that leaves out the port, and one that ends TLS.
    (("Host", "media.example.com"), ("Origin", "https://media.example.com")),
    (("Host", "media.example.com:OURS"), ("Origin", "http://media.example.com:OURS")),
    (("Host", "odd.example.com"), ("Origin", "https://odd.example.com:8443")),
    (("Host", "media.example.com:443"), ("Origin", "https://media.example.com")),
    # Proxies that ask us by our own address.
    (("Host", "127.0.0.1:OURS"), ("Origin", "https://media.example.com"), ("Sec-Fetch-Site", "same-origin")),
    (("Host", "127.0.0.1:OURS"), ("Origin", "https://odd.example.com:8443")),
    (("Host", "127.0.0.1"), ("X-Forwarded-Host", "media.example.com"), ("Origin", "https://media.example.com")),
    (("Sec-Fetch-Site", "none"),),  # typed by the user
)
"""What our own pages send, and programs that are no browser."""

FOREIGN: tuple[Headers, ...] = (
    (("Host", "evil.example"),),
    (("Host", "evil.example:OURS"), ("Origin", "http://evil.example:OURS"), ("Sec-Fetch-Site", "same-origin")),
    (("Host", "localhost.evil.example"),),
    (("Host", "127.0.0.1.evil.example"),),
    (("Host", "media.example.com.evil.example"),),
    (("Host", "10.1.2.3:OURS"),),
    (("Host", "evil@localhost"),),
    (("Host", ""),),
    (("Host", "localhost:OURS"), ("Host", "evil.example")),
    (("X-Forwarded-Host", "evil.example"),),
    (("X-Forwarded-Host", "localhost"), ("X-Forwarded-Host", "evil.example")),
    (("X-Forwarded-Host", "localhost, evil.example"),),
    (("Origin", "https://evil.example"),),
    (("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")),
    (("Origin", "null"),),
    (("Origin", ""),),
    (("Origin", "file://"),),
    (("Origin", "http://127.0.0.1:1"),),  # another server on the user's own machine
    (("Origin", "http://127.0.0.1"),),
    (("Origin", "http://localhost:OURS"),),  # another origin, whoever it is
    (("Origin", "http://127.0.0.1:OURS.evil.example"),),
    (("Origin", "http://127.0.0.1:OURS@evil.example"),),
    (("Origin", "http://127.0.0.1:OURS"), ("Origin", "https://evil.example")),
    (("Origin", "ftp://127.0.0.1:OURS"),),
    (("Origin", "http://media.example.com:9000"),),
    (("Host", "media.example.com:OURS"), ("Origin", "http://media.example.com")),  # another server on that machine
    (("Origin", "https://odd.example.com"),),
    (("Sec-Fetch-Site", "cross-site"),),
    (("Sec-Fetch-Site", "same-site"),),  # any port of this machine
    (("Sec-Fetch-Site", "same-origin, cross-site"),),
    (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")),
    (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")),
)
"""What pages of other sites have a browser send, or would like to."""


@pytest.mark.parametrize("headers", OWN)
def test_our_own_pages_are_answered(url: str, headers: Headers) -> None:
    """By each of the server's names, through proxies too, by HTTP and WebSocket."""
    headers = filled_in(headers, url)
    for method in ("GET", "POST"):
        answer = send(url, method, headers)
        assert (answer.status, answer.text) == (200, "a page"), answer.text
    with open_websocket(url, headers) as channel:
        assert channel.recv() == "a channel"


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_are_refused(url: str, reached: list[str], headers: Headers) -> None:
    """403 and a sentence; the app does not see any of it."""
    headers = filled_in(headers, url)
    before = len(reached)
    for answer in (send(url, "GET", headers), send(url, "POST", headers)):
        assert answer.status == 403
        assert answer.text.endswith(".\n")
    names = [name for name, _ in headers]
    if len(names) == len(set(names)) and all(Place.parse(value) for name, value in headers if name == "Host"):
        # (The others are no address, or no handshake: the server refuses them before the gate does.)
        assert refused_websocket(url, headers).status == 403
    assert reached[before:] == []


def test_a_link_of_another_site_opens_a_page(url: str) -> None:
    """The user sees what it leads to, and nobody else does; but a form that sends something is no link."""
    assert send(url, "GET", LINK).text == "a page"
    assert send(url, "POST", LINK).status == 403
    assert refused_websocket(url, LINK).status == 403


def test_an_address_of_the_machine_is_a_name_of_it() -> None:
    """Listening everywhere, it answers by the address that the connection came in at; that is nobody else's name."""
    names = Names.of("0.0.0.0", ())
    assert names.include(Place("192.0.2.7", 3000), "192.0.2.7")
    assert names.include(Place("[2001:db8::7]", 3000), "2001:db8::7")
    assert not names.include(Place("192.0.2.8", 3000), "192.0.2.7")


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        ([("Host", "media.lan:3000")], "set MEDIAJOBS_WEB_NAMES=media.lan "),
        ([("Origin", "https://media.lan")], "'https://media.lan' asked for this"),
        ([("Origin", "https://media.lan")], "set MEDIAJOBS_WEB_NAMES to its name"),
        ([("Sec-Fetch-Site", "cross-site")], "Open its address in the browser instead."),
    ],
)
def test_a_refusal_says_what_to_do(url: str, headers: Headers, advice: str) -> None:
    """In words, as plain text, whatever was asked for."""
    answers = (send(url, headers=headers), refused_websocket(url, headers))
    for answer in answers:
        assert advice in answer.text
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_what_is_shown_of_a_request_is_short_and_plain(url: str) -> None:
    """A name of thousands of characters, or with some that a terminal obeys, does not fill or change a log."""
    answer = send(url, headers=[("Origin", f"\x1b[2J{'x' * 5000}")])
    assert len(answer.text) < 500
    assert "\x1b" not in answer.text


def test_answers_stay_with_our_pages(url: str) -> None:
    """Shown in no frame of others, and taken in by no page of theirs."""
    headers = send(url).headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"


def test_refusals_are_logged_once_each_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """An operator finds out why a proxy is refused; a page that keeps asking fills no disk."""

    async def app(*_arguments: object) -> None:
        raise AssertionError

    with serving(Gate(app, Names.of("127.0.0.1", ()))) as url, caplog.at_level(logging.WARNING, "mediajobs_dagster"):
        for _ in range(3):
            send(url, headers=[("Host", "media.lan")])
        assert len(caplog.records) == 1
        assert "set MEDIAJOBS_WEB_NAMES=media.lan " in caplog.text
        for number in range(30):
            send(url, headers=[("Host", f"{number}.evil.example")])
        assert len(caplog.records) == 20


@pytest.mark.parametrize("text", ["https://media.example.com", "media.example.com/ui", "a b", "*", "host:port", ""])
def test_a_listed_name_that_is_none_is_a_fault_of_the_settings(text: str) -> None:
    """Said before anything starts, with an example."""
    with pytest.raises(SettingsError, match=r"MEDIAJOBS_WEB_NAMES: .* such as media.example.com"):
        Names.of("127.0.0.1", [text])
