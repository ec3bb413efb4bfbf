"""Whether and when a failed job is tried again."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime

import pytest

from mediajobs_dagster.errors import (
    CancelledError,
    DiskFullError,
    InputCorruptError,
    JobLogError,
    MediaJobsError,
    ParametersError,
    ServiceLimitedError,
    ServiceRefusedError,
    StorageUnavailableError,
    WorkerLostError,
)
from mediajobs_dagster.models import Job, JobStatus, new_id
from mediajobs_dagster.resilience.retry import RetryPolicy, Verdict
from mediajobs_dagster.settings import Settings

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def a_job(attempts: int, max_attempts: int = 3) -> Job:
    """A job at work on its attempt number `attempts`."""
    return Job(
        id=new_id(),
        job_type="upload_thumb_v1",
        subject_id="upload",
        subject_day=date(2026, 3, 4),
        trace_id="a" * 32,
        idempotency_key="key",
        status=JobStatus.PROCESSING,
        attempts=attempts,
        max_attempts=max_attempts,
        not_before=NOON,
        created_at=NOON,
        updated_at=NOON,
    )


def judge(error: MediaJobsError, attempts: int = 1, *, max_attempts: int = 3, seed: int = 0) -> Verdict:
    """What the default policy makes of a failure."""
    return RetryPolicy().judge(a_job(attempts, max_attempts), error, chance=random.Random(seed))


def delay_s(verdict: Verdict) -> float:
    """Seconds until the next attempt."""
    assert verdict.pause_s is not None
    return verdict.pause_s


@pytest.mark.parametrize("error", [DiskFullError(), StorageUnavailableError(), WorkerLostError(), MediaJobsError("?")])
def test_a_fault_that_may_pass_is_tried_again_until_the_attempts_are_used_up(error: MediaJobsError) -> None:
    """The first two fail, the third is the last."""
    assert [judge(error, attempts).status for attempts in (1, 2, 3)] == [
        JobStatus.FAILED,
        JobStatus.FAILED,
        JobStatus.DEAD,
    ]


@pytest.mark.parametrize("error", [InputCorruptError(), ParametersError(), JobLogError()])
def test_a_fault_that_stays_is_not_tried_again(error: MediaJobsError) -> None:
    """Dead at the first attempt, with no date for another."""
    assert judge(error) == Verdict(JobStatus.DEAD)


def test_a_cancelled_job_is_neither_dead_nor_tried_again() -> None:
    """Also when it was its last attempt."""
    assert judge(CancelledError()) == judge(CancelledError(), attempts=3) == Verdict(JobStatus.CANCELLED)


def test_a_job_with_one_attempt_gets_one() -> None:
    """No retry where none was granted."""
    assert judge(DiskFullError(), max_attempts=1).status is JobStatus.DEAD


def test_delays_double_up_to_the_cap() -> None:
    """5, 10, 20 … 300 seconds at the longest, for however many attempts."""
    policy = RetryPolicy(base_s=5.0, cap_s=300.0)
    assert policy == RetryPolicy()
    assert [policy.longest_delay_s(attempt) for attempt in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert policy.longest_delay_s(10_000) == 300


def test_delays_are_spread_evenly() -> None:
    """Full jitter: anything from nothing to the longest, so that jobs that failed together come back apart."""
    delays = [delay_s(judge(DiskFullError(), attempts=2, seed=seed)) for seed in range(2_000)]
    assert 0 <= min(delays) < 0.1
    assert 9.9 < max(delays) <= 10
    assert sum(delays) / len(delays) == pytest.approx(5, abs=0.3)


def test_chance_is_handed_in() -> None:
    """The same chance, the same delay."""
    assert judge(DiskFullError(), seed=4) == judge(DiskFullError(), seed=4) != judge(DiskFullError(), seed=5)


def test_a_service_that_said_how_long_is_left_alone_for_so_long() -> None:
    """And the usual draw comes on top, so that its jobs do not come back all at once either."""
    delays = [delay_s(judge(ServiceLimitedError(retry_after_s=600), attempts=2, seed=seed)) for seed in range(500)]
    assert 600 <= min(delays) < 600.2
    assert 609.5 < max(delays) <= 610


@pytest.mark.parametrize(("asked_s", "least_s"), [(0.0, 0), (-5.0, 0), (1e300, 24 * 3600)])
def test_no_service_delays_a_job_by_more_than_a_day(asked_s: float, least_s: float) -> None:
    """Whatever it says."""
    assert least_s <= delay_s(judge(ServiceLimitedError(retry_after_s=asked_s))) <= least_s + 5


def test_a_refusal_is_final_though_it_says_when_to_come_back() -> None:
    """The time to wait does not make a fault one that passes."""
    assert judge(ServiceRefusedError(retry_after_s=60)) == Verdict(JobStatus.DEAD)


def test_the_settings_say_how_long() -> None:
    """And a base of nothing means at once."""
    policy = RetryPolicy.of(Settings.load(_env_file=None, retry_base_s=0, retry_cap_s=7))
    assert policy == RetryPolicy(base_s=0, cap_s=7)
    assert delay_s(policy.judge(a_job(1), DiskFullError(), chance=random.Random(1))) == 0
