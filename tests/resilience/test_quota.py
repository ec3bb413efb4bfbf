"""Buckets of a day, what is left of them, and when they would run out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediajobs_dagster.errors import QuotaExhaustedError
from mediajobs_dagster.history import History
from mediajobs_dagster.resilience.quota import (
    YOUTUBE_SEARCH,
    YOUTUBE_UNITS,
    Bucket,
    BucketStanding,
    Quota,
    buckets_of,
    skipped_result,
)
from mediajobs_dagster.settings import Settings

BUCKET = Bucket("calls", 10, "calls", "MEDIAJOBS_CALLS")
NOON = datetime(2026, 11, 27, 20, tzinfo=UTC)  # noon in Los Angeles


@dataclass
class Clock:
    """A clock that a test sets."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Counted:
    """A quota, and the clock that it goes by."""

    quota: Quota
    clock: Clock = field(default_factory=Clock)

    @property
    def standing(self) -> BucketStanding:
        (found,) = self.quota.standings()
        return found


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    """A quota of ten calls a day, at noon."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        clock = Clock()
        yield Counted(Quota(history, (BUCKET,), clock), clock)


@pytest.mark.parametrize(
    ("now", "resets_at"),
    [
        ("2026-11-27T20:00", "2026-11-28T08:00"),
        ("2026-11-28T07:59:59", "2026-11-28T08:00"),
        ("2026-11-28T08:00", "2026-11-29T08:00"),
        ("2026-03-08T09:00", "2026-03-09T07:00"),  # the day on which clocks go forward has 23 hours
        ("2026-03-08T08:00", "2026-03-09T07:00"),
        ("2026-11-01T07:00", "2026-11-02T08:00"),  # and that on which they go back, 25
        ("2026-07-01T06:59", "2026-07-01T07:00"),
    ],
)
def test_a_day_ends_at_midnight_pacific(now: str, resets_at: str) -> None:
    """Whatever daylight saving does."""
    period = BUCKET.period(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert period.resets_at == datetime.fromisoformat(resets_at).replace(tzinfo=UTC)


@settings(max_examples=200, deadline=None, database=None)
@given(st.integers(0, 10 * 365 * 86_400), st.sampled_from(["America/Los_Angeles", "Asia/Tokyo"]))
def test_days_follow_each_other_without_a_gap(second: int, zone: str) -> None:
    """Each moment lies in one period, and the next one begins where it ends."""
    now, bucket = NOON + timedelta(seconds=second), Bucket("b", 1, "calls", "SETTING", zone)
    ends = bucket.period(now).resets_at
    assert timedelta(0) < ends - now <= timedelta(hours=25)
    assert bucket.period(ends - timedelta(microseconds=1)).resets_at == ends
    assert timedelta(hours=23) <= bucket.period(ends).resets_at - ends <= timedelta(hours=25)


def test_a_new_day_has_the_whole_quota(counted: Counted) -> None:
    """What was charged yesterday is set right in yesterday's row, also after midnight."""
    charge = counted.quota.charge("calls", 10)
    with pytest.raises(QuotaExhaustedError, match=r"Quota calls: 0 of 10 calls left, 1 needed.*2026-11-28 08:00 UTC"):
        counted.quota.charge("calls", 1)
    counted.clock.at += timedelta(hours=13)
    assert counted.standing.left == 10
    counted.quota.correct(charge, 3, calls=1)
    assert counted.standing.left == 10
    counted.clock.at -= timedelta(hours=13)
    assert counted.standing.left == 7


def test_what_does_not_fit_is_told_with_all_its_figures(counted: Counted) -> None:
    """Enough is no error; too little names bucket, units left and needed, and the reset."""
    counted.quota.charge("calls", 7)
    counted.quota.require({})
    counted.quota.require({"calls": 3})
    with pytest.raises(QuotaExhaustedError) as caught:
        counted.quota.require({"calls": 4})
    error = caught.value
    assert (error.bucket, error.left, error.needed) == ("calls", 3, 4)
    assert error.resets_at == datetime(2026, 11, 28, 8, tzinfo=UTC)
    assert "MEDIAJOBS_CALLS" in error.message
    assert skipped_result(error) == {
        "skipped": "quota_exhausted",
        "bucket": "calls",
        "unitsLeft": 3,
        "unitsNeeded": 4,
        "resetsAt": "2026-11-28T08:00:00+00:00",
    }
    assert counted.quota.left("calls") == 3


def test_only_buckets_that_are_needed_are_looked_at(counted: Counted) -> None:
    """One that is empty keeps nobody from the other."""
    quota = replace(counted.quota, buckets=(BUCKET, replace(BUCKET, name="other")))
    quota.charge("calls", 10)
    quota.require({"other": 10})
    with pytest.raises(QuotaExhaustedError):
        quota.require({"other": 1, "calls": 1})


def test_a_call_counts_as_many_requests_as_it_took(counted: Counted) -> None:
    """Also if it took no more units than were charged; a failed one may have taken none."""
    first, second, third = (counted.quota.charge("calls", 2) for _ in range(3))
    counted.quota.correct(first, 2)
    assert (counted.standing.used.units, counted.standing.used.calls) == (6, 3)
    counted.quota.correct(second, 2, calls=2)
    assert (counted.standing.used.units, counted.standing.used.calls) == (6, 4)
    counted.quota.correct(third, 0, calls=0)
    assert (counted.standing.used.units, counted.standing.used.calls) == (4, 3)


def test_the_services_word_empties_the_bucket(counted: Counted) -> None:
    """Until the reset, and then it is full again."""
    error = counted.quota.exhaust(counted.quota.charge("calls", 1))
    assert "the service says so" in error.message
    assert "have the quota raised" not in error.message  # it would not help before the reset
    assert (counted.standing.left, counted.standing.runs_out_at) == (0, NOON)
    counted.clock.at += timedelta(hours=1)
    assert counted.standing.to_json() == {
        "bucket": "calls",
        "unit": "calls",
        "limit": 10,
        "used": 1,
        "left": 0,
        "calls": 1,
        "anHour": 1.0,
        "resetsAt": "2026-11-28T08:00:00+00:00",
        "runsOutAt": "2026-11-27T20:00:00+00:00",
        "exhaustedAt": "2026-11-27T20:00:00+00:00",
    }
    counted.clock.at += timedelta(hours=11)
    assert counted.standing.left == 10


def test_the_forecast(counted: Counted) -> None:
    """By the rate since the first call of the day, of which an hour is counted at least; not beyond the reset."""
    assert counted.standing.runs_out_at is None
    assert counted.standing.to_json()["anHour"] == 0
    counted.quota.charge("calls", 4)
    assert counted.standing.an_hour == 4
    assert counted.standing.runs_out_at == NOON + timedelta(hours=1.5)
    counted.clock.at += timedelta(hours=4)
    assert counted.standing.an_hour == 1
    assert counted.standing.runs_out_at == NOON + timedelta(hours=4 + 6)
    counted.clock.at += timedelta(hours=4)
    assert counted.standing.runs_out_at is None  # twelve hours more, after the reset
    counted.quota.charge("calls", 6)
    assert counted.standing.runs_out_at == counted.clock.at


def test_what_lasts_to_the_reset_does_not_run_out(counted: Counted) -> None:
    """Half in the first half of the day, and half in the other; a little more would be too much."""
    counted.quota.charge("calls", 5)
    counted.clock.at += timedelta(hours=6)
    assert counted.standing.to_json() == {
        "bucket": "calls",
        "unit": "calls",
        "limit": 10,
        "used": 5,
        "left": 5,
        "calls": 1,
        "anHour": 0.83,
        "resetsAt": "2026-11-28T08:00:00+00:00",
        "runsOutAt": None,
        "exhaustedAt": None,
    }
    counted.clock.at -= timedelta(minutes=1)
    assert counted.standing.runs_out_at == NOON + 2 * timedelta(hours=5, minutes=59)


def test_limits_come_from_the_settings(tmp_path: Path) -> None:
    """Two buckets, as YouTube counts."""
    chosen = Settings.load(_env_file=None, home=tmp_path, youtube_search_limit=5, youtube_unit_limit=70)
    assert {each.name: each.limit for each in buckets_of(chosen)} == {YOUTUBE_SEARCH: 5, YOUTUBE_UNITS: 70}
