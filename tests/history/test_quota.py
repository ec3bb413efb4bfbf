"""The quota ledger: nobody ever gets past the limit, whoever charges, corrects or crosses a reset."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediajobs_dagster.history import History
from mediajobs_dagster.history.quota import Period, Used

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 28, 8, tzinfo=UTC)


def period(limit: int = 10, *, bucket: str = "service.calls", resets_at: datetime = MIDNIGHT) -> Period:
    return Period(bucket, limit, resets_at)


def used(history: History, of: Period) -> Used:
    (found,) = history.quota.used([of])
    return found


def test_what_is_left_can_be_used_to_the_last_unit(history: History) -> None:
    """A charge that does not fit changes nothing; another period and another bucket have units of their own."""
    charge = history.quota.charge
    assert used(history, period()) == Used()
    assert charge(period(), 7, now=NOW)
    assert not charge(period(), 4, now=NOW + timedelta(hours=1))
    assert charge(period(), 3, now=NOW + timedelta(hours=2))
    assert not charge(period(), 1, now=NOW)
    assert used(history, period()) == Used(10, 2, NOW)
    assert charge(period(resets_at=MIDNIGHT + timedelta(days=1)), 1, now=NOW)
    assert charge(period(bucket="other"), 10, now=NOW)
    assert not charge(period(bucket="third"), 11, now=NOW)
    assert used(history, period(bucket="third")) == Used()


def test_a_call_is_set_right_afterwards(history: History) -> None:
    """More and less than was charged; never below nothing, nor past the limit."""
    history.quota.charge(period(), 5, now=NOW)
    history.quota.correct(period(), 2, calls=1, now=NOW)
    assert used(history, period()) == Used(7, 2, NOW)
    history.quota.correct(period(), -3, calls=-1, now=NOW)
    assert used(history, period()) == Used(4, 1, NOW)
    history.quota.correct(period(), 100, now=NOW)
    assert used(history, period()).units == 10
    history.quota.correct(period(), -100, calls=-100, now=NOW)
    assert used(history, period()) == Used()


def test_the_services_word_counts_until_the_reset(history: History) -> None:
    """Whatever was counted here, and however often it says so; the day after is not affected."""
    history.quota.charge(period(), 2, now=NOW)
    history.quota.exhaust(period(), now=NOW + timedelta(hours=1))
    history.quota.exhaust(period(), now=NOW + timedelta(hours=2))
    assert used(history, period()) == Used(2, 1, NOW, NOW + timedelta(hours=1))
    assert not history.quota.charge(period(), 1, now=NOW)
    assert history.quota.charge(period(resets_at=MIDNIGHT + timedelta(days=1)), 1, now=MIDNIGHT)
    history.quota.exhaust(period(bucket="never used"), now=NOW)
    assert not history.quota.charge(period(bucket="never used"), 1, now=NOW)


def test_another_limit_counts_from_the_next_charge(history: History) -> None:
    """Raised in the middle of a day it lets more through; lowered below what is used, nothing."""
    assert history.quota.charge(period(10), 10, now=NOW)
    assert history.quota.charge(period(12), 2, now=NOW)
    assert not history.quota.charge(period(5), 1, now=NOW)
    assert used(history, period(5)).units == 12


def test_it_survives_a_restart(history_url: str) -> None:
    """It is a table, not memory."""
    with History.open(history_url) as history:
        history.quota.charge(period(), 4, now=NOW)
    with History.open(history_url) as history:
        assert used(history, period()) == Used(4, 1, NOW)


def test_threads_share_what_is_left(history: History) -> None:
    """Forty at once want one of ten units: ten get one."""
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda _: history.quota.charge(period(), 1, now=NOW), range(40)))
    assert sum(granted) == used(history, period()).units == 10


def charge_thirty_times(url: str) -> int:
    """How many of thirty charges a process gets."""
    with History.open(url, timeout_s=60) as history:
        return sum(history.quota.charge(period(25), 1, now=NOW) for _ in range(30))


def test_processes_share_what_is_left(history_url: str) -> None:
    """Each with connections of its own; the limit holds to the unit."""
    History.open(history_url).close()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        granted = list(pool.map(charge_thirty_times, [history_url] * 2))
    with History.open(history_url) as history:
        assert sum(granted) == used(history, period()).units == 25


# --- any order of things ---------------------------------------------------------------------------------------------

BUCKETS = ("a", "b")
STEPS = st.one_of(
    st.tuples(st.just("charge"), st.sampled_from(BUCKETS), st.integers(0, 12)),
    st.tuples(st.just("correct"), st.sampled_from(BUCKETS), st.integers(-15, 15)),
    st.tuples(st.just("exhaust"), st.sampled_from(BUCKETS), st.just(0)),
    st.tuples(st.just("jump"), st.just(""), st.integers(-2, 2)),
    st.tuples(st.just("limit"), st.just(""), st.integers(0, 20)),
    st.tuples(st.just("restart"), st.just(""), st.just(0)),
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the databases of one test."""
    folder = tmp_path_factory.mktemp("quota")
    History.open(f"sqlite:///{folder / 'empty.db'}").close()
    return folder


@settings(max_examples=40, deadline=None, database=None)
@given(st.lists(STEPS, max_size=40))
def test_nothing_gets_past_the_limit(many: Path, steps: list[tuple[str, str, int]]) -> None:
    """Two processes take turns at charges, corrections, clock jumps of days, new limits and restarts.

    A model counts by itself: the ledger grants exactly what fits, and never more than the limit of that moment.
    """
    url = f"sqlite:///{many / 'any.db'}"
    (many / "any.db").write_bytes((many / "empty.db").read_bytes())
    opened = [History.open(url), History.open(url)]
    limit, day = 10, 0
    count: dict[tuple[str, int], int] = defaultdict(int)
    bound: dict[tuple[str, int], int] = defaultdict(int)
    spent: set[tuple[str, int]] = set()
    try:
        for number, (what, bucket, figure) in enumerate(steps):
            history, key = opened[number % 2], (bucket, day)
            now, of = NOW + timedelta(days=day), period(limit, bucket=bucket, resets_at=MIDNIGHT + timedelta(days=day))
            match what:
                case "charge":
                    fits = key not in spent and figure <= limit and count[key] + figure <= limit
                    assert history.quota.charge(of, figure, now=now) == fits
                    if fits:
                        count[key] += figure
                        bound[key] = limit
                case "correct":
                    history.quota.correct(of, figure, now=now)
                    count[key] = min(bound[key], max(0, count[key] + figure))
                case "exhaust":
                    history.quota.exhaust(of, now=now)
                    spent.add(key)
                    bound[key] = bound[key] or limit
                case "jump":
                    day += figure
                case "limit":
                    limit = figure
                case _:
                    opened[number % 2].close()
                    opened[number % 2] = History.open(url)
            if bucket:
                (found,) = history.quota.used([of])
                assert found.units == count[key] <= max(bound[key], 0)
    finally:
        for history in opened:
            history.close()
