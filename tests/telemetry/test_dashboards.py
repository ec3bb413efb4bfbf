"""The rules and the dashboard in `deploy/` ask for what a scrape has: metrics, labels and values of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from mediajobs_dagster.telemetry.metrics.catalogue import CATALOGUE, Kind, Label
from mediajobs_dagster.telemetry.metrics.exposition import exposition
from mediajobs_dagster.telemetry.metrics.readings import Readings

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "mediajobs.json"

SELECTOR = re.compile(r"\b(mediajobs_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
RECORDED = re.compile(r"\bmediajobs:\w+:\w+")


def rules() -> list[dict[str, str]]:
    """Every rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries() -> Iterator[str]:
    """Every query of the rules and of the dashboard."""
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.fixture(scope="module")
def scraped() -> dict[str, dict[str, Label]]:
    """The labels of every sample that a scrape can have, from a scrape in which each metric has a value."""
    full = Readings()
    labels: dict[str, dict[str, Label]] = {}
    for metric in CATALOGUE:
        of = {label.name: label.values[0] if label.values else "x" for label in metric.labels}
        record = full.observe if metric.kind is Kind.HISTOGRAM else full.count
        record(metric.name, 1, **of)
        labels[metric.prometheus] = {label.name: label for label in metric.labels}
    found: dict[str, dict[str, Label]] = {}
    for family in text_string_to_metric_families(exposition(full).body.decode()):
        for sample in family.samples:
            name = next(
                each for each in labels if sample.name in (each, f"{each}_bucket", f"{each}_sum", f"{each}_count")
            )
            assert sample.labels.keys() - {"le"} == labels[name].keys()
            found[sample.name] = labels[name] | ({"le": Label("le", "")} if "le" in sample.labels else {})
    assert len(found) >= len(CATALOGUE)
    return found


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_asks_for_what_there_is(query: str, scraped: dict[str, dict[str, Label]]) -> None:
    """A name, a label or a value that is none would draw nothing, or never alert, and nobody would notice."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert set(RECORDED.findall(query)) <= recorded
    usable: set[str] = set()
    selectors = SELECTOR.findall(RECORDED.sub("", query))
    assert selectors or RECORDED.search(query)
    for name, matchers in selectors:
        assert name in scraped, name
        usable |= scraped[name].keys()
        for label, operator, values in MATCHER.findall(matchers):
            assert label in scraped[name], label
            known = scraped[name][label].values
            for value in values.split("|") if "~" in operator else [values]:
                assert not known or value in known, f"{label}={value}"
    for names in GROUPING.findall(query):
        assert {each.strip() for each in names.split(",")} <= usable


def test_every_alert_says_what_to_do() -> None:
    """Whom it concerns, what has happened, and where to look."""
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) > 10
    for alert in alerts:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} == set(alert["annotations"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")],
)
def test_promtool_finds_them_good(arguments: tuple[str, ...]) -> None:
    """Prometheus' own checks, and the tests of the rules."""
    done = subprocess.run(["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
