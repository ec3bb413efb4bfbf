"""What metrics read at one moment, and the one place where a process counts what it measures of itself."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from mediajobs_dagster.history.series import OTHER
from mediajobs_dagster.telemetry.metrics.catalogue import METRICS, Label, Metric

_log = logging.getLogger(__name__)

Labels = tuple[str, ...]
"""The values of a metric's labels, in their order."""


@dataclass
class Spread:
    """Values of a histogram."""

    numbers: list[int]
    """How many there are in each class; the last one is for what is above all bounds."""
    total: float = 0.0
    """Their sum, in the unit of the name with dots."""

    @property
    def number(self) -> int:
        """How many there are."""
        return sum(self.numbers)

    def quantile(self, share: float, bounds: tuple[float, ...]) -> float:
        """The value below which that share of them is, taken to lie evenly within its class; 0 without any.

        This is what Prometheus' `histogram_quantile` does. Above the last bound nothing is known but that bound.
        """
        rank, below = share * self.number, 0
        for index, number in enumerate(self.numbers):
            if number and below + number >= rank:
                if index == len(bounds):
                    return bounds[-1]
                low = bounds[index - 1] if index else 0.0
                return low + (bounds[index] - low) * (rank - below) / number
            below += number
        return 0.0

    def put(self, bounds: tuple[float, ...], value: float) -> None:
        """Add a value."""
        self.add_class(bisect_left(bounds, value), 1, value)

    def add_class(self, index: int, number: int, total: float) -> None:
        """Add `number` values of one class, `total` in all."""
        self.numbers[index] += number
        self.total += total

    def add(self, other: Spread) -> None:
        """Add the values of another."""
        self.numbers = [mine + others for mine, others in zip(self.numbers, other.numbers, strict=True)]
        self.total += other.total


@dataclass
class Readings:
    """Values of metrics, by name and labels. Threads may share it.

    Nothing that is recorded raises: an unknown name, or a label that a metric does not have, is logged once a name. A
    value that a label cannot have, or one too many, counts as `other`.
    """

    values: dict[str, dict[Labels, float]] = field(default_factory=dict[str, dict[Labels, float]])
    """Of counters and gauges."""
    spreads: dict[str, dict[Labels, Spread]] = field(default_factory=dict[str, dict[Labels, Spread]])
    """Of histograms."""
    _seen: dict[tuple[str, str], set[str]] = field(default_factory=dict[tuple[str, str], set[str]])
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def count(self, name: str, number: float = 1, /, **labels: str) -> None:
        """Add to a counter; or to a gauge, where several things have the same labels."""

        def change(metric: Metric, key: Labels) -> None:
            values = self.values.setdefault(metric.name, {})
            values[key] = values.get(key, 0.0) + number

        self._record(name, labels, change)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._record(name, labels, lambda metric, key: self.values.setdefault(metric.name, {}).update({key: value}))

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Add a value to a histogram, in the unit of the name."""
        self._record(name, labels, lambda metric, key: self._spread(metric, key).put(metric.bounds, value))

    def add_class(self, name: str, index: int, number: int, total: float, /, **labels: str) -> None:
        """Add `number` values, `total` in all, to one class of a histogram."""
        self._record(name, labels, lambda metric, key: self._spread(metric, key).add_class(index, number, total))

    def merged(self, other: Readings) -> Readings:
        """These and the readings of another, such as those of a process and those of the installation."""
        both = Readings()
        for each in (self, other):
            with each._lock:
                for name, values in each.values.items():
                    mine = both.values.setdefault(name, {})
                    for key, value in values.items():
                        mine[key] = mine.get(key, 0.0) + value
                for name, spreads in each.spreads.items():
                    of_name = both.spreads.setdefault(name, {})
                    for key, spread in spreads.items():
                        of_name.setdefault(key, Spread([0] * len(spread.numbers))).add(spread)
        return both

    def _spread(self, metric: Metric, key: Labels) -> Spread:
        spreads = self.spreads.setdefault(metric.name, {})
        return spreads.setdefault(key, Spread([0] * (len(metric.bounds) + 1)))

    def _record(self, name: str, labels: dict[str, str], change: Callable[[Metric, Labels], object]) -> None:
        try:
            metric = METRICS[name]
            if labels.keys() != set(metric.label_names):
                raise ValueError(f"its labels are {', '.join(metric.label_names) or 'none'}")
            with self._lock:
                change(metric, tuple(self._bounded(metric, label, labels[label.name]) for label in metric.labels))
        except Exception as error:  # noqa: BLE001  # an edge: what is measured must go on, whatever happens here
            log_once(name, f"The metric {name} could not be recorded: {type(error).__name__}: {error}")

    def _bounded(self, metric: Metric, label: Label, value: str) -> str:
        if label.values:
            is_known = value in label.values
        else:
            seen = self._seen.setdefault((metric.name, label.name), set())
            is_known = value in seen or len(seen) < label.most
            if is_known:
                seen.add(value)
        if is_known or value == OTHER:
            return value
        what = f"{metric.name}, {label.name}"
        log_once(what, f"Metrics count a value of {what} as {OTHER!r}: {value[:80]!r} is not known, or one too many.")
        return OTHER


_told = set[str]()


def log_once(name: str, message: str) -> None:
    """Log a warning, unless this process has logged one of that name."""
    if name not in _told:
        _told.add(name)
        _log.warning("%s", message)
