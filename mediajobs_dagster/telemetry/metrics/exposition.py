"""Readings as Prometheus reads them: its text format, or OpenMetrics for those that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from mediajobs_dagster.telemetry.metrics.catalogue import CATALOGUE, Kind, Metric
from mediajobs_dagster.telemetry.metrics.readings import Readings, Spread

if TYPE_CHECKING:
    from prometheus_client import Metric as Family


@dataclass(frozen=True)
class Exposition:
    """The body of an answer, and its content type."""

    body: bytes
    content_type: str


@dataclass(frozen=True, eq=False)
class _Collector:
    """What prometheus_client asks for the metrics."""

    readings: Readings

    def collect(self) -> Iterator[Family]:
        """Every metric that has a value."""
        for metric in CATALOGUE:
            if metric.kind is Kind.HISTOGRAM:
                if spreads := self.readings.spreads.get(metric.name):
                    yield _histogram(metric, spreads)
            elif values := self.readings.values.get(metric.name):
                yield _plain(metric, values)


def exposition(readings: Readings, accept: str = "") -> Exposition:
    """The readings in the form that the header `Accept` asks for."""
    # Loaded here: it takes a tenth of a second, and most processes never answer a scrape.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(readings))
    encode, content_type = choose_encoder(accept)
    return Exposition(encode(registry), content_type)


def _plain(metric: Metric, values: dict[tuple[str, ...], float]) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.prometheus, metric.help, labels=metric.label_names)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, _scaled(value, metric))
    return family


def _histogram(metric: Metric, spreads: dict[tuple[str, ...], Spread]) -> Family:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(metric.prometheus, metric.help, labels=metric.label_names)
    bounds = [repr(_scaled(bound, metric)) for bound in metric.bounds]
    for labels, spread in sorted(spreads.items()):
        upto = list(accumulate(spread.numbers))
        family.add_metric(labels, list(zip([*bounds, "+Inf"], upto, strict=True)), _scaled(spread.total, metric))
    return family


def _scaled(value: float, metric: Metric) -> float:
    # 0.1, not 0.1000000000000001: what is said of milliseconds has at most so many digits in seconds.
    return round(value * metric.scale, 9) if metric.scale < 1 else value * metric.scale
