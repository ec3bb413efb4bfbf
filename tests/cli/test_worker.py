"""`mediajobs worker` as far as it goes without a cluster; tests/cluster has one."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Call


def test_without_a_broker_it_says_what_to_set(mediajobs: Call) -> None:
    """A newcomer who starts a worker on the embedded default is told what a cluster needs."""
    answer = mediajobs("worker")
    assert answer.code == 2
    assert "MEDIAJOBS_CELERY_URL" in answer.err


@pytest.mark.parametrize("queues", ["fast", "light,fast", ""])
def test_a_queue_that_does_not_exist_is_refused(mediajobs: Call, queues: str) -> None:
    """Else the worker would wait for runs that nobody sends."""
    answer = mediajobs("worker", "--queues", queues, celery_url="redis://127.0.0.1:1/0")
    assert answer.code == 2
    assert "light, heavy" in answer.err
