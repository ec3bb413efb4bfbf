"""Readings as one JSON document: counters, gauges, and histograms with estimated quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.telemetry.metrics.catalogue import CATALOGUE, Kind, Metric
from mediajobs_dagster.telemetry.metrics.readings import Readings, Spread

_QUANTILES = {"50": 0.5, "90": 0.9, "99": 0.99}


def snapshot(readings: Readings, *, at: datetime, queue: Sequence[JsonObject]) -> JsonObject:
    """The readings by `name|label=value,…`, in the units of their names, and the figures of the queue.

    A histogram with labels is there for each of them and, under its name alone, for all together.
    """
    return {
        "timestamp": at.isoformat(),
        "counters": _values(readings, Kind.COUNTER),
        "gauges": _values(readings, Kind.GAUGE),
        "histograms": {
            key: told for metric in CATALOGUE for key, told in _told(metric, readings.spreads.get(metric.name, {}))
        },
        "queue": list(queue),
    }


def _values(readings: Readings, kind: Kind) -> dict[str, float]:
    return {
        _key(metric, labels): _number(value)
        for metric in CATALOGUE
        if metric.kind is kind
        for labels, value in sorted(readings.values.get(metric.name, {}).items())
    }


def _told(metric: Metric, spreads: dict[tuple[str, ...], Spread]) -> list[tuple[str, JsonObject]]:
    if not spreads:
        return []
    all_together = Spread([0] * (len(metric.bounds) + 1))
    for spread in spreads.values():
        all_together.add(spread)
    by_labels = sorted(spreads.items()) if metric.labels else []
    return [(_key(metric, labels), _spread(metric, spread)) for labels, spread in [((), all_together), *by_labels]]


def _spread(metric: Metric, spread: Spread) -> JsonObject:
    return {
        "count": spread.number,
        "sum": _number(spread.total),
        "buckets": {name: round(spread.quantile(share, metric.bounds), 1) for name, share in _QUANTILES.items()},
    }


def _key(metric: Metric, labels: tuple[str, ...]) -> str:
    named = ",".join(f"{name}={value}" for name, value in zip(metric.label_names, labels, strict=False))
    return f"{metric.name}|{named}" if named else metric.name


def _number(value: float) -> float:
    """Whole numbers as such, all others to the thousandth."""
    return int(value) if value == int(value) else round(value, 3)
