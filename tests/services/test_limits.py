"""A call ends in time, whatever the server does, and at once when the work is cancelled."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from mediajobs_dagster.errors import (
    CancelledError,
    DeadlineError,
    MediaJobsError,
    ServiceTimeoutError,
    ServiceUnavailableError,
    WorkerLostError,
)
from tests.services.conftest import Bench, OpenBench
from tests.services.server import REASONABLE_S, Exchange, head, serving


def drip_head(exchange: Exchange) -> None:
    """A header that has no end."""
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    exchange.drip(b"x")


def drip_body(exchange: Exchange) -> None:
    """A body of a million bytes, one by one."""
    exchange.send(head(200, {"Content-Length": "1000000"}))
    exchange.drip(b"x")


def drip_endless(exchange: Exchange) -> None:
    """A body without a length: shutting the connection down looks like its end."""
    exchange.send(head(200, {}))
    exchange.drip(b"x")


def drip_chunks(exchange: Exchange) -> None:
    """A chunk of a million bytes, one by one."""
    exchange.send(head(200, {"Transfer-Encoding": "chunked"}) + b"F4240\r\n")
    exchange.drip(b"x")


def drip_refusal(exchange: Exchange) -> None:
    """The words of an error, one letter after another."""
    exchange.send(head(503, {}))
    exchange.drip(b"x")


def hang_within(exchange: Exchange) -> None:
    """Half of a body, and silence."""
    exchange.send(head(200, {"Content-Length": "10"}) + b"12345")
    exchange.hang()


def redirect_to_nowhere(exchange: Exchange) -> None:
    """Silence at the second address."""
    if exchange.target == "/":
        exchange.answer(status=302, headers={"Location": "/there"})
    else:
        exchange.hang()


BEHAVIOURS: dict[str, Callable[[Exchange], None]] = {
    "never answers": Exchange.hang,
    "drips the head": drip_head,
    "drips the body": drip_body,
    "drips a body without length": drip_endless,
    "drips chunks": drip_chunks,
    "hangs in mid-body": hang_within,
    "redirects to nowhere": redirect_to_nowhere,
}

SOON_S = 3.0
"""Far less than any timeout that is not at work here."""


def ask(bench: Bench, url: str, **options: object) -> None:
    """A call that may not end well."""
    bench.client.request("GET", url, service="s", op="o", **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("behave", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_a_call_ends_at_its_own_limit(bench: Bench, behave: Callable[[Exchange], None]) -> None:
    """The service is at fault, and the error is on record."""
    started = time.monotonic()
    with serving(behave) as server, pytest.raises(ServiceTimeoutError):
        ask(bench, f"{server.url}/", timeout_s=0.4)
    assert 0.4 <= time.monotonic() - started < SOON_S
    assert bench.call.status == "SERVICE_TIMEOUT"


@pytest.mark.parametrize("behave", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_a_call_ends_with_the_works_deadline(open_bench: OpenBench, behave: Callable[[Exchange], None]) -> None:
    """However much longer the call itself might take."""
    bench = open_bench(deadline_s=0.4)
    started = time.monotonic()
    with serving(behave) as server, pytest.raises(DeadlineError):
        ask(bench, f"{server.url}/")
    assert time.monotonic() - started < SOON_S
    assert bench.call.status == "TIMEOUT"


@pytest.mark.parametrize("behave", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_cancelling_ends_a_call_at_once(bench: Bench, behave: Callable[[Exchange], None]) -> None:
    """With the error that the work was cancelled with."""
    with serving(behave) as server:
        ended_with(bench, lambda: ask(bench, f"{server.url}/"), server.blocked.wait)
    assert bench.call.status == "WORKER_LOST"


def test_a_refusal_is_told_of_though_its_words_never_end(bench: Bench) -> None:
    """The status is known, so that is what the call ends with, in time."""
    with serving(drip_refusal) as server, pytest.raises(ServiceUnavailableError, match=r"503 .*: x+"):
        ask(bench, server.url, timeout_s=2.0)
    assert bench.call.duration_ms < SOON_S * 1000


def test_cancelling_ends_a_refusal_whose_words_never_end(bench: Bench) -> None:
    """And then it is no refusal."""
    with serving(drip_refusal) as server:
        ended_with(bench, lambda: ask(bench, server.url), server.blocked.wait)


@pytest.mark.parametrize("behave", [hang_within, drip_body], ids=["hangs", "drips"])
def test_cancelling_ends_a_download_at_once(bench: Bench, behave: Callable[[Exchange], None], tmp_path: Path) -> None:
    """And nothing is left of it."""
    with serving(behave) as server:
        ended_with(
            bench,
            lambda: bench.client.download(server.url, tmp_path / "f", service="s", op="o", max_bytes=10**9),
            server.blocked.wait,
        )
    assert list(tmp_path.iterdir()) == []


def test_cancelling_ends_a_call_over_a_kept_connection(bench: Bench) -> None:
    """It was opened under the guard of another call."""
    with serving(lambda e: e.hang() if e.number else e.answer(b"first")) as server:
        ask(bench, server.url)
        ended_with(bench, lambda: ask(bench, server.url), server.blocked.wait)
        assert server.connections == 1


def test_cancelling_ends_a_pause_between_tries(open_bench: OpenBench) -> None:
    """A service that asks for twenty seconds gets none of them from a cancelled job."""
    bench = open_bench(deadline_s=100.0)
    with serving(lambda e: e.answer(status=503, headers={"Retry-After": "20"})) as server:

        def is_asked(timeout: float) -> bool:
            return wait_for(lambda: bool(server.exchanges), timeout)

        ended_with(bench, lambda: ask(bench, server.url), is_asked)
    assert bench.call.tries == 1


def test_a_cancelled_work_asks_nothing(bench: Bench) -> None:
    """Not even the name of the host is looked up."""
    bench.cancellation.cancel(CancelledError())
    with serving(Exchange.answer) as server, pytest.raises(CancelledError):
        ask(bench, server.url)
    assert (server.connections, bench.call.tries, bench.call.status) == (0, 0, "CANCELLED")


def test_a_work_that_is_over_asks_nothing(open_bench: OpenBench) -> None:
    """A deadline in the past ends a call before it begins."""
    bench = open_bench(deadline_s=0.0)
    with serving(Exchange.answer) as server, pytest.raises(DeadlineError):
        ask(bench, server.url)
    assert server.connections == 0


# --- before there is a connection ------------------------------------------------------------------------------------


@contextmanager
def full_house() -> Generator[int]:
    """A port where connections are neither taken nor refused: the queue of its listener is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            line = stack.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(("127.0.0.1", port))
        yield port


def test_connecting_has_a_limit_of_its_own(open_bench: OpenBench) -> None:
    """Shorter than the call's, and as connecting is safe, it is tried again."""
    bench = open_bench(service_connect_timeout_s=0.2, service_tries=2)
    with full_house() as port, pytest.raises(ServiceTimeoutError, match="did not accept the connection"):
        ask(bench, f"http://127.0.0.1:{port}")
    assert bench.call.tries == 2
    assert bench.call.duration_ms < SOON_S * 1000


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cancelling_ends_connecting_at_once(bench: Bench, scheme: str) -> None:
    """Also while nothing has come back yet."""
    with full_house() as port:
        ended_with(bench, lambda: ask(bench, f"{scheme}://127.0.0.1:{port}"), lambda _: is_connecting(port))


def test_cancelling_ends_a_handshake_at_once(bench: Bench) -> None:
    """A server that takes the connection and says nothing, where TLS would begin."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        greeted = threading.Event()

        def take() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(1)
                greeted.set()
                with contextlib.suppress(OSError):
                    while line.recv(4096):
                        pass

        server = Thread(target=take)
        server.start()
        ended_with(bench, lambda: ask(bench, f"https://127.0.0.1:{port}"), greeted.wait)
        server.join(REASONABLE_S)


def test_looking_up_a_name_does_not_outlast_the_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver can be neither hurried nor stopped: it is left to itself."""
    asked, released = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        asked.set()
        released.wait(REASONABLE_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        ended_with(bench, lambda: ask(bench, "http://games.invalid"), asked.wait)
    finally:
        released.set()


def test_a_broken_connection_is_no_timeout(bench: Bench) -> None:
    """Nor is anything a cancellation that was none."""
    with serving(Exchange.end) as server, pytest.raises(ServiceUnavailableError):
        ask(bench, server.url, retry_safe=False)


# --- what is left ----------------------------------------------------------------------------------------------------


def test_calls_leave_nothing_open(bench: Bench) -> None:
    """Neither sockets nor threads, after calls of every kind."""
    with serving(lambda e: e.answer(b"ok") if e.target == "/ok" else hang_within(e)) as server:
        for path in ("/ok", "/hang", "/ok"):
            with contextlib.suppress(ServiceTimeoutError):
                ask(bench, server.url + path, timeout_s=0.2)
    bench.client.close()
    gc.collect()
    assert wait_for(lambda: threads_of_calls() == [], REASONABLE_S)
    ours = [each for each in gc.get_objects() if isinstance(each, socket.socket) and each.fileno() >= 0]
    assert [each for each in ours if each.getsockname()[1] == server.port or peer_port(each) == server.port] == []


def threads_of_calls() -> list[Thread]:
    """Timers of guards, and look-ups."""
    return [t for t in threading.enumerate() if isinstance(t, threading.Timer) or t.name == "service-lookup"]


def peer_port(line: socket.socket) -> int | None:
    """Where a socket leads to."""
    with contextlib.suppress(OSError):
        return line.getpeername()[1]
    return None


def ended_with(bench: Bench, call: Callable[[], object], is_blocked: Callable[[float], bool]) -> None:
    """Cancel `call` once it is blocked: it ends at once, and with that error."""
    raised: list[MediaJobsError] = []

    def make() -> None:
        try:
            call()
        except MediaJobsError as error:
            raised.append(error)

    caller = Thread(target=make)
    caller.start()
    assert is_blocked(REASONABLE_S)
    error, started = WorkerLostError("The lease was lost."), time.monotonic()
    bench.cancellation.cancel(error)
    caller.join(REASONABLE_S)
    assert not caller.is_alive()
    assert time.monotonic() - started < SOON_S
    assert raised == [error]


def wait_for(condition: Callable[[], bool], timeout: float) -> bool:
    """Whether it holds before the time is over."""
    give_up = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


def is_connecting(port: int) -> bool:
    """Whether this machine has a fifth connection in the making to that port (SYN_SENT, or waiting to be taken)."""
    wanted = f"0100007F:{port:04X}"
    return wait_for(
        lambda: sum(line.split()[2] == wanted for line in Path("/proc/net/tcp").read_text().splitlines()[1:]) >= 5,
        REASONABLE_S,
    )
