"""Whether and when a failed job is tried again."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mediajobs_dagster.errors import (
    CancelledError,
    DatabaseUnavailableError,
    DiskFullError,
    FfmpegKilledError,
    InputCorruptError,
    JobLogError,
    MediaJobsError,
    OutOfMemoryError,
    ParametersError,
    ServiceLimitedError,
    ServiceRefusedError,
    ServiceUnavailableError,
    SettingsError,
    StorageDeniedError,
    StorageMissingError,
    StorageUnavailableError,
    WorkerLostError,
)
from mediajobs_dagster.history import History
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, new_id
from mediajobs_dagster.resilience.retry import Past, RetryPolicy, Verdict
from mediajobs_dagster.settings import Settings
from tests.history.factories import THUMB, a_new_job, ended

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


@pytest.mark.parametrize("error", [FfmpegKilledError(), StorageMissingError(), MediaJobsError("?")])
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


@pytest.mark.parametrize("error", [FfmpegKilledError(), DiskFullError()])
def test_a_job_with_one_attempt_gets_one(error: MediaJobsError) -> None:
    """No retry where none was granted, also in an outage."""
    assert judge(error, max_attempts=1) == Verdict(JobStatus.DEAD)


def test_delays_double_up_to_the_cap() -> None:
    """5, 10, 20 … 300 seconds at the longest, for however many attempts."""
    policy = RetryPolicy(base_s=5.0, cap_s=300.0)
    assert policy == RetryPolicy()
    assert [policy.longest_delay_s(attempt) for attempt in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert policy.longest_delay_s(10_000) == 300


def test_delays_are_spread_evenly() -> None:
    """Full jitter: anything from nothing to the longest, so that jobs that failed together come back apart."""
    delays = [delay_s(judge(FfmpegKilledError(), attempts=2, seed=seed)) for seed in range(2_000)]
    assert 0 <= min(delays) < 0.1
    assert 9.9 < max(delays) <= 10
    assert sum(delays) / len(delays) == pytest.approx(5, abs=0.3)


def test_chance_is_handed_in() -> None:
    """The same chance, the same delay."""
    assert (
        judge(FfmpegKilledError(), seed=4) == judge(FfmpegKilledError(), seed=4) != judge(FfmpegKilledError(), seed=5)
    )


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
    assert delay_s(policy.judge(a_job(1), FfmpegKilledError(), chance=random.Random(1))) == 0


OUTAGES = [
    DiskFullError,
    DatabaseUnavailableError,
    StorageDeniedError,
    StorageUnavailableError,
    ServiceUnavailableError,
]


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_uses_up_no_attempts(kind: type[MediaJobsError]) -> None:
    """Its pauses are minutes, and grow to a quarter of an hour: it takes a person to mend it."""
    pauses = [outlast(kind(), number) for number in range(8)]
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, LONGEST_S, strict=True))


LONGEST_S = (30, 60, 120, 240, 480, 900, 900, 900)


def outlast(error: MediaJobsError, number: int) -> float:
    """Seconds until the next attempt, in an outage that has ended so many attempts before."""
    past = Past(number, number, since=NOON)
    verdict = RetryPolicy().judge(a_job(number + 1), error, chance=random.Random(number), past=past, now=NOON)
    assert verdict.status is JobStatus.FAILED
    return delay_s(verdict)


def test_an_outage_of_half_a_day_is_the_end_and_says_why() -> None:
    """It has left some fifty attempts by then, not thousands."""
    chance, moment, number = random.Random(3), NOON, 0
    while True:
        past = Past(number, number, since=NOON if number else None)
        error = StorageUnavailableError("The bucket does not answer.")
        verdict = RetryPolicy().judge(a_job(number + 1), error, chance=chance, past=past, now=moment)
        if verdict.status is JobStatus.DEAD:
            break
        moment, number = moment + timedelta(seconds=delay_s(verdict)), number + 1
    assert timedelta(hours=12) <= moment - NOON < timedelta(hours=12, minutes=15)
    assert 48 < number < 100
    assert verdict.note.startswith("This has lasted for 12.")
    assert f" hours and {number + 1} attempts, so the job is given up." in verdict.note


def test_other_faults_have_their_three_attempts_beside_those_of_an_outage() -> None:
    """And their short pauses."""
    policy, after = RetryPolicy(), Past(outages=20)
    verdicts = [policy.judge(a_job(number), FfmpegKilledError(), chance=CHANCE, past=after) for number in (21, 22, 23)]
    assert [verdict.status for verdict in verdicts] == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DEAD]
    assert all(delay_s(verdict) <= 10 for verdict in verdicts[:2])


CHANCE = random.Random(5)


def test_an_outage_may_be_as_any_other_fault() -> None:
    """If the limit is nothing."""
    policy = RetryPolicy.of(Settings.load(_env_file=None, outage_limit_s=0))
    verdict = policy.judge(a_job(3), DiskFullError(), chance=CHANCE, past=Past(2, 2, NOON))
    assert verdict == Verdict(JobStatus.DEAD)


def test_which_attempts_an_outage_ended_is_read_from_the_history(history: History) -> None:
    """The last ones in a row say since when it lasts; a retry by hand starts anew."""
    [entry] = history.jobs.enqueue([a_new_job()])
    codes = ["DISK_FULL", "STALLED", "STORAGE_UNAVAILABLE", "DATABASE_BUSY"]
    for number, code in enumerate(codes):
        at = NOON + timedelta(hours=number)
        fail(history, AttemptStatus.FAILURE, completed_at=at, error_code=code)
    job = history.jobs.get(entry.job.id).model_copy(update={"attempts": 5})
    assert RetryPolicy().past(history, job) == Past(3, 2, NOON + timedelta(hours=2), attempts=4)
    assert RetryPolicy().past(history, job.model_copy(update={"attempts": 2})) == Past(1, 1, NOON, attempts=1)
    history.jobs.cancel(job.id)
    history.jobs.retry(job.id)
    assert RetryPolicy().past(history, job) == Past(before=4)


def test_a_retry_by_hand_grants_as_many_attempts_by_code_as_at_first() -> None:
    """The attempts before it count no more, and neither do its pauses grow with them."""
    policy = RetryPolicy(attempts={"FFMPEG_KILLED": 2})
    jobs = [a_job(number, max_attempts=3 + 3) for number in (4, 5)]
    pasts = [Past(before=3), Past(attempts=1, before=3)]
    judged = [
        policy.judge(job, FfmpegKilledError(), chance=CHANCE, past=past) for job, past in zip(jobs, pasts, strict=True)
    ]
    assert [each.status for each in judged] == [JobStatus.FAILED, JobStatus.DEAD]
    assert judged[0].pause_s is not None
    assert judged[0].pause_s <= policy.base_s


def test_a_retry_by_hand_grants_as_many_attempts_as_at_first() -> None:
    """Three more, of which those that were interrupted do not count."""
    policy, past = RetryPolicy(), Past(interruptions=1, attempts=1, before=3)
    judged = [
        policy.judge(a_job(number, max_attempts=3 + 3), FfmpegKilledError(), chance=CHANCE, past=past).status
        for number in (5, 6, 7)
    ]
    assert judged == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DEAD]


def fail(history: History, status: AttemptStatus, **how: Any) -> None:
    """One attempt at the job that waits fails."""
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch is not None
    claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    assert history.leases.finish(ended(claim, status, **how), job_status=JobStatus.FAILED)


def test_an_interruption_uses_up_no_attempt() -> None:
    """Nor does a worker that dies once or twice: a fault of the job's own has all its attempts beside them."""
    past = Past().after("CANCELLED", NOON).after("WORKER_LOST", NOON).after("CANCELLED", NOON)
    assert past == Past(interruptions=3, deaths_in_a_row=1, attempts=3)
    policy = RetryPolicy()
    assert [
        policy.judge(a_job(number), FfmpegKilledError(), chance=CHANCE, past=past).status for number in (4, 5, 6)
    ] == [
        JobStatus.FAILED,
        JobStatus.FAILED,
        JobStatus.DEAD,
    ]
    assert policy.judge(a_job(9, max_attempts=1), WorkerLostError(), chance=CHANCE).status is JobStatus.FAILED


def test_a_job_under_which_three_workers_die_in_a_row_is_dead_and_says_so() -> None:
    """Workers that were stopped between them do not matter; an attempt that failed by itself does."""
    once = Past().after("WORKER_LOST", NOON).after("CANCELLED", NOON)
    assert RetryPolicy().judge(a_job(3), WorkerLostError(), chance=CHANCE, past=once).status is JobStatus.FAILED
    twice = once.after("WORKER_LOST", NOON)
    verdict = RetryPolicy().judge(a_job(4, max_attempts=100), WorkerLostError(), chance=CHANCE, past=twice)
    assert verdict.status is JobStatus.DEAD
    assert "died three times in a row" in verdict.note
    for code in ("STALLED", "DISK_FULL"):
        apart = twice.after(code, NOON).after("WORKER_LOST", NOON)
        assert apart.deaths_in_a_row == 1
        assert RetryPolicy().judge(a_job(6), WorkerLostError(), chance=CHANCE, past=apart).status is JobStatus.FAILED


@pytest.mark.parametrize("code", [None, "OF_A_PACKAGE_THAT_IS_GONE"])
def test_an_end_that_nothing_is_known_of_is_an_attempt_as_any_other(code: str | None) -> None:
    """It was no interruption, no outage and no lack of memory, and it ends those that came in a row."""
    assert Past().after(code, NOON) == Past(attempts=1)
    before = Past().after("DISK_FULL", NOON).after("WORKER_LOST", NOON)
    assert before.after(code, NOON) == Past(outages=1, interruptions=1, attempts=3)


def test_interruptions_do_not_set_an_outage_back() -> None:
    """A restart in the middle of an outage must not grant it another half a day."""
    past = Past().after("DISK_FULL", NOON).after("CANCELLED", NOON).after("WORKER_LOST", NOON).after("DISK_FULL", NOON)
    assert (past.outages_in_a_row, past.since) == (2, NOON)


def test_what_ran_out_of_memory_is_tried_once_more() -> None:
    """Alone, which the attempt sees to; when that does not help, the job is dead although attempts are left."""
    policy = RetryPolicy()
    assert policy.judge(a_job(1, 10), OutOfMemoryError(), chance=CHANCE).status is JobStatus.FAILED
    past = Past().after("OUT_OF_MEMORY", NOON).after("STALLED", NOON)
    assert past == Past(tried_alone=1, attempts=2)
    verdict = policy.judge(a_job(3, 10), OutOfMemoryError(), chance=CHANCE, past=past)
    assert verdict.status is JobStatus.DEAD
    assert "half of the threads" in verdict.note
    assert policy.judge(a_job(3, 10), FfmpegKilledError(), chance=CHANCE, past=past).status is JobStatus.FAILED


def test_an_outage_that_settings_name_counts(history: History) -> None:
    """Beside others, which do not."""
    policy = RetryPolicy.of(Settings.load(_env_file=None, retry_attempts="DISK_FULL=3"))
    [entry] = history.jobs.enqueue([a_new_job()])
    for code in ("DISK_FULL", "STORAGE_UNAVAILABLE", "DISK_FULL"):
        fail(history, AttemptStatus.FAILURE, completed_at=NOON, error_code=code)
    job = history.jobs.get(entry.job.id)
    before = policy.past(history, job)  # of the third
    assert (before.outages, before.attempts) == (1, 2)
    assert policy.judge(job, DiskFullError(), chance=CHANCE, past=before).status is JobStatus.FAILED
    now = job.model_copy(update={"attempts": 4})
    assert policy.judge(now, DiskFullError(), chance=CHANCE, past=policy.past(history, now)).status is JobStatus.DEAD


def test_settings_say_how_often_by_code_and_job_type() -> None:
    """What is said of the job type's code wins; an outage that is named is as any other fault."""
    settings = Settings.load(
        _env_file=None, retry_attempts="FFMPEG_KILLED=5, upload_thumb_v1/FFMPEG_KILLED=1 ,DISK_FULL=2"
    )
    policy, proxy = RetryPolicy.of(settings), {"job_type": "upload_edit_proxy_v1"}

    def statuses(error: MediaJobsError, **change: Any) -> list[JobStatus]:
        jobs = [a_job(number).model_copy(update=change) for number in (1, 2, 5)]
        return [policy.judge(job, error, chance=CHANCE).status for job in jobs]

    assert statuses(FfmpegKilledError()) == [JobStatus.DEAD] * 3
    assert statuses(FfmpegKilledError(), **proxy) == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DEAD]
    assert statuses(DiskFullError()) == [JobStatus.FAILED, JobStatus.DEAD, JobStatus.DEAD]
    assert statuses(StorageMissingError()) == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.DEAD]
    for wrong in ("TIMEOUT", "TIMEOUT=0", "=3", "TIMEOUT=x"):
        with pytest.raises(SettingsError, match="MEDIAJOBS_RETRY_ATTEMPTS"):
            Settings.load(_env_file=None, retry_attempts=wrong)
