"""Leases and pauses go by the database's clock. The clock of the process that asks does not matter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from mediajobs_dagster.history import History, attempts, enqueueing, jobs, leases
from mediajobs_dagster.history import schema as tables
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.schema import UtcDateTime
from mediajobs_dagster.models import AttemptStatus, JobStatus, utc_now
from tests.history.factories import THUMB, a_new_job, claimed, ended, let_pass, some_new_jobs

LEASE_S = 60.0


@contextmanager
def statements(history: History) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed meanwhile, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    engine = history._database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def times_in(parameters: Any) -> list[object]:
    """The moments among the parameters of a statement, but for that which means `at once`."""
    given = parameters.values() if isinstance(parameters, dict) else parameters
    return [value for value in given if re.match(r"2\d{3}-\d\d-\d\d ", str(value))]


def use_every_lease(history: History) -> None:
    """Everything that writes a lease or a pause, or asks whether one is over."""
    history.jobs.enqueue(some_new_jobs(2))
    dispatch = history.leases.assign(THUMB, limit=5, lease_s=LEASE_S)
    assert dispatch is not None
    assert history.leases.renew(dispatch.id, lease_s=LEASE_S)
    assert history.leases.release(dispatch.id) == 2
    assert history.leases.heed_clock(lease_s=LEASE_S) == 0
    assert history.leases.expired_dispatches() == []
    assert history.leases.lost() == []
    assert history.jobs.next_due() is not None
    again = history.leases.assign(THUMB, limit=1, lease_s=LEASE_S, only_if_idle=True)
    assert again is not None
    assert history.leases.cancel_assigned(again.id) == 1


def test_no_time_of_the_process_is_sent_with_a_lease(history: History) -> None:
    """Whatever time it is for the process: the database writes its own time, and compares with it."""
    with statements(history) as seen:
        use_every_lease(history)
        (entry,) = history.jobs.enqueue([a_new_job()], dispatch_id="d", lease_s=LEASE_S)
        claim = history.leases.claim("d", run_id=None, host="h", lease_s=LEASE_S)
        assert claim is not None
        failed = ended(claim, AttemptStatus.FAILURE)
        history.leases.finish(failed, job_status=JobStatus.FAILED, pause_s=30)
        history.jobs.retry(entry.job.id, dispatch_id="d", lease_s=LEASE_S)
    # An INSERT says when a job was asked for, and when an attempt began; what ends an attempt says when it ended.
    of_leases = [each for each in seen if "INSERT" not in each[0] and "job_history SET" not in each[0]]
    assert len(of_leases) > 10
    assert [each for each in of_leases if times_in(each[1])] == []
    assert sum("lease_expires_at" in statement for statement, _ in seen) > 10


@pytest.mark.parametrize("ahead", [timedelta(seconds=-61), timedelta(seconds=61), timedelta(days=400)])
def test_a_process_whose_clock_is_wrong_takes_no_job_away_and_loses_none(
    history: History, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """A daemon that is a minute ahead used to take every lease for lost; a worker behind lost its own."""
    claim = claimed(history)
    for module in (attempts, enqueueing, jobs, leases):
        monkeypatch.setattr(module, "utc_now", lambda: utc_now() + ahead, raising=False)
    assert history.leases.lost() == []
    skewed = claimed(history, job_type="other")
    assert history.leases.lost() == []
    for each in (claim, skewed):
        assert each.job.lease_expires_at is not None
        left = each.job.lease_expires_at - history.now()
        assert timedelta(seconds=50) < left <= timedelta(seconds=LEASE_S)
    history.leases.finish(ended(skewed, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=30)
    due = history.jobs.next_due(["other"])
    assert due is not None
    assert 20 < due.in_s <= 30


def test_claims_and_heartbeats_stay_one_statement(history: History) -> None:
    """They are made all the time; asking for the time beforehand would double them."""
    history.jobs.enqueue(some_new_jobs(2), dispatch_id="d", lease_s=LEASE_S)
    with statements(history) as seen:
        assert history.leases.claim("d", run_id=None, host="h", lease_s=LEASE_S)
        assert history.leases.renew("d", lease_s=LEASE_S)
    asked = [statement for statement, _ in seen if not statement.startswith("BEGIN")]
    assert len(asked) == 3
    assert "INSERT INTO job_history" in asked[1]
    assert all("UPDATE jobs SET" in asked[place] for place in (0, 2))


def test_the_databases_moments_compare_as_those_that_were_written(history: History) -> None:
    """On SQLite they are texts: they need the same number of digits."""
    with history._database.read() as connection:
        before, now, after = connection.execute(
            sa.select(db_time_in(-0.25), db_now(), db_time_in(sa.bindparam("s", 1.5, type_=sa.Float())))
        ).one()
        moments = [now - timedelta(seconds=100), now + timedelta(seconds=100)]
        past, future = connection.execute(
            sa.select(*(sa.literal(moment, UtcDateTime) < db_now() for moment in moments))
        ).one()
    assert (now - before, after - now) == (timedelta(seconds=0.25), timedelta(seconds=1.5))
    assert abs(now - utc_now()) < timedelta(seconds=30)
    assert (past, future) == (True, False)


def test_leases_and_pauses_from_before_the_clock_was_set_back_are_shortened(history: History) -> None:
    """A dead worker's job is not kept for an hour, nor does a failed one wait for it; what a run holds has no pause."""
    again = paused(history, "again")
    let_pass(history, 40)
    dispatch = history.leases.assign("again", limit=1, lease_s=LEASE_S)
    assert dispatch is not None
    lost, waits = claimed(history), paused(history, "other")
    assert history.leases.heed_clock(lease_s=LEASE_S) == 0
    let_pass(history, -3600)
    sound, free = claimed(history), history.jobs.enqueue([a_new_job()])[0].job
    before = [history.jobs.get(job_id) for job_id in (sound.job.id, free.id)]
    assert history.leases.heed_clock(lease_s=LEASE_S) == 3  # two leases and a pause
    assert [history.jobs.get(job.id) for job in before] == before
    now = history.now()
    resumed = history.jobs.get(waits)
    assert resumed.not_before is None
    assert resumed.updated_at <= now
    for job_id in (again, lost.job.id):
        expires = history.jobs.get(job_id).lease_expires_at
        assert expires is not None
        assert timedelta(seconds=2 * LEASE_S) < expires - now <= timedelta(seconds=3 * LEASE_S)
    assert history.leases.heed_clock(lease_s=LEASE_S) == 0


def paused(history: History, job_type: str) -> str:
    """The id of a job of that type that failed, and waits for half a minute."""
    claim = claimed(history, job_type=job_type)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=30)
    return claim.job.id


def test_leases_and_pauses_of_very_many_are_shortened_in_parts(history: History) -> None:
    """Each statement has as many parameters as it can, and the next recovery finds the rest."""
    history.jobs.enqueue(some_new_jobs(501), dispatch_id="d", lease_s=3600)
    assert [history.leases.heed_clock(lease_s=LEASE_S) for _ in range(3)] == [500, 1, 0]
    history.leases.release("d")
    future = history.now() + timedelta(hours=1)
    with history._database.write() as connection:
        connection.execute(sa.update(tables.jobs).values(not_before=future, updated_at=future))
    assert [history.leases.heed_clock(lease_s=LEASE_S) for _ in range(3)] == [500, 1, 0]
