"""Idempotency keys, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import KeyBusyError, KeyReusedError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.requests import KEPT, PATIENCE, Answered, Claim
from mediajobs_dagster.history.schema import requests

ANSWER = Answered(202, '{"jobs": []}')


def age(history: History, by: timedelta) -> None:
    """Let time pass for every request."""
    with history._database.write() as connection:  # nothing else sets back a moment
        for key, at in connection.execute(sa.select(requests.c.key, requests.c.at)).all():
            connection.execute(sa.update(requests).where(requests.c.key == key).values(at=at - by))


def latest_sign(history: History) -> datetime:
    """When the only request gave its latest sign of life."""
    with history._database.read() as connection:
        return connection.execute(sa.select(requests.c.at)).scalar_one()


def claim(history: History, key: str, asked: str) -> Claim:
    """Begin a request that nobody has answered."""
    found = history.requests.begin(key, asked)
    assert isinstance(found, Claim)
    return found


def test_a_request_is_answered_as_before(history: History) -> None:
    """Once it is over; until then it is busy, and with another request the key is refused."""
    mine = claim(history, "k", "a")
    with pytest.raises(KeyBusyError):
        history.requests.begin("k", "a")
    with pytest.raises(KeyReusedError):
        history.requests.begin("k", "b")
    mine.end(ANSWER)
    assert history.requests.begin("k", "a") == ANSWER
    with pytest.raises(KeyReusedError):
        history.requests.begin("k", "b")


def test_what_came_to_nothing_may_be_asked_again(history: History) -> None:
    """And what was answered stays."""
    claim(history, "k", "a").forget()
    again = claim(history, "k", "b")
    again.end(ANSWER)
    again.forget()
    assert history.requests.begin("k", "b") == ANSWER


def test_a_request_whose_process_died_is_made_again(history: History) -> None:
    """By the next that asks, and by one only. The old process, should it wake up, changes nothing any more."""
    old = claim(history, "k", "a")
    age(history, PATIENCE + timedelta(seconds=5))
    mine = claim(history, "k", "a")
    with pytest.raises(KeyBusyError):
        history.requests.begin("k", "a")
    old.renew()
    old.forget()
    old.end(Answered(500, "{}"))
    mine.end(ANSWER)
    assert history.requests.begin("k", "a") == ANSWER


def test_a_request_that_works_for_long_keeps_its_key(history: History) -> None:
    """By signs of life, which its claim gives by itself."""
    mine = claim(history, "k", "a")
    begun = latest_sign(history)
    with mine.kept(every_s=0.01):
        while latest_sign(history) == begun:
            pass
    with pytest.raises(KeyBusyError):
        history.requests.begin("k", "a")
    mine.end(ANSWER)
    assert history.requests.begin("k", "a") == ANSWER


def test_an_answer_is_kept_for_a_day(history: History) -> None:
    """After that, the key is as good as new."""
    claim(history, "k", "a").end(ANSWER)
    age(history, KEPT - timedelta(minutes=5))
    assert history.requests.begin("k", "a") == ANSWER
    age(history, timedelta(minutes=10))
    claim(history, "k", "b")


def test_of_many_at_once_one_is_carried_out(history: History) -> None:
    """The others are told that it is busy."""

    def begin(_number: int) -> bool:
        try:
            return isinstance(history.requests.begin("k", "a"), Claim)
        except KeyBusyError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(8))) == 1
