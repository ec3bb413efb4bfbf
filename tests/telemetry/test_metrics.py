"""The catalogue, and what is recorded under its names."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from mediajobs_dagster.telemetry.metrics.catalogue import CATALOGUE, METRICS, Kind
from mediajobs_dagster.telemetry.metrics.exposition import exposition
from mediajobs_dagster.telemetry.metrics.process import sample_process
from mediajobs_dagster.telemetry.metrics.readings import Readings, Spread

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "metrics.md"


def table() -> str:
    """The catalogue as the guide has it."""
    rows = ["| Name in JSON | Name for Prometheus | Kind | Labels | Meaning |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| `{each.name}` | `{each.prometheus}` | {each.kind} | {', '.join(each.label_names)} | {each.help} |"
        for each in CATALOGUE
    ]
    return "\n".join(rows)


def test_the_guide_lists_every_metric() -> None:
    """Both of its names, its labels and its meaning."""
    assert table() in GUIDE.read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http.requests_total", "mediajobs_http_requests_total"),
        ("http.request_latency_ms", "mediajobs_http_request_latency_seconds"),
        ("attempts.duration_ms_total", "mediajobs_attempts_duration_seconds_total"),
        ("proc.memory_rss_mb", "mediajobs_proc_memory_rss_bytes"),
        ("scratch.disk_used_pct", "mediajobs_scratch_disk_used_ratio"),
        ("attempts.read_bytes_total", "mediajobs_attempts_read_bytes_total"),
        ("worker.inflight_jobs", "mediajobs_worker_inflight_jobs"),
    ],
)
def test_names_for_prometheus_are_in_base_units(name: str, expected: str) -> None:
    """As its conventions ask."""
    assert METRICS[name].prometheus == expected


def test_the_catalogue_keeps_the_conventions() -> None:
    """Counters end in `_total` and nothing else does; no unit but a base unit; every name is there once."""
    names = [each.prometheus for each in CATALOGUE]
    assert len(set(names)) == len(names) == len(METRICS)
    for each in CATALOGUE:
        assert re.fullmatch(r"mediajobs(_[a-z]+)+", each.prometheus), each.prometheus
        assert each.prometheus.endswith("_total") == each.name.endswith("_total") == (each.kind is Kind.COUNTER)
        assert not re.search(r"_(ms|mb|pct|milliseconds|percent)(_|$)", each.prometheus)
        assert bool(each.bounds) == (each.kind is Kind.HISTOGRAM)
        assert list(each.bounds) == sorted(each.bounds)


def test_recording_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be recorded is logged once a name."""
    readings = Readings()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            readings.count("no.such_total")
            readings.count("http.requests_total", method="GET")
            readings.set("proc.open_fds", 1, host="one")
    assert readings.values == readings.spreads == {}
    assert len(caplog.messages) == len({*caplog.messages}) == 3


def test_labels_are_bounded() -> None:
    """By the values that they can have, and else by their number."""
    readings = Readings()
    for number in range(1000):
        readings.count("http.errors_total", route=f"/{number}", code="404")
        readings.count("http.requests_total", method=f"M{number}", route="/", code_class="2xx")
    errors, requests = readings.values["http.errors_total"], readings.values["http.requests_total"]
    assert len(errors) == 201
    assert errors["other", "404"] == 800
    assert requests == {("other", "/", "2xx"): 1000}


def test_quantiles_lie_within_their_class() -> None:
    """Evenly, as Prometheus estimates them; without values, and above all bounds, nothing better is known."""
    bounds = (10.0, 20.0)
    assert Spread([0, 0, 0]).quantile(0.5, bounds) == 0
    assert Spread([10, 0, 0]).quantile(0.5, bounds) == 5
    assert Spread([5, 5, 0]).quantile(0.9, bounds) == pytest.approx(18)
    assert Spread([0, 0, 3]).quantile(0.5, bounds) == 20


def test_the_process_is_measured_in_base_units(tmp_path: Path) -> None:
    """Also while the folder for working files is not there yet."""
    readings = Readings()
    sample_process(readings, tmp_path / "not" / "there")
    text = exposition(readings).body.decode()
    (memory,) = re.findall(r"^mediajobs_proc_memory_rss_bytes (\S+)$", text, re.MULTILINE)
    (used,) = re.findall(r"^mediajobs_scratch_disk_used_ratio (\S+)$", text, re.MULTILINE)
    assert 10 * 2**20 < float(memory) < 10 * 2**30
    assert 0 < float(used) <= 1
