"""Which machines are quarantined, and what that means for the breaker of the job type."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mediajobs_dagster.attempts.admission import Admission
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import Dispatch, History
from mediajobs_dagster.history.switches import Switch, SwitchScope, SwitchState
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.hosts import HostBreaker, Quarantine
from mediajobs_dagster.resilience.states import BreakerState
from tests.history.factories import NOON, THUMB, a_new_job, an_attempt, claimed, ended, some_new_jobs

PROXY = "upload_edit_proxy_v1"
RULE = HostBreaker(failures=3, window_s=3600, cooldown_s=300)


@pytest.fixture(autouse=True)
def known_types(history: History) -> None:
    """There are jobs of two types, long done."""
    for name in (THUMB, PROXY):
        claim = claimed(history, job_type=name)
        history.leases.finish(ended(claim, completed_at=NOON - timedelta(days=1)), job_status=JobStatus.COMPLETED)


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def fails(history: History, host: str, minute: float, job_type: str = THUMB, **overrides: Any) -> None:
    failure = {"status": AttemptStatus.FAILURE, "blame": Blame.SYSTEM, "error_code": "FFMPEG_MISSING"}
    history.attempts.record(an_attempt(job_name=job_type, host=host, completed_at=at(minute), **failure | overrides))


def succeeds(history: History, host: str, minute: float, job_type: str = THUMB) -> None:
    history.attempts.record(an_attempt(job_name=job_type, host=host, completed_at=at(minute)))


def quarantined(history: History, minute: float) -> dict[str, Quarantine]:
    return RULE.all(history, now=at(minute))


def state_of_type(history: History, minute: float, job_type: str = THUMB) -> BreakerState:
    return Breaker(3, 3600, 300).read(history, job_type, now=at(minute)).state


@pytest.mark.parametrize("code", ["DATABASE_UNAVAILABLE", "DATABASE_BUSY"])
def test_a_restart_of_the_database_is_no_fault_of_a_machine(history: History, code: str) -> None:
    """Nor of a job type: while it is away nothing is claimed, and when it is back nothing has to be held back."""
    for host in ("one", "other"):
        succeeds(history, host, 0)
        for job_type in (THUMB, PROXY):
            for minute in (1, 2, 3):
                fails(history, host, minute, job_type, error_code=code)
    succeeds(history, "one", 4, THUMB)
    succeeds(history, "other", 4, PROXY)
    assert quarantined(history, 5) == {}
    assert {state_of_type(history, 5, each) for each in (THUMB, PROXY)} == {BreakerState.CLOSED}


def test_a_machine_that_fails_where_another_succeeds_is_quarantined(history: History) -> None:
    """It alone: the job type goes on elsewhere, although nobody succeeded since the failures."""
    succeeds(history, "good", 0)
    for minute in (1, 2, 3):
        fails(history, "bad", minute)
    found = quarantined(history, 4)
    assert list(found) == ["bad"]
    assert (found["bad"].state, found["bad"].retry_at, found["bad"].jobs) == (BreakerState.OPEN, at(8), 3)
    assert found["bad"].reason == (
        "bad is quarantined: 3 jobs have failed there since 12:01:00 UTC (FFMPEG_MISSING), of types that other "
        "machines do well; next try 12:08:00 UTC."
    )
    assert state_of_type(history, 4) is BreakerState.CLOSED
    half_open = quarantined(history, 8)["bad"]
    assert half_open.state is BreakerState.HALF_OPEN
    assert half_open.reason.endswith(", of types that other machines do well; one job at a time is tried on it now.")


def test_what_another_machine_failed_at_before_or_at_other_jobs_does_not_matter(history: History) -> None:
    """It does this job type well now."""
    fails(history, "good", -1)
    fails(history, "good", 0)
    succeeds(history, "good", 0)
    fails(history, "good", 2, PROXY)
    for minute in (1, 2, 3):
        fails(history, "bad", minute)
    assert list(quarantined(history, 4)) == ["bad"]
    fails(history, "good", 3)
    assert quarantined(history, 4) == {}


def test_what_fails_everywhere_is_the_job_types(history: History) -> None:
    """No machine stands well, so none is quarantined; also those that did well before."""
    for host in ("one", "two"):
        succeeds(history, host, 0)
        for minute in (1, 2, 3):
            fails(history, host, minute, error_code="STORAGE_DENIED")
    assert quarantined(history, 4) == {}
    assert state_of_type(history, 4) is BreakerState.OPEN


def test_the_only_machine_is_never_quarantined(history: History) -> None:
    """Its failures open the breaker of the job type."""
    succeeds(history, "only", 0)
    for minute in (1, 2, 3):
        fails(history, "only", minute)
    assert quarantined(history, 4) == {}
    assert state_of_type(history, 4) is BreakerState.OPEN


def test_only_distinct_jobs_faults_of_ours_and_the_window_count(history: History) -> None:
    succeeds(history, "good", 0)
    fails(history, "bad", 1)
    fails(history, "bad", 2, blame=Blame.INPUT, error_code="INPUT_CORRUPT")
    (job,) = history.jobs.enqueue([a_new_job()], dispatch_id="d", lease_s=60)
    for minute in (3, 4):  # twice the same job
        claim = history.leases.claim(job.job.dispatch_id or "", run_id=None, host="bad", lease_s=60)
        assert claim is not None
        failure = ended(claim, AttemptStatus.FAILURE, completed_at=at(minute))
        history.leases.finish(failure, job_status=JobStatus.FAILED)
        history.leases.assign(THUMB, limit=1, lease_s=60)
        job = history.jobs.enqueue([a_new_job(idempotency_key=job.job.idempotency_key)])[0]
    assert quarantined(history, 5) == {}
    fails(history, "bad", 5)
    assert list(quarantined(history, 5)) == ["bad"]
    assert quarantined(history, 61.5) == {}  # the first is out of the window, and so is the success elsewhere


def test_jobs_of_all_types_count_together_and_each_success_takes_its_own_off(history: History) -> None:
    for name in (THUMB, PROXY):
        succeeds(history, "good", 0, name)
    for minute, name in ((1, THUMB), (2, THUMB), (3, PROXY)):
        fails(history, "bad", minute, name)
    assert list(quarantined(history, 4)) == ["bad"]
    succeeds(history, "bad", 4, PROXY)
    assert quarantined(history, 5) == {}


def test_a_person_opens_and_closes_the_breaker_of_a_machine(history: History) -> None:
    """Open stays open without any failure; after a close, earlier failures do not count."""

    def switch(state: SwitchState, minute: float) -> None:
        history.switches.set(
            Switch(scope=SwitchScope.HOST, name="bad", state=state, since=at(minute), reason="new disk", who="anna@pc")
        )

    switch(SwitchState.OPEN, 0)
    (found,) = quarantined(history, 600).values()
    assert (found.state, found.retry_at) == (BreakerState.OPEN, None)
    assert "anna@pc opened its breaker at 12:00:00 UTC, for: new disk." in found.reason
    succeeds(history, "good", 600)
    for minute in (601, 602, 603):
        fails(history, "bad", minute)
    switch(SwitchState.CLOSED, 604)
    assert quarantined(history, 605) == {}
    fails(history, "bad", 606)
    assert quarantined(history, 606) == {}
    assert [action.action for action in history.actions.list()] == ["breaker close", "breaker open"]
    assert {action.target for action in history.actions.list()} == {"host bad"}


def test_a_quarantine_as_json_says_when_the_machine_is_tried_again_or_who_opened_its_breaker(history: History) -> None:
    """Programs read it: `retryAt` is null only of one that a person has to close."""
    succeeds(history, "good", 0)
    for minute in (1, 2, 3):
        fails(history, "bad", minute)
    found = quarantined(history, 4)["bad"]
    assert found.to_json() == {
        "host": "bad",
        "state": "open",
        "since": at(1).isoformat(),
        "errorCodes": ["FFMPEG_MISSING"],
        "jobs": 3,
        "retryAt": at(8).isoformat(),
        "byHand": None,
        "reason": found.reason,
    }
    switch = Switch(
        scope=SwitchScope.HOST, name="bad", state=SwitchState.OPEN, since=at(5), reason="new disk", who="anna@pc"
    )
    history.switches.set(switch)
    by_hand = quarantined(history, 6)["bad"].to_json()
    assert (by_hand["since"], by_hand["retryAt"], by_hand["byHand"]) == (at(5).isoformat(), None, switch.to_json())
    assert (by_hand["jobs"], by_hand["errorCodes"]) == (0, [])


def test_a_quarantined_machine_gets_nothing_and_a_half_open_one_a_single_job(history: History) -> None:
    """Another machine gets its batch meanwhile."""
    succeeds(history, "good", 0)
    for minute in (1, 2, 3):
        fails(history, "bad", minute)
    history.jobs.enqueue(some_new_jobs(6))
    dispatcher = Dispatcher(history, Breaker(3, 3600, 300), lease_s=60)
    held = dispatcher.next(THUMB, batch_size=5, now=at(4), host="bad")
    assert isinstance(held, Held)
    assert held == Held(
        job_type=THUMB,
        by=HeldBy.HOST,
        waiting=6,
        at=at(4),
        since=at(1),
        error_codes=("FFMPEG_MISSING",),
        retry_at=at(8),
        quarantine=quarantined(history, 4)["bad"],
    )
    assert held.reason.startswith(f"6 {THUMB} jobs wait: bad is quarantined: 3 jobs have failed there")
    batch = dispatcher.next(THUMB, batch_size=3, now=at(4), host="good")
    assert isinstance(batch, Dispatch)
    assert len(batch.jobs) == 3
    probe = dispatcher.next(THUMB, batch_size=3, now=at(8), host="bad")
    assert isinstance(probe, Dispatch)
    assert len(probe.jobs) == 1
    claim = history.leases.claim(probe.id, run_id=None, host="bad", lease_s=60)
    assert claim is not None
    assert isinstance(dispatcher.next(THUMB, batch_size=3, now=at(8), host="bad"), Held)
    history.leases.finish(ended(claim, completed_at=at(8)), job_status=JobStatus.COMPLETED)
    batch = dispatcher.next(THUMB, batch_size=3, now=at(8), host="bad")
    assert isinstance(batch, Dispatch)
    assert len(batch.jobs) == 2


def test_a_run_on_a_quarantined_machine_claims_nothing_more(history: History) -> None:
    """Asked before each claim. When it is half open, the first one may claim, and no other."""
    now = history.now()
    begun = (now - NOON) / timedelta(minutes=1)
    succeeds(history, "good", begun - 10)
    assert not Admission(history, RULE, "bad").is_refused()
    for minute in (9, 8, 6):
        fails(history, "bad", begun - minute)
    half_open = Admission(history, RULE, "bad")
    assert [half_open.is_refused(), half_open.is_refused()] == [False, True]
    assert not Admission(history, RULE, "good").is_refused()
    fails(history, "bad", begun - 1)
    assert Admission(history, RULE, "bad").is_refused()


def test_an_answer_counts_for_a_while(
    history: History, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that is free is looked at every two seconds, not before each claim. Once it is refused, it stays so."""
    begun = (history.now() - NOON) / timedelta(minutes=1)
    seconds = 0.0
    monkeypatch.setattr("mediajobs_dagster.attempts.admission.time", SimpleNamespace(monotonic=lambda: seconds))
    succeeds(history, "good", begun - 10)
    admission = Admission(history, RULE, "bad")
    assert not admission.is_refused()
    for minute in (4, 3, 2):
        fails(history, "bad", begun - minute)
    seconds = 1.9
    assert not admission.is_refused()
    seconds = 2.0
    assert [admission.is_refused(), admission.is_refused()] == [True, True]
    assert len(caplog.records) == 1, "all threads of the run ask; it is said once"
    succeeds(history, "bad", begun)
    seconds = 60.0
    assert not Admission(history, RULE, "bad").is_refused()
    assert admission.is_refused(), "a run that gave its jobs back takes no others"


def test_a_machine_that_was_good_again_may_be_tried_again(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job is its trial. Once that went well, a later quarantine has a trial of its own."""
    begun = (history.now() - NOON) / timedelta(minutes=1)
    seconds = 0.0
    monkeypatch.setattr("mediajobs_dagster.attempts.admission.time", SimpleNamespace(monotonic=lambda: seconds))
    succeeds(history, "good", begun - 40)
    admission = Admission(history, RULE, "bad")
    for failures, success in ((30, 20), (15, 7)):
        for minute in (failures, failures - 1, failures - 2):
            fails(history, "bad", begun - minute)
        seconds += 2
        assert RULE.all(history, now=history.now())["bad"].state is BreakerState.HALF_OPEN
        assert not admission.is_refused()
        succeeds(history, "bad", begun - success)
        assert not admission.is_refused()
