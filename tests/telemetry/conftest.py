"""The history on both engines, as in the history's own tests, and a target of alerts."""

from collections.abc import Iterator

import pytest

from tests.history.conftest import cleared_postgres, history, history_url, migrated_postgres
from tests.servers.alert_target import AlertTarget

__all__ = ["cleared_postgres", "history", "history_url", "migrated_postgres", "target"]


@pytest.fixture
def target() -> Iterator[AlertTarget]:
    """A target that takes what it gets."""
    with AlertTarget.serving() as serving:
        yield serving
