"""Breakers that a person opens and closes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mediajobs_dagster.errors import Blame, RequestError
from mediajobs_dagster.history import AttemptFilter, Dispatch, History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.records import BreakerChanged, HostBreakerChanged, Record
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN, Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.held import Held
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.use_cases.breakers import Breakers
from tests.history.factories import THUMB, an_attempt, claimed, some_new_jobs


@pytest.fixture
def told() -> list[Record]:
    """What listeners were told."""
    return []


@pytest.fixture
def breakers(history: History, told: list[Record]) -> Breakers:
    listeners = Listeners((told.append,))
    dispatcher = Dispatcher(history, Breaker(failures=3), 60, listeners)
    settings = Settings.load(hostname="here", _env_file=None)
    return Breakers(history, Registry.standard(), settings, dispatcher, listeners)


def fail_now(history: History, host: str = "here", jobs: int = 3) -> None:
    """Jobs fail by our fault just now."""
    failure = {"status": AttemptStatus.FAILURE, "blame": Blame.SYSTEM, "error_code": "FFMPEG_MISSING"}
    for _ in range(jobs):
        history.attempts.record(an_attempt(job_name=THUMB, host=host, completed_at=history.now(), **failure))


def test_an_open_one_holds_all_of_its_type_until_it_is_closed(
    history: History, breakers: Breakers, told: list[Record]
) -> None:
    """However long that is; one row says so, with the reason. Closing it lets the next batch go."""
    history.jobs.enqueue(some_new_jobs(3))
    standing = breakers.open("thumbnail", reason="the licence ran out")
    assert (standing.name, standing.state, standing.retry_at) == (THUMB, BreakerState.OPEN, None)
    next_year = history.now() + timedelta(days=365)
    for _ in range(3):
        held = breakers.dispatcher.next(THUMB, batch_size=5, now=next_year)
        assert isinstance(held, Held)
    assert "opened by " in held.reason
    assert ": the licence ran out; `mediajobs breaker close upload_thumb_v1` lets them start." in held.reason
    assert held.to_json()["byHand"]["reason"] == "the licence ran out"
    (row,) = history.attempts.list(AttemptFilter(error_code=BREAKER_OPEN))
    assert row.error == held.reason
    assert breakers.close(THUMB).state is BreakerState.CLOSED
    assert isinstance(breakers.dispatcher.next(THUMB, batch_size=5), Dispatch)
    changes = [(each.before, each.after) for each in told if isinstance(each, BreakerChanged)]
    assert changes == [("closed", "open"), ("open", "closed")]
    assert [each.reason for each in history.actions.list()] == ["", "the licence ran out"]


def test_closing_one_makes_earlier_failures_not_count(history: History, breakers: Breakers) -> None:
    """And only those: it opens again with as many new ones."""
    fail_now(history)
    assert {each.state for each in breakers.all() if each.name == THUMB} == {BreakerState.OPEN}
    standing = breakers.close(THUMB, reason="mended")
    assert (standing.state, standing.failures) == (BreakerState.CLOSED, 0)
    fail_now(history, jobs=2)
    assert {each.state for each in breakers.all() if each.name == THUMB} == {BreakerState.CLOSED}
    fail_now(history, jobs=1)
    assert {each.state for each in breakers.all() if each.name == THUMB} == {BreakerState.OPEN}


def test_a_schedule_passes_over_only_while_one_of_its_jobs_is_held(history: History, breakers: Breakers) -> None:
    """The first moment of an outage is asked for, so that something waits; no further one is."""
    fail_now(history)
    assert breakers.passed_over(THUMB) is None
    history.jobs.enqueue(some_new_jobs(1))
    held = breakers.passed_over(THUMB)
    assert held is not None
    assert "breaker open since" in held.reason
    breakers.close(THUMB)
    assert breakers.passed_over(THUMB) is None


def test_changes_of_machines_are_told_once(history: History, breakers: Breakers, told: list[Record]) -> None:
    claimed(history)  # the type is known
    history.attempts.record(an_attempt(job_name=THUMB, host="good", completed_at=history.now()))
    fail_now(history, host="bad")
    breakers.tell_changes()
    breakers.tell_changes()
    breakers.close("bad", host=True, reason="new ffmpeg")
    changes = [(each.host, each.before, each.after) for each in told if isinstance(each, HostBreakerChanged)]
    assert changes == [("bad", "closed", "open"), ("bad", "open", "closed")]
    (standing,) = [each for each in breakers.all() if each.scope == "host"]
    assert (standing.name, standing.state, standing.switch and standing.switch.reason) == (
        "bad",
        "closed",
        "new ffmpeg",
    )


def test_names_that_are_not_known_are_refused(breakers: Breakers) -> None:
    with pytest.raises(RequestError, match="There is no job type 'thumb'"):
        breakers.open("thumb")
    with pytest.raises(RequestError, match=r"No machine called thumb .* Known are: here"):
        breakers.open("thumb", host=True)
