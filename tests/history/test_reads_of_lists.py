"""What lists and the overview read: latest attempts, errors with their counts, and figures by span."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mediajobs_dagster.history import History, JobFilter, job_filter
from mediajobs_dagster.history.jobs import ErrorGroup
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, new_id
from tests.history.factories import NOON, THUMB, a_new_job, an_attempt, ended


def test_the_latest_attempt_of_each_job(history: History) -> None:
    """By the ids of the jobs; one without an attempt is left out."""
    first, second = (each.job for each in history.jobs.enqueue([a_new_job(), a_new_job()]))
    for number in (1, 2):
        history.attempts.record(an_attempt(job_id=first.id, attempt=number, manifest={"big": 1}))
    found = history.attempts.latest_of([first.id, second.id])
    assert {job_id: each.attempt for job_id, each in found.items()} == {first.id: 2}
    assert found[first.id].manifest is None


def test_errors_are_counted_among_the_jobs_that_match(history: History) -> None:
    """The most frequent first."""
    history.jobs.enqueue([a_new_job() for _ in range(3)])
    for code in ("B", "A", "B"):
        dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
        assert dispatch
        claim = history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)
        assert claim
        ended = {"status": AttemptStatus.FAILURE, "completed_at": claim.attempt.started_at, "error_code": code}
        history.leases.finish(claim.attempt.model_copy(update=ended), job_status=JobStatus.DEAD)
    assert history.jobs.errors(JobFilter()) == [ErrorGroup("B", 2), ErrorGroup("A", 1)]
    assert history.jobs.errors(JobFilter(job_type="other")) == []
    asked_for = [each.created_at for each in history.jobs.list(JobFilter())]
    hour = timedelta(hours=1)
    spans = [min(asked_for) - hour, min(asked_for), max(asked_for) + hour, max(asked_for) + 2 * hour]
    assert [each.by_span for each in history.jobs.errors(JobFilter(), spans)] == [(0, 2, 0), (0, 1, 0)]


def test_figures_by_span(history: History) -> None:
    """An attempt counts in the span in which it was begun, folded into the totals or not yet."""
    hours = {0: AttemptStatus.SUCCESS, 1: AttemptStatus.FAILURE}
    for hour, status in hours.items():
        at = NOON + timedelta(hours=hour)
        code = "X" if status is AttemptStatus.FAILURE else None
        for _ in range(2):
            history.attempts.record(an_attempt(status=status, error_code=code, created_at=at, host="a"))
    found = history.statistics.by_span(NOON, 3600)
    assert [(each.start.hour, each.by_status, each.errors) for each in found] == [
        (12, {AttemptStatus.SUCCESS: 2}, {}),
        (13, {AttemptStatus.FAILURE: 2}, {"X": 2}),
    ]
    assert len(history.statistics.by_span(NOON + timedelta(hours=1), 3600)) == 1
    (day,) = history.statistics.by_span(NOON, 86_400)
    assert sum(day.by_status.values()) == 4
    assert history.statistics.by_host(NOON, 86_400) == {"a": 4}
    assert history.statistics.by_host(NOON + timedelta(hours=1), 3600) == {"a": 2}


@pytest.mark.parametrize("few", [0, 2000])
def test_jobs_by_the_machine_and_duration_of_an_attempt(
    history: History, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whether attempts like that are rare, and looked up, or frequent, and found by going through the newest jobs."""
    monkeypatch.setattr(job_filter, "_FEW", few)
    jobs: list[Job] = []
    for host, duration_ms in zip("aabb", (100, 5000, 100, 5000), strict=True):
        [asked] = history.jobs.enqueue([a_new_job()], dispatch_id=new_id(), lease_s=60)
        claim = history.leases.claim(asked.job.dispatch_id or "", run_id="run-1", host=host, lease_s=60)
        assert claim
        history.leases.finish(ended(claim, duration_ms=duration_ms), job_status=JobStatus.COMPLETED)
        history.attempts.record(an_attempt(job_id=claim.job.id, attempt=2, host=host, duration_ms=duration_ms))
        jobs.append(history.jobs.get(claim.job.id))
    history.jobs.enqueue([a_new_job()])
    history.attempts.record(an_attempt(host="a", duration_ms=5000))

    def found(**conditions: Any) -> list[int]:
        return sorted(jobs.index(each) for each in history.jobs.list(JobFilter(**conditions)))

    assert found(host="a") == [0, 1]
    assert found(host="nowhere") == []
    assert found(longer_than_ms=5000) == [1, 3]
    assert found(shorter_than_ms=5000) == [0, 2]
    assert found(host="b", longer_than_ms=1000, shorter_than_ms=6000) == [3]
