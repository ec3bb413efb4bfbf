"""Which services are told of a trace, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster.errors import ServiceRefusedError
from mediajobs_dagster.trace_context import TraceParent
from tests.services.conftest import OpenBench
from tests.services.server import Exchange, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"


def told(exchange: Exchange) -> TraceParent:
    """The span that a service was told."""
    parent = TraceParent.parse(exchange.headers["traceparent"])
    assert parent
    return parent


def test_a_service_goes_on_with_the_trace(open_bench: OpenBench, tmp_path: Path) -> None:
    """Each call is a span of its own, whose id is in its record, whatever is called and however often it is tried."""
    bench = open_bench(trace=TRACE)

    def busy_at_first(exchange: Exchange) -> None:
        exchange.answer(b"there", status=503 if exchange.number == 0 else 200)

    with serving(busy_at_first) as server:
        bench.client.request("GET", server.url, service="s", op="o")
        bench.client.download(server.url, tmp_path / "file", service="s", op="d", max_bytes=100)
    first, again, download = map(told, server.exchanges)
    assert {each.trace_id for each in (first, again, download)} == {TRACE}
    assert first == again != download
    assert [each.span_id for each in bench.calls] == [first.span_id, download.span_id]


def test_no_service_is_told_where_traces_are_off(open_bench: OpenBench) -> None:
    """Nor is there an id in the record."""
    bench = open_bench()
    with serving(lambda exchange: exchange.answer(b"there")) as server:
        bench.client.request("GET", server.url, service="s", op="o")
    assert server.exchanges[0].headers["traceparent"] is None
    assert bench.call.span_id is None


def test_another_host_is_not_told(open_bench: OpenBench) -> None:
    """One to which the service sends us is none that was chosen here."""
    bench = open_bench(trace=TRACE)
    with (
        serving(lambda exchange: exchange.answer(b"there")) as other,
        serving(lambda exchange: exchange.answer(status=302, headers={"Location": other.url})) as first,
    ):
        bench.client.request("GET", first.url, service="s", op="o")
    assert told(first.exchanges[0]).trace_id == TRACE
    assert other.exchanges[0].headers["traceparent"] is None


def test_the_record_has_method_and_status(open_bench: OpenBench) -> None:
    """Of the last answer; where there was none, no status."""
    bench = open_bench()
    with serving(lambda exchange: exchange.answer(b"no", status=404)) as server, pytest.raises(ServiceRefusedError):
        bench.client.request("post", server.url, service="s", op="o")
    with serving(lambda exchange: exchange.answer(b"no")) as gone:
        pass
    with pytest.raises(Exception, match="cannot be reached"):
        bench.client.request("GET", gone.url, service="s", op="o")
    assert [(each.method, each.http_status) for each in bench.calls] == [("POST", 404), ("GET", None)]
