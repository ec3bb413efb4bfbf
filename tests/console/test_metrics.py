"""`/metrics` and `/metrics.json`, asked by HTTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.system import MediaJobs
from tests.console.client import Client
from tests.console.conftest import dagster_ui
from tests.servers.asgi import serving

OPENMETRICS = [("Accept", "application/openmetrics-text; version=1.0.0")]


def samples_of(client: Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a scrape, by name and labels."""
    families = plain_text(client.get("/metrics").text)
    return {(each.name, frozenset(each.labels.items())): each.value for one in families for each in one.samples}


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """The key of a sample."""
    return f"mediajobs_{name}", frozenset(labels.items())


def test_both_forms_are_read_by_prometheus_own_parsers(client: Client) -> None:
    """With the same metrics in both; who asks for OpenMetrics gets it."""
    text, open_text = client.get("/metrics"), client.get("/metrics", OPENMETRICS)
    assert text.headers["content-type"].startswith("text/plain")
    assert open_text.headers["content-type"].startswith("application/openmetrics-text")
    of_text = {family.name.removesuffix("_total") for family in plain_text(text.text)}
    assert of_text <= {family.name for family in openmetrics(open_text.text)}
    assert {"mediajobs_queue_jobs", "mediajobs_proc_memory_rss_bytes", "mediajobs_database_up"} <= of_text


def test_requests_are_counted_by_the_templates_of_their_routes(client: Client) -> None:
    """Never by their paths: whoever sends them could fill the memory with labels."""
    for path in ("/api/jobs", "/api/jobs/one", "/api/jobs/two", "/no/such/one", "/no/such/two", "/dagster/graphql"):
        client.get(path)
    client.ask("PROPFIND", "/coffee")
    client.ask("HEAD", "/api/jobs")
    found = samples_of(client)
    for method, route, code_class, number in (
        ("GET", "/api/jobs", "2xx", 1),
        ("HEAD", "/api/jobs", "2xx", 1),
        ("GET", "/api/jobs/{reference}", "4xx", 2),
        ("GET", "unknown", "4xx", 2),
        ("GET", "/dagster/{path}", "2xx", 1),
        ("other", "unknown", "4xx", 1),
    ):
        labels = {"method": method, "route": route, "code_class": code_class}
        assert found[of("http_requests_total", **labels)] == number
    assert found[of("http_errors_total", route="/api/jobs/{reference}", code="404")] == 2
    assert found[of("http_request_latency_seconds_count", route="/api/jobs/{reference}")] == 2
    assert not any(part in value for _, labels in found for _, value in labels for part in ("such", "/one", "/two"))


def test_what_breaks_off_is_an_error_of_ours(client: Client, media: MediaJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw counts as 500."""
    monkeypatch.setattr(media, "jobs", None)
    client.get("/api/jobs")
    assert samples_of(client)[of("http_errors_total", route="/api/jobs", code="500")] == 1


def test_who_goes_away_is_no_error_of_ours(client: Client) -> None:
    """A body that breaks off, and an event stream that was followed for a while."""
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"POST /api/uploads?name=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nab")
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)
    sent = of("http_requests_total", method="POST", route="/api/uploads", code_class="4xx")
    followed = of("http_requests_total", method="GET", route="/api/events", code_class="2xx")
    deadline = time.monotonic() + 30
    while not {sent, followed} <= (found := samples_of(client)).keys():
        assert time.monotonic() < deadline
    assert found[of("http_errors_total", route="/api/uploads", code="499")] == 1
    assert found[of("http_request_latency_seconds_sum", route="/api/events")] < 1


def test_the_snapshot_has_the_same_numbers(client: Client) -> None:
    """In the units of the names with dots."""
    client.get("/healthz")
    body = client.get("/metrics.json").json
    assert set(body) == {"timestamp", "counters", "gauges", "histograms", "queue"}
    assert body["counters"]["http.requests_total|method=GET,route=/healthz,code_class=2xx"] == 1
    latency = body["histograms"]["http.request_latency_ms"]
    assert latency["count"] == 1
    assert set(latency) == {"count", "sum", "buckets"}
    assert set(latency["buckets"]) == {"50", "90", "99"}
    assert 1 < body["gauges"]["proc.memory_rss_mb"] < 10_000
    assert body["gauges"]["proc.open_fds"] > 2
    assert 0 <= body["gauges"]["scratch.disk_used_pct"] <= 100


def test_scrapes_are_never_kept(client: Client) -> None:
    """Neither by a browser nor by an ETag."""
    for path in ("/metrics", "/metrics.json"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert "etag" not in headers


@pytest.fixture
def unmeasured(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Client]:
    """A client of a console with metrics off."""
    with (
        MediaJobs.open(_env_file=None, home=tmp_path / "off", metrics=False) as media,
        serving(console_app(media, FromDagster(media, instance), dagster_ui)) as url,
    ):
        yield Client(url)


@pytest.mark.parametrize("path", ["/metrics", "/metrics.json"])
def test_metrics_can_be_off(unmeasured: Client, path: str) -> None:
    """The answer says how to turn them on."""
    answer = unmeasured.get(path)
    assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    assert "MEDIAJOBS_METRICS" in answer.json["detail"]
