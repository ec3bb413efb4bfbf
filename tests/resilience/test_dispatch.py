"""What the breaker lets through."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import AttemptFilter, Dispatch, History
from mediajobs_dagster.history.switches import Switch, SwitchScope, SwitchState
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus
from mediajobs_dagster.records import BreakerChanged, JobsDispatched, JobsHeld, Record
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN, Breaker, BreakerReading
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.hosts import HostBreaker, Quarantine
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings
from tests.history.factories import NOON, THUMB, a_new_job, an_attempt, claimed, ended, let_pass, some_new_jobs

BREAKER = Breaker(failures=3, window_s=3600, cooldown_s=300)
LATER = NOON + timedelta(seconds=301)
RIVALS = 6


def a_failure(**overrides: Any) -> Attempt:
    """A job that failed by our fault."""
    failure = {"status": AttemptStatus.FAILURE, "blame": Blame.SYSTEM, "error_code": "DISK_FULL"}
    return an_attempt(job_name=THUMB, **failure | overrides)


def fail_three_jobs(history: History) -> None:
    """Three jobs fail at noon by our fault: the breaker is open until five past, and half open then."""
    for _ in range(3):
        history.attempts.record(a_failure())


@pytest.fixture
def rivals(history_url: str) -> Iterator[list[Dispatcher]]:
    """Dispatchers with connections of their own, as in processes of their own."""
    with ExitStack() as stack:
        yield [
            Dispatcher(stack.enter_context(History.open(history_url, timeout_s=30)), BREAKER, lease_s=60)
            for _ in range(RIVALS)
        ]


def test_an_open_breaker_holds_everything_back_and_says_so_once(history: History) -> None:
    fail_three_jobs(history)
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    assert dispatcher.next(THUMB, batch_size=5, now=NOON) is None  # nothing waits, so nothing is held back
    history.jobs.enqueue(some_new_jobs(3), now=NOON)
    for _ in range(2):
        held = dispatcher.next(THUMB, batch_size=5, now=NOON)
        assert isinstance(held, Held)
        assert held.retry_at == NOON + timedelta(seconds=300)
    assert history.jobs.active(THUMB) == 0


def test_what_is_on_record_of_a_dispatch_that_was_skipped(history: History) -> None:
    """An attempt at no job: when that was, why, which jobs failed, and when the next one may try."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    failed = open_by_own_jobs(history, dispatcher)
    now = NOON + timedelta(seconds=10)
    held = dispatcher.next(THUMB, batch_size=5, now=now)
    assert isinstance(held, Held)
    (listed,) = history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN))
    row = history.attempts.get(listed.id)
    assert row.result is not None
    assert set(row.result.pop("jobs")) == failed
    assert row == Attempt(
        id=row.id,
        job_id=None,
        job_name=THUMB,
        attempt=0,
        run_id=None,
        trace_id=None,
        status=AttemptStatus.SKIPPED,
        started_at=now,
        completed_at=now,
        duration_ms=0,
        error_code=BREAKER_OPEN,
        error=held.reason,
        result={"skipped": "breaker_open", "retryAt": (NOON + timedelta(seconds=300)).isoformat()},
        created_at=now,
    )


def a_switch(state: SwitchState, since: datetime, reason: str = "new disk.") -> Switch:
    """Somebody sets the breaker of thumbnails."""
    return Switch(scope=SwitchScope.JOB_TYPE, name=THUMB, state=state, since=since, reason=reason, who="anna@pc")


def test_one_that_a_person_opened_holds_everything_back_until_a_person_closes_it(history: History) -> None:
    """Nobody knows when; one row says so, and after that earlier failures do not count."""
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.CANCELLED), job_status=JobStatus.FAILED)
    history.switches.set(a_switch(SwitchState.OPEN, NOON))
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    for minute in (1, 61, 601):
        held = dispatcher.next(THUMB, batch_size=5, now=NOON + timedelta(minutes=minute))
        assert isinstance(held, Held)
        assert (held.since, held.retry_at, held.is_trying) == (NOON, None, False)
    assert held.reason == (
        f"1 {THUMB} job waits: breaker opened by anna@pc since 12:00:00 UTC: new disk; "
        f"`mediajobs breaker close {THUMB}` lets them start."
    )
    assert held.by_hand is not None
    assert held.to_json()["byHand"] == held.by_hand.to_json()
    (row,) = history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN))
    assert (row.result or {})["retryAt"] is None
    fail_three_jobs(history)
    history.switches.set(a_switch(SwitchState.CLOSED, LATER))
    assert BREAKER.read(history, THUMB, now=LATER) == BreakerReading(THUMB, BreakerState.CLOSED)
    assert isinstance(dispatcher.next(THUMB, batch_size=5, now=LATER), Dispatch)


def noting(told: list[Record]) -> Listeners:
    """A listener that notes what it is told, as if it were noon."""
    return Listeners((lambda record: told.append(replace(record, at=NOON)),))


def test_listeners_are_told_what_a_breaker_does(history: History) -> None:
    """That it opens and what it holds, once; that it lets one job try; and that it is closed."""
    told: list[Record] = []
    dispatcher = Dispatcher(history, BREAKER, 60, noting(told))
    failed = open_by_own_jobs(history, dispatcher)
    assert [type(each) for each in told] == [JobsDispatched] * 3
    told.clear()
    for _ in range(2):
        held = dispatcher.next(THUMB, batch_size=5, now=NOON)
    assert isinstance(held, Held)
    opened, holds = told
    assert isinstance(opened, BreakerChanged)
    assert set(opened.job_ids) == failed
    reason = (
        f"{THUMB}: breaker open since 12:00:00 UTC (DISK_FULL), next try 12:05:00 UTC, "
        f"or at once by `mediajobs breaker close {THUMB}`."
    )
    of_type: dict[str, Any] = {"at": NOON, "job_type": THUMB, "since": NOON, "error_codes": ("DISK_FULL",)}
    assert replace(opened, job_ids=()) == BreakerChanged(**of_type, before="closed", after="open", reason=reason)
    retry_at = NOON + timedelta(seconds=300)
    assert holds == JobsHeld(**of_type, reason=held.reason, waiting=3, retry_at=retry_at)
    told.clear()
    probe = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(probe, Dispatch)
    half_open, dispatched = told
    assert isinstance(half_open, BreakerChanged)
    assert (half_open.before, half_open.after, half_open.by_hand) == ("open", "half_open", False)
    assert dispatched == JobsDispatched(at=NOON, dispatch_id=probe.id, jobs=probe.jobs)
    told.clear()
    history.attempts.record(an_attempt(job_name=THUMB, completed_at=LATER))
    dispatcher.look(THUMB, now=LATER)
    history.switches.set(a_switch(SwitchState.OPEN, LATER))
    dispatcher.look(THUMB, now=LATER)
    closed = BreakerChanged(at=NOON, job_type=THUMB, before="half_open", after="closed", reason="A job succeeded.")
    reason = (
        f"{THUMB}: breaker opened by anna@pc since 12:05:01 UTC: new disk; "
        f"`mediajobs breaker close {THUMB}` lets them start."
    )
    by_hand = BreakerChanged(
        at=NOON, job_type=THUMB, before="closed", after="open", reason=reason, since=LATER, by_hand=True
    )
    assert told == [closed, by_hand]


@pytest.mark.parametrize(
    ("closed", "succeeded", "why"),
    [
        (None, None, "Its failures are old."),
        (None, 61, "Its failures are old."),
        (None, 60, "A job succeeded."),
        (61, None, "Its failures are old."),
        (60, None, "anna@pc closed it: new disk."),
        (61, 62, "Its failures are old."),
        (20, 10, "A job succeeded."),
        (10, 10, "anna@pc closed it: new disk."),
        (10, 20, "anna@pc closed it: new disk."),
    ],
)
def test_why_a_breaker_is_closed_again(history: History, closed: int | None, succeeded: int | None, why: str) -> None:
    """What came last within the hour that it looks back for, so many minutes ago."""
    told: list[Record] = []
    if closed is not None:
        history.switches.set(a_switch(SwitchState.CLOSED, NOON - timedelta(minutes=closed)))
    if succeeded is not None:
        history.attempts.record(an_attempt(job_name=THUMB, completed_at=NOON - timedelta(minutes=succeeded)))
    seen = {THUMB: BreakerState.OPEN}
    Dispatcher(history, BREAKER, 60, noting(told), seen).look(THUMB, now=NOON)
    assert told == [BreakerChanged(at=NOON, job_type=THUMB, before="open", after="closed", reason=why)]


def test_what_is_held_by_a_breaker_as_json(history: History) -> None:
    """Programs read it: null is what does not hold it."""
    fail_three_jobs(history)
    history.jobs.enqueue(some_new_jobs(3), now=NOON)
    held = Dispatcher(history, BREAKER, lease_s=60).held(THUMB, now=NOON)
    assert held is not None
    assert held.to_json() == {
        "jobType": THUMB,
        "by": "breaker",
        "waiting": 3,
        "since": NOON.isoformat(),
        "errorCodes": ["DISK_FULL"],
        "retryAt": (NOON + timedelta(seconds=300)).isoformat(),
        "isTrying": False,
        "lacking": [],
        "byHand": None,
        "quarantine": None,
        "reason": held.reason,
    }


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"by": HeldBy.BREAKER}, "breaker open, next try unknown"),
        ({"by": HeldBy.BREAKER, "since": NOON, "retry_at": NOON}, "breaker open since 12:00:00 UTC, next try now"),
        (
            {"by": HeldBy.NEEDS, "lacking": ("gpu", "model")},
            "no worker here offers gpu, model. Install it, and name it in MEDIAJOBS_OFFERS",
        ),
        ({"by": HeldBy.QUOTA, "shortage": "Too little is left."}, "Too little is left"),
        (
            {"by": HeldBy.NOT_INSTALLED},
            "no job type of that name is installed here. Install the package that brings it",
        ),
    ],
)
def test_why_jobs_wait_in_a_sentence(held: dict[str, Any], why: str) -> None:
    """As people read it, and with all of its values for programs."""
    one = Held(job_type=THUMB, waiting=1, at=NOON, **held)
    assert one.reason == f"1 {THUMB} job waits: {why}."
    assert one.to_json() == {
        "jobType": THUMB,
        "by": held["by"],
        "waiting": 1,
        "since": NOON.isoformat() if "since" in held else None,
        "errorCodes": [],
        "retryAt": NOON.isoformat() if "retry_at" in held else None,
        "isTrying": False,
        "lacking": list(held.get("lacking", ())),
        "byHand": None,
        "quarantine": None,
        "reason": one.reason,
    }


def test_the_settings_say_when_a_breaker_opens() -> None:
    """That of a job type, and that of a machine."""
    for rule in (Breaker, HostBreaker):
        assert rule.of(Settings.load(_env_file=None)) == rule() == rule(3, 3600.0, 300.0)
        chosen = Settings.load(_env_file=None, breaker_failures=2, breaker_window_s=70, breaker_cooldown_s=5)
        assert rule.of(chosen) == rule(2, 70.0, 5.0)


def test_what_is_held_on_a_machine_as_json_holds_its_quarantine() -> None:
    """When it began and is over is said there."""
    quarantine = Quarantine(host="bad", state=BreakerState.OPEN, at=NOON, since=NOON, jobs=3, retry_at=LATER)
    held = Held(job_type=THUMB, by=HeldBy.HOST, waiting=1, at=NOON, quarantine=quarantine).to_json()
    assert held["quarantine"] == quarantine.to_json()
    assert (held["since"], held["retryAt"], held["byHand"]) == (None, None, None)


@pytest.mark.parametrize("history_url", ["sqlite"], indirect=True)
def test_an_open_breaker_that_is_on_record_writes_nothing(history: History, history_url: str) -> None:
    """It is asked every second, and must not stand in the way of those who have something to write."""
    fail_three_jobs(history)
    history.jobs.enqueue(some_new_jobs(3), now=NOON)
    assert isinstance(Dispatcher(history, BREAKER, lease_s=60).next(THUMB, batch_size=5, now=NOON), Held)
    with (
        History.open(history_url, timeout_s=0.1) as impatient,
        closing(sqlite3.connect(history_url.removeprefix("sqlite:///"))) as writer,
    ):
        writer.execute("BEGIN IMMEDIATE")
        assert isinstance(Dispatcher(impatient, BREAKER, lease_s=60).next(THUMB, batch_size=5, now=NOON), Held)
        writer.rollback()


def test_a_breaker_that_opens_again_is_on_record_again(history: History) -> None:
    """One row an opening."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    fail_three_jobs(history)
    history.jobs.enqueue(some_new_jobs(3), now=NOON)
    for moment in (NOON, NOON, LATER):
        if moment == LATER:
            history.attempts.record(a_failure(completed_at=LATER))
        assert isinstance(dispatcher.next(THUMB, batch_size=5, now=moment), Held)
    rows = history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN))
    assert [row.started_at for row in rows] == [LATER, NOON]


def test_an_open_breaker_says_nothing_of_jobs_that_are_not_due(history: History) -> None:
    """They would not be started anyway, so nothing is held back, and nothing is on record."""
    fail_three_jobs(history)
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.CANCELLED), job_status=JobStatus.FAILED, pause_s=100)
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    assert dispatcher.next(THUMB, batch_size=5, now=NOON) is None
    assert history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN)) == []
    let_pass(history, 100)
    assert isinstance(dispatcher.next(THUMB, batch_size=5, now=NOON), Held)


def test_the_cool_down_counts_from_the_latest_failure(history: History) -> None:
    """Of three jobs that failed a minute after each other, the last one says when the next may try."""
    for minute in (1, 2, 0):
        history.attempts.record(a_failure(completed_at=NOON + timedelta(minutes=minute)))
    latest = NOON + timedelta(minutes=2)
    for seconds, state in ((0, BreakerState.OPEN), (299, BreakerState.OPEN), (300, BreakerState.HALF_OPEN)):
        reading = BREAKER.read(history, THUMB, now=latest + timedelta(seconds=seconds))
        assert (reading.state, reading.retry_at) == (state, latest + timedelta(seconds=300))


def test_what_a_run_loses_with_its_process_is_one_fault(history: History) -> None:
    """A dead process takes all attempts of its batch along; the breaker opens when that happens again and again."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    history.jobs.enqueue(some_new_jobs(4), now=NOON)
    lost = {"status": AttemptStatus.LOST, "blame": Blame.SYSTEM, "error_code": "WORKER_LOST"}
    for run in range(3):
        assert isinstance(dispatcher.next(THUMB, batch_size=1, now=NOON), Dispatch)
        for _ in range(4):
            history.attempts.record(an_attempt(job_name=THUMB, run_id=f"run-{run}", job_id=None, **lost))
    assert isinstance(dispatcher.next(THUMB, batch_size=1, now=NOON), Held)


def test_a_half_open_breaker_lets_one_job_through_at_a_time(history: History) -> None:
    fail_three_jobs(history)
    history.jobs.enqueue(some_new_jobs(3), now=NOON)
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    probe = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(probe, Dispatch)
    assert len(probe.jobs) == 1
    held = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(held, Held)
    assert held.is_trying
    assert (
        held.reason == f"2 {THUMB} jobs wait: breaker open since 12:00:00 UTC (DISK_FULL), one job is being tried now."
    )
    claim = history.leases.claim(probe.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    assert isinstance(dispatcher.next(THUMB, batch_size=5, now=LATER), Held)
    history.leases.finish(ended(claim, completed_at=LATER), job_status=JobStatus.COMPLETED)
    batch = dispatcher.next(THUMB, batch_size=5, now=LATER)  # its success closed the breaker
    assert isinstance(batch, Dispatch)
    assert len(batch.jobs) == 2


def test_of_many_dispatchers_in_the_same_instant_one_gets_the_probe_job(
    history: History, rivals: list[Dispatcher]
) -> None:
    fail_three_jobs(history)
    history.jobs.enqueue(some_new_jobs(4 * RIVALS), now=NOON)
    ready = Barrier(RIVALS)

    def race(dispatcher: Dispatcher) -> Dispatch | Held | None:
        ready.wait(timeout=30)
        return dispatcher.next(THUMB, batch_size=5, now=LATER)

    with ThreadPoolExecutor(RIVALS) as pool:
        for _ in range(15):
            answers = list(pool.map(race, rivals))
            [probe] = [answer for answer in answers if isinstance(answer, Dispatch)]
            assert len(probe.jobs) == history.jobs.active(THUMB) == 1
            assert sum(isinstance(answer, Held) for answer in answers) == RIVALS - 1
            assert history.leases.release(probe.id) == 1


def fail_probe(history: History, dispatch: Dispatch, at: datetime, *, pause_s: float = 0) -> None:
    """The job of a dispatch fails by our fault, and is due again after a pause."""
    claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
    assert claim is not None
    failure = ended(claim, AttemptStatus.FAILURE, completed_at=at)
    history.leases.finish(failure, job_status=JobStatus.FAILED, pause_s=pause_s)


def open_by_own_jobs(history: History, dispatcher: Dispatcher) -> set[str]:
    """Three jobs of the queue fail at noon, which opens the breaker, and are due again; returns their ids."""
    queued = history.jobs.enqueue(some_new_jobs(3), now=NOON)
    for _ in queued:
        dispatch = dispatcher.next(THUMB, batch_size=1, now=NOON)
        assert isinstance(dispatch, Dispatch)
        fail_probe(history, dispatch, NOON, pause_s=60)
    let_pass(history, 60)
    return {entry.job.id for entry in queued}


def test_the_probe_is_a_job_that_has_not_failed_yet(history: History) -> None:
    """What made the others fail may be their input: they wait behind a job of a lower priority."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    failed = open_by_own_jobs(history, dispatcher)
    [fresh] = history.jobs.enqueue([a_new_job(priority=-1)], now=NOON)
    probe = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(probe, Dispatch)
    assert [job.id for job in probe.jobs] == [fresh.job.id]
    assert fresh.job.id not in failed


def test_a_job_that_fails_again_keeps_no_other_job_waiting(history: History) -> None:
    """It counts once an opening. Failed jobs wait for another cool-down; a job that has not failed yet does not."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    failed = open_by_own_jobs(history, dispatcher)
    probe = dispatcher.next(THUMB, batch_size=5, now=NOON + timedelta(seconds=300))
    assert isinstance(probe, Dispatch)
    assert probe.jobs[0].id in failed  # there was no other
    fail_probe(history, probe, LATER)
    held = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(held, Held)
    assert held.retry_at == LATER + timedelta(seconds=300)
    [fresh] = history.jobs.enqueue([a_new_job()], now=LATER)
    held = dispatcher.held(THUMB, now=LATER)
    assert held is not None
    assert held.retry_at == NOON + timedelta(seconds=300)
    probe = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(probe, Dispatch)
    assert [job.id for job in probe.jobs] == [fresh.job.id]


def test_a_job_that_fails_for_the_first_time_opens_the_breaker_again(history: History) -> None:
    """A fault of ours: each probe is a new witness, and each one grants the machine another cool-down."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    open_by_own_jobs(history, dispatcher)
    history.jobs.enqueue([a_new_job(), a_new_job()], now=NOON)
    probe = dispatcher.next(THUMB, batch_size=5, now=LATER)
    assert isinstance(probe, Dispatch)
    fail_probe(history, probe, LATER)
    assert BREAKER.read(history, THUMB, now=LATER).state is BreakerState.OPEN
    assert isinstance(dispatcher.next(THUMB, batch_size=5, now=LATER), Held)


def test_a_half_open_breaker_says_nothing_of_failed_jobs_that_are_not_due(history: History) -> None:
    """They would not be started anyway, so nothing is held back."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    queued = history.jobs.enqueue(some_new_jobs(3), now=NOON)
    for _ in queued:
        dispatch = dispatcher.next(THUMB, batch_size=1, now=NOON)
        assert isinstance(dispatch, Dispatch)
        fail_probe(history, dispatch, NOON, pause_s=3600)
    assert BREAKER.read(history, THUMB, now=LATER).state is BreakerState.HALF_OPEN
    assert dispatcher.next(THUMB, batch_size=5, now=LATER) is None


def test_what_is_held_is_told_without_dispatching(history: History) -> None:
    """Whenever somebody asks: how much waits, since when, why, and when it goes on. Nothing is taken or recorded."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    for code in ("DISK_FULL", "STORAGE_DENIED", "STORAGE_DENIED"):
        history.attempts.record(a_failure(error_code=code))
    assert dispatcher.held(THUMB, now=NOON) is None  # nothing waits
    history.jobs.enqueue(some_new_jobs(3), now=NOON)
    history.jobs.enqueue(some_new_jobs(1), dispatch_id="d", lease_s=60)  # a run has it
    held = dispatcher.held(THUMB, now=NOON + timedelta(seconds=10))
    assert held is not None
    assert (held.by, held.waiting, held.since) == (HeldBy.BREAKER, 3, NOON)
    assert (held.error_codes, held.retry_at) == (("STORAGE_DENIED", "DISK_FULL"), NOON + timedelta(seconds=300))
    assert dispatcher.held(THUMB) is None  # by the clock of the database it is long over
    assert held.reason == (
        f"3 {THUMB} jobs wait: breaker open since 12:00:00 UTC (STORAGE_DENIED, DISK_FULL), next try 12:05:00 UTC, "
        f"or at once by `mediajobs breaker close {THUMB}`."
    )
    assert history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN)) == []
    assert len(history.leases.renew("d", lease_s=60)) == history.jobs.active(THUMB) == 1
    assert dispatcher.next(THUMB, batch_size=5, now=NOON + timedelta(seconds=10)) == held
    history.attempts.record(an_attempt(job_name=THUMB, completed_at=LATER))
    assert dispatcher.held(THUMB, now=LATER) is None


def test_a_half_open_breaker_tells_when_the_next_job_may_try(history: History) -> None:
    """At once if one has not failed yet, else when a failed one has waited: for its pause, and for the cool-down."""
    dispatcher = Dispatcher(history, BREAKER, lease_s=60)
    queued = history.jobs.enqueue(some_new_jobs(3), now=NOON)
    for _ in queued:
        dispatch = dispatcher.next(THUMB, batch_size=1, now=NOON)
        assert isinstance(dispatch, Dispatch)
        fail_probe(history, dispatch, NOON, pause_s=3600)
    held = dispatcher.held(THUMB, now=LATER)
    assert held is not None
    assert held.retry_at is not None
    assert abs(held.retry_at - LATER - timedelta(seconds=3600)) < timedelta(seconds=60)
    history.jobs.enqueue(some_new_jobs(1), now=LATER)
    held = dispatcher.held(THUMB, now=LATER)
    assert held is not None
    assert held.reason == f"4 {THUMB} jobs wait: breaker open since 12:00:00 UTC (DISK_FULL), next try now."


def test_an_outage_of_days_has_begun_when_it_began(history: History) -> None:
    """The breaker looks back for an hour; since when it is open is told from all that failed since the last success."""
    history.jobs.enqueue(some_new_jobs(1), now=NOON)
    for minute in (-300, -280, -260):  # failed, but the breaker closed in between
        history.attempts.record(a_failure(completed_at=NOON + timedelta(minutes=minute)))
    for minute in range(0, 3 * 24 * 60, 15):
        history.attempts.record(a_failure(completed_at=NOON + timedelta(minutes=minute), error_code="STORAGE_MISSING"))
    now = NOON + timedelta(days=3)
    held = Dispatcher(history, BREAKER, lease_s=60).held(THUMB, now=now)
    assert held is not None
    assert held.since == NOON + timedelta(minutes=30)
    assert held.reason == (
        f"1 {THUMB} job waits: breaker open since 2026-03-04 12:30:00 UTC (STORAGE_MISSING), next try now."
    )
