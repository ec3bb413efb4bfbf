"""The history on both engines, as in the history's own tests, a target of alerts, and a collector of traces."""

from collections.abc import Iterator

import pytest

from mediajobs_dagster.history import History
from tests.history.conftest import cleared_postgres, history, history_url, migrated_postgres
from tests.servers.alert_target import AlertTarget
from tests.servers.otlp_collector import OtlpCollector

__all__ = ["cleared_postgres", "history", "history_url", "migrated_postgres", "target"]


@pytest.fixture
def target() -> Iterator[AlertTarget]:
    """A target that takes what it gets."""
    with AlertTarget.serving() as serving:
        yield serving


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    """A collector that takes what it gets."""
    with OtlpCollector.serving() as serving:
        yield serving


@pytest.fixture
def traced(history_url: str) -> Iterator[History]:
    """An open history that notes what ends for a collector."""
    with History.open(history_url, timeout_s=60, is_traced=True) as opened:
        yield opened
