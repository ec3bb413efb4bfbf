"""The pace of sites is one for all workers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import History
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import site_pace
from mediajobs_dagster.history.sites import Turn


@pytest.fixture
def database(history: History, history_url: str) -> Iterator[Database]:
    """The same database, below the history."""
    database = Database(history_url, timeout_s=30)
    yield database
    database.close()


def take(history: History, *, every_s: float = 60.0, burst: int = 1, longest_s: float = 1000.0) -> Turn:
    """Take a turn at a site."""
    return history.sites.take("example.com", every_s=every_s, burst=burst, longest_s=longest_s)


def test_turns_come_one_after_the_other(history: History) -> None:
    """At the pace that was asked for."""
    assert take(history) == Turn(0.0, True)
    assert take(history).wait_s == pytest.approx(60, abs=5)
    assert take(history).wait_s == pytest.approx(120, abs=5)
    assert history.sites.take("other.org", every_s=60, burst=1, longest_s=9).wait_s == 0


def test_some_may_come_at_once(history: History) -> None:
    """After a rest, as many as the bucket holds."""
    waits = [take(history, burst=3).wait_s for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3:] == [pytest.approx(60, abs=5), pytest.approx(120, abs=5)]


def test_who_would_wait_too_long_gets_no_turn(history: History) -> None:
    """And takes none from others."""
    take(history)
    assert not take(history, longest_s=10).is_given
    assert take(history).wait_s == pytest.approx(60, abs=5)


def test_workers_share_it(history: History) -> None:
    """Of many at once, each gets another turn."""
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(turn.wait_s for turn in pool.map(lambda _: take(history), range(16)))
    assert waits == [pytest.approx(60 * number, abs=20) for number in range(16)]


def test_a_pause_holds_all_back(history: History) -> None:
    """With its reason; it is over when its time is."""
    assert history.sites.pause("example.com", 100.0, "a robot?") == pytest.approx(100, abs=5)
    turn = take(history)
    assert (turn.is_given, turn.reason) == (False, "a robot?")
    assert turn.wait_s == pytest.approx(100, abs=5)
    history.sites.answered("example.com")
    assert take(history).is_given


def test_pauses_in_a_row_grow(history: History) -> None:
    """Twice as long each, until the site answers; what several workers meet at once is one."""
    lasts = []
    for _ in range(3):
        lasts.append(history.sites.pause("example.com", 0.0, "no"))
    assert lasts == [0, 0, 0]
    assert history.sites.pause("example.com", 10.0, "no") == pytest.approx(80, abs=5)
    assert history.sites.pause("example.com", 10.0, "no") == pytest.approx(80, abs=5)
    history.sites.answered("example.com")
    assert history.sites.pause("example.com", 10.0, "no") == pytest.approx(10, abs=5)


def test_no_pause_is_longer_than_a_day(history: History) -> None:
    """Whatever a site asks for, and however often."""
    for _ in range(2):
        assert history.sites.pause("example.com", 3e7, "later") == pytest.approx(24 * 3600, abs=5)
        history.sites.answered("example.com")


def test_a_clock_that_was_wrong(history: History, database: Database) -> None:
    """What was noted while it ran ahead holds nobody back once it is right again."""
    history.sites.pause("example.com", 100.0, "a robot?")
    ahead = history.now() + timedelta(days=400)
    with database.write() as connection:
        connection.execute(sa.update(site_pace).values(next_at=ahead, paused_until=ahead))
    assert take(history) == Turn(0.0, True)
    assert take(history).wait_s == pytest.approx(60, abs=5)
    assert history.sites.pause("example.com", 100.0, "a robot?") <= 24 * 3600.0
