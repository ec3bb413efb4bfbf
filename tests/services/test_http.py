"""What a call sends, what it hands on, what it asks again, and what is recorded of it."""

from __future__ import annotations

import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mediajobs_dagster.errors import (
    Blame,
    MediaJobsError,
    RequestError,
    ServiceAnswerError,
    ServiceError,
    ServiceLimitedError,
    ServiceRefusedError,
    ServiceTooLargeError,
    ServiceUnavailableError,
)
from mediajobs_dagster.services.answers import HttpAnswer
from tests.services.conftest import Bench, OpenBench
from tests.services.server import Behaviour, Exchange, head, serving


def get(bench: Bench, url: str, **options: object) -> HttpAnswer:
    """A plain GET."""
    return bench.client.request("GET", url, service="games", op="list", **options)  # pyright: ignore[reportArgumentType]


def test_a_call_is_answered_and_recorded(bench: Bench) -> None:
    """The answer's status, headers, text and JSON; and one record, without the values of the query."""
    with serving(lambda exchange: exchange.answer({"data": [1]}, headers={"X-Left": "7"})) as server:
        url = server.url.replace("//", "//user:secret@") + "/v1/games?day=1#part"
        answer = get(bench, url, params={"ids": ["a b", "c"], "key": "hidden"}, headers={"X-Api-Key": "k"}, units=2)
    assert (answer.status, answer.headers["x-left"], answer.json()) == (200, "7", {"data": [1]})
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.target) == ("GET", "/v1/games?day=1&ids=a+b&ids=c&key=hidden")
    assert exchange.headers["X-Api-Key"] == "k"
    assert exchange.headers["User-Agent"].startswith("mediajobs/")
    assert exchange.headers["Authorization"] == "Basic dXNlcjpzZWNyZXQ="
    call = bench.call
    assert (call.service, call.op, call.status, call.tries, call.units) == ("games", "list", "ok", 1, 2)
    assert call.target == f"http://<redacted>@127.0.0.1:{server.port}/v1/games?day"
    assert call.bytes == len(answer.body)


def test_json_and_forms_are_sent(bench: Bench) -> None:
    """With their type and their length."""
    with serving(lambda exchange: exchange.answer(exchange.body)) as server:
        sent = bench.client.request("post", server.url, service="s", op="o", json={"a": ["é"]})
        form = bench.client.request("PUT", server.url, service="s", op="o", data={"a": "b c"})
        raw = bench.client.request("POST", server.url, service="s", op="o", data=b"\0")
    assert sent.json() == {"a": ["é"]}
    assert (form.text, raw.body) == ("a=b+c", b"\0")
    assert [exchange.method for exchange in server.exchanges] == ["POST", "PUT", "POST"]
    assert [exchange.headers["Content-Type"] for exchange in server.exchanges] == [
        "application/json",
        "application/x-www-form-urlencoded",
        None,
    ]


def test_text_is_in_the_charset_that_the_answer_names(bench: Bench) -> None:
    """UTF-8 where it names none, or one that nobody knows."""
    types = ["text/plain; charset=latin-1", "text/plain", "text/plain; charset=nonsense"]
    bodies = ["é".encode("latin-1"), "é".encode(), "é".encode()]
    with serving(lambda e: e.answer(bodies[e.number], headers={"Content-Type": types[e.number]})) as server:
        assert [get(bench, server.url).text for _ in types] == ["é", "é", "é"]


def test_a_connection_is_kept_for_the_next_call(bench: Bench) -> None:
    """Also after an answer without a body, and after one that is packed."""
    packed = gzip.compress(b"packed")
    bodies = [(b"", {}), (packed, {"Content-Encoding": "gzip"}), (b"plain", {})]
    with serving(lambda e: e.answer(bodies[e.number][0], headers=bodies[e.number][1])) as server:
        assert [get(bench, server.url).body for _ in bodies] == [b"", b"packed", b"plain"]
        assert server.connections == 1


def test_no_cookie_and_no_netrc(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one answer sets does not go along with the next request, and no file of the user's home is looked into."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(lambda exchange: exchange.answer(headers={"Set-Cookie": "a=b; Path=/"})) as server:
        get(bench, server.url)
        get(bench, server.url)
    assert [(e.headers["Cookie"], e.headers["Authorization"]) for e in server.exchanges] == [(None, None)] * 2


def test_one_client_serves_several_threads(bench: Bench) -> None:
    """Each gets the answer to its own question, and each call is recorded once."""
    with serving(lambda exchange: exchange.answer(exchange.target)) as server, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: get(bench, f"{server.url}/{number}").json(), range(64)))
    assert answers == [f"/{number}" for number in range(64)]
    assert len(bench.calls) == 64


# --- what is no answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, ServiceRefusedError, False),
        (401, ServiceRefusedError, False),
        (403, ServiceRefusedError, False),
        (404, ServiceRefusedError, False),
        (408, ServiceUnavailableError, True),
        (429, ServiceLimitedError, True),
        (500, ServiceUnavailableError, True),
        (503, ServiceUnavailableError, True),
        (304, ServiceAnswerError, True),
        (799, ServiceUnavailableError, True),
    ],
)
def test_a_status_is_an_error_of_its_own(
    open_bench: OpenBench, status: int, kind: type[ServiceError], retryable: bool
) -> None:
    """It says what was asked, what came back and why; the service's own words are there for who knows them."""
    bench = open_bench(service_tries=1)
    body = {"reason": "quotaExceeded", "access_token": "abcdef"} if status != 304 else b""
    with serving(lambda exchange: exchange.answer(body, status)) as server, pytest.raises(MediaJobsError) as caught:
        get(bench, f"{server.url}/videos?key=secret")
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, ServiceError)
    assert (error.blame, error.retryable, error.http_status) == (Blame.EXTERNAL, retryable, status)
    assert error.message.startswith(f"games list ({server.url}/videos?key) was answered with {status}")
    assert "secret" not in error.message
    assert "abcdef" not in error.message
    if body:
        assert "quotaExceeded" in error.message
        assert '"abcdef"' in error.answer
    assert (bench.call.status, bench.call.tries) == (error.code, 1)


def test_an_answer_that_is_not_json_is_told_of(bench: Bench) -> None:
    """By whoever asks for JSON."""
    with serving(lambda exchange: exchange.answer(b"<html>")) as server:
        answer = get(bench, server.url)
    with pytest.raises(ServiceAnswerError, match=r"games list .* was not answered with JSON"):
        answer.json()


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000])
def test_what_is_not_http_is_an_invalid_answer(bench: Bench, garbage: bytes) -> None:
    """And nobody asks again: the next answer would be no better."""
    with serving(lambda exchange: exchange.end(garbage)) as server, pytest.raises(ServiceAnswerError):
        get(bench, server.url)
    assert (bench.call.status, bench.call.tries) == ("SERVICE_ANSWER_INVALID", 1)


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "9"}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "2, 3"}]
)
def test_a_body_that_is_cut_off_is_no_answer(bench: Bench, headers: dict[str, str]) -> None:
    """Half of the JSON would be taken for all of it."""
    with serving(lambda e: e.end(head(200, headers) + b"{}")) as server, pytest.raises(ServiceAnswerError):
        get(bench, server.url)
    assert bench.call.status == "SERVICE_ANSWER_INVALID"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "//host/x", "host/x", "http://", "http://[::1"])
def test_only_http_is_asked(bench: Bench, url: str) -> None:
    """Nothing is sent, and the call is on record all the same."""
    with pytest.raises(RequestError, match="is not a valid address"):
        get(bench, url)
    assert (bench.call.status, bench.call.tries) == ("REQUEST_INVALID", 0)


def test_a_host_that_does_not_exist_is_unavailable(bench: Bench) -> None:
    """`.invalid` never does (RFC 6761)."""
    with pytest.raises(ServiceUnavailableError, match=r"cannot be reached"):
        get(bench, "http://games.invalid/")
    assert bench.call.tries == 4


# --- size ------------------------------------------------------------------------------------------------------------

LARGE = b"x" * 200_000


def chunked(exchange: Exchange) -> None:
    """In pieces, each with its length, that have no end."""
    exchange.send(head(200, {"Transfer-Encoding": "chunked"}))
    while True:
        exchange.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def endless(exchange: Exchange) -> None:
    """Without a length, and without an end."""
    exchange.send(head(200, {}))
    while True:
        exchange.send(LARGE)


SIZES: dict[str, Behaviour] = {
    "length": lambda exchange: exchange.answer(LARGE),
    "declared": lambda exchange: exchange.send(head(200, {"Content-Length": str(10**12)})),
    "chunked": chunked,
    "endless": endless,
    "packed": lambda exchange: exchange.answer(gzip.compress(LARGE), headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("behave", SIZES.values(), ids=SIZES)
def test_an_answer_that_is_too_large_is_given_up(bench: Bench, behave: Behaviour) -> None:
    """Whatever it says of its length; and no more than a piece beyond the limit is read."""
    with serving(behave) as server, pytest.raises(ServiceTooLargeError, match="limit of 100,000 bytes"):
        get(bench, server.url, max_bytes=100_000)
    assert bench.call.status == "SERVICE_ANSWER_TOO_LARGE"
    assert bench.call.bytes < 200_000


def test_an_answer_as_large_as_the_limit_is_taken(bench: Bench) -> None:
    """And one may ask how large a thing is that is larger."""
    with serving(
        lambda e: e.answer(LARGE) if e.method == "GET" else e.answer(headers={"Content-Length": "9999999"})
    ) as s:
        assert get(bench, s.url, max_bytes=len(LARGE)).body == LARGE
        size = bench.client.request("HEAD", s.url, service="s", op="o", max_bytes=1)
    assert (size.body, size.headers["Content-Length"]) == (b"", "9999999")


# --- asking again ----------------------------------------------------------------------------------------------------


def busy_at_first(times: int, status: int = 503) -> Behaviour:
    """So many refusals before the answer."""
    return lambda e: e.answer(b"ok") if e.number >= times else e.answer(b"busy", status)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_asked_again(bench: Bench, status: int) -> None:
    """One call, three tries, one record."""
    with serving(busy_at_first(2, status)) as server:
        assert get(bench, server.url).text == "ok"
    assert (bench.call.status, bench.call.tries, bench.call.bytes) == ("ok", 3, 2)


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_what_would_fail_again_is_asked_once(bench: Bench, status: int) -> None:
    """The job's own retry may find the service in a better state."""
    with serving(busy_at_first(1, status)) as server, pytest.raises(ServiceError):
        get(bench, server.url)
    assert bench.call.tries == len(server.exchanges) == 1


def test_tries_have_an_end(open_bench: OpenBench) -> None:
    """As many as the settings say."""
    bench = open_bench(service_tries=3)
    with serving(busy_at_first(99)) as server, pytest.raises(ServiceUnavailableError):
        get(bench, server.url)
    assert bench.call.tries == len(server.exchanges) == 3


@pytest.mark.parametrize(("method", "retry_safe", "tries"), [("POST", None, 1), ("POST", True, 2), ("GET", False, 1)])
def test_what_may_not_be_done_twice_is_not(bench: Bench, method: str, retry_safe: bool | None, tries: int) -> None:
    """A POST may have been carried out though its answer was lost; the client of a service may know better."""
    with serving(busy_at_first(1)) as server:
        try:
            bench.client.request(method, server.url, service="s", op="o", retry_safe=retry_safe)
        except ServiceUnavailableError:
            assert tries == 1
        else:
            assert tries == 2
    assert bench.call.tries == len(server.exchanges) == tries


BROKEN: dict[str, Behaviour] = {
    "before": lambda e: e.end() if e.number == 0 else e.answer(b"whole"),
    "within": lambda e: e.end(head(200, {"Content-Length": "9"}) + b"h") if e.number == 0 else e.answer(b"whole"),
}


@pytest.mark.parametrize("behave", BROKEN.values(), ids=BROKEN)
def test_a_broken_connection_is_made_again(bench: Bench, behave: Behaviour) -> None:
    """Before the answer or in mid-answer; what came of the first is not in the second."""
    with serving(behave) as server:
        assert get(bench, server.url).body == b"whole"
    assert (bench.call.tries, bench.call.bytes) == (2, 5)


def test_a_refused_connection_is_tried_again(bench: Bench) -> None:
    """Until the tries are used up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServiceUnavailableError, match="refused"):
        get(bench, f"http://127.0.0.1:{port}")
    assert bench.call.tries == 4


def test_retry_after_is_waited_for(bench: Bench) -> None:
    """One second, where the pause of our own would be a hundredth."""
    with serving(
        lambda e: e.answer(b"ok") if e.number else e.answer(status=429, headers={"Retry-After": "1"})
    ) as server:
        get(bench, server.url)
    assert bench.call.tries == 2
    assert bench.call.duration_ms >= 1000


@pytest.mark.parametrize(("asked", "deadline_s"), [("31", 100.0), ("20", 10.0)])
@pytest.mark.parametrize(("status", "kind"), [(429, ServiceLimitedError), (503, ServiceUnavailableError)])
def test_a_long_retry_after_is_left_to_the_job(
    open_bench: OpenBench, asked: str, deadline_s: float, status: int, kind: type[ServiceError]
) -> None:
    """Longer than half a minute, or than there is time: nothing is waited for, and the error says how long."""
    bench = open_bench(deadline_s=deadline_s)
    with (
        serving(lambda e: e.answer(status=status, headers={"Retry-After": asked})) as server,
        pytest.raises(kind) as caught,
    ):
        get(bench, server.url)
    assert caught.value.retry_after_s == float(asked)
    assert bench.call.tries == 1


def test_pauses_never_pass_the_deadline(open_bench: OpenBench) -> None:
    """A pause that would is not begun, and the service's own error is told."""
    bench = open_bench(deadline_s=5.0, service_retry_base_s=1e9)
    with (
        serving(lambda e: e.answer(status=503, headers={"Retry-After": "6"})) as server,
        pytest.raises(ServiceUnavailableError),
    ):
        get(bench, server.url)
    assert bench.call.tries == 1


def test_what_was_sent_in_confidence_is_not_told_by_the_answer(open_bench: OpenBench) -> None:
    """Some services quote the request: a key of a header, a query, or a path that is a secret. All else is shown."""
    bench = open_bench(service_tries=1)

    def quote(exchange: Exchange) -> None:
        key = exchange.headers.get("Authorization", "").removeprefix("Bearer ")
        exchange.answer({"error": f"Cannot GET {exchange.target} with the key {key}: no day 2026-11-27"}, 401)

    with serving(quote) as server:
        for url, options in (
            ("/ical/private-5f3a9c77/basic.ics?day=2026-11-27", {"hides_path": True}),
            ("/v1/games?day=2026-11-27", {"headers": {"Authorization": "Bearer hunter2-9911"}}),
            ("/v1/games?day=2026-11-27&api_key=hunter2-9911", {}),
        ):
            with pytest.raises(ServiceRefusedError) as caught:
                get(bench, f"{server.url}{url}", **options)
            assert "5f3a9c77" not in caught.value.message
            assert "hunter2" not in caught.value.message
            assert "no day" in caught.value.message
