"""Idempotency keys, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import KeyBusyError, KeyReusedError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.requests import KEPT, PATIENCE, Answered
from mediajobs_dagster.history.schema import requests

ANSWER = Answered(202, '{"jobs": []}')


def age(history: History, by: timedelta) -> None:
    """Let time pass for every request."""
    with history._database.write() as connection:  # nothing else sets back a moment
        for key, at in connection.execute(sa.select(requests.c.key, requests.c.at)).all():
            connection.execute(sa.update(requests).where(requests.c.key == key).values(at=at - by))


def test_a_request_is_answered_as_before(history: History) -> None:
    """Once it is over; until then it is busy, and with another request the key is refused."""
    assert history.requests.begin("k", "a") is None
    with pytest.raises(KeyBusyError):
        history.requests.begin("k", "a")
    with pytest.raises(KeyReusedError):
        history.requests.begin("k", "b")
    history.requests.end("k", ANSWER)
    assert history.requests.begin("k", "a") == ANSWER
    with pytest.raises(KeyReusedError):
        history.requests.begin("k", "b")


def test_what_came_to_nothing_may_be_asked_again(history: History) -> None:
    """And what was answered stays."""
    history.requests.begin("k", "a")
    history.requests.forget("k")
    assert history.requests.begin("k", "b") is None
    history.requests.end("k", ANSWER)
    history.requests.forget("k")
    assert history.requests.begin("k", "b") == ANSWER


def test_a_request_whose_process_died_is_made_again(history: History) -> None:
    """By the next that asks, and by one only."""
    history.requests.begin("k", "a")
    age(history, PATIENCE + timedelta(seconds=5))
    assert history.requests.begin("k", "a") is None
    with pytest.raises(KeyBusyError):
        history.requests.begin("k", "a")


def test_an_answer_is_kept_for_a_day(history: History) -> None:
    """After that, the key is as good as new."""
    history.requests.begin("k", "a")
    history.requests.end("k", ANSWER)
    age(history, KEPT - timedelta(minutes=5))
    assert history.requests.begin("k", "a") == ANSWER
    age(history, timedelta(minutes=10))
    assert history.requests.begin("k", "b") is None


def test_of_many_at_once_one_is_carried_out(history: History) -> None:
    """The others are told that it is busy."""

    def begin(_number: int) -> bool:
        try:
            return history.requests.begin("k", "a") is None
        except KeyBusyError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(8))) == 1
