"""Metrics say what the history says, whatever has become of the workers."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mediajobs_dagster.attempts.recovery import RunState, recover
from mediajobs_dagster.history import AttemptFilter, History, JobFilter
from mediajobs_dagster.history.series import Tally
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus
from mediajobs_dagster.system import MediaJobs
from tests.history.factories import THUMB, a_new_job, claimed, ended, let_pass, some_new_jobs
from tests.use_cases.counting_worker import work

JOBS = 60
KILLED_AFTER = (5, 9, 14)
"""At which claim each worker is killed, that is, while it makes an attempt."""


class Gone:
    """No run lives any more."""

    def of_dispatch(self, dispatch_id: str) -> RunState:
        return RunState.GONE

    def of_run(self, run_id: str) -> RunState:
        return RunState.GONE

    def is_over(self, dispatch_id: str) -> bool:
        return True


@pytest.fixture
def media(history_url: str, history: History, tmp_path: Path) -> Iterator[MediaJobs]:
    """An installation on each engine in turn."""
    with MediaJobs.open(_env_file=None, home=tmp_path / "home", database_url=history_url) as media:
        yield media


def value(media: MediaJobs, name: str, **labels: str) -> float:
    """The sum over the samples of that name that have these labels, as a scrape reads them."""
    families = text_string_to_metric_families(media.metrics.exposition().body.decode())
    samples = (sample for family in families for sample in family.samples if sample.name == f"mediajobs_{name}")
    return sum(each.value for each in samples if labels.items() <= each.labels.items())


def kill_in_mid_attempt(url: str, seed: int, claims: int) -> None:
    """Start a worker, and kill it at that claim."""
    command = [sys.executable, "-m", "tests.use_cases.counting_worker", url, str(seed), str(claims)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        said = worker.stdout.readline()
        worker.kill()
    assert said == "claimed\n"


def every_attempt(history: History) -> list[Attempt]:
    """All of them."""
    return history.attempts.list(AttemptFilter(), limit=500)


def test_totals_equal_the_history_after_workers_were_killed(
    media: MediaJobs, history: History, history_url: str
) -> None:
    """Workers are killed in mid-attempt, and their jobs tried again: nothing is lost, and nothing counted twice."""
    history.jobs.enqueue(some_new_jobs(JOBS, max_attempts=10))
    for seed, claims in enumerate(KILLED_AFTER):
        kill_in_mid_attempt(history_url, seed, claims)
    let_pass(history, 100)
    recover(history, media.settings, Gone(), settling_s=0)
    let_pass(history, 10_000)
    work(history, seed=7)
    attempts = every_attempt(history)
    by_status = Counter(each.status for each in attempts)
    assert by_status[AttemptStatus.LOST] == len(KILLED_AFTER)
    for status in AttemptStatus:
        assert value(media, "attempts_ended_total", status=status) == by_status[status], status
    assert value(media, "jobs_created_total") == JOBS
    jobs = Counter(each.status for each in history.jobs.list(JobFilter(), limit=500))
    assert jobs == {JobStatus.COMPLETED: jobs[JobStatus.COMPLETED], JobStatus.SKIPPED: jobs[JobStatus.SKIPPED]}
    for status, number in jobs.items():
        assert value(media, "jobs_ended_total", status=status, job_type=THUMB) == number
    assert value(media, "jobs_total_latency_seconds_count") == JOBS
    assert value(media, "jobs_status_transition_total", to="processing") == len(attempts)
    assert value(media, "worker_recovered_jobs_total") == by_status[AttemptStatus.LOST]
    own_ends = [each for each in attempts if each.status is not AttemptStatus.LOST]
    assert value(media, "worker_stage_latency_seconds_count", stage="ffmpeg") == len(own_ends)
    in_all_ms = sum(each.duration_ms or 0 for each in own_ends)
    assert value(media, "worker_stage_latency_seconds_sum", stage="ffmpeg") == pytest.approx(in_all_ms / 1000)


def test_the_queue_by_lane_and_type(media: MediaJobs, history: History) -> None:
    """How many wait, how many are being worked on and where, and how long the first one waits."""
    claimed(history)
    history.jobs.enqueue(some_new_jobs(2))
    let_pass(history, 90)
    assert value(media, "queue_jobs", lane="light", job_type=THUMB, status="queued") == 2
    assert value(media, "queue_jobs", status="processing") == value(media, "worker_inflight_jobs") == 1
    assert value(media, "host_inflight_jobs", host="worker-1") == 1
    assert value(media, "queue_oldest_age_seconds", job_type=THUMB) == pytest.approx(90, abs=30)
    assert value(media, "database_up") == 1


def test_types_that_are_not_installed_are_others(media: MediaJobs, history: History) -> None:
    """However many there were, they are one label."""
    for name in ("gone_v1", "gone_v2"):
        assert history.leases.finish(ended(claimed(history, job_type=name)), job_status=JobStatus.COMPLETED)
    assert value(media, "attempts_ended_total", job_type="other") == 2
    assert value(media, "jobs_ended_total", job_type="other", code="none", blame="none") == 2
    assert b"gone_v" not in media.metrics.exposition().body


def test_the_snapshot_has_the_form_of_one_document(media: MediaJobs, history: History) -> None:
    """Quantiles are estimated from the classes; the queue is in it."""
    tally = Tally()
    for _ in range(100):
        tally.time("worker.stage_latency_ms", 75, stage="fetch")
    history.series.add(tally.measures)
    history.jobs.enqueue([a_new_job()])
    found = media.metrics.snapshot()
    assert found["counters"]["jobs.created_total"] == 1
    assert found["histograms"]["worker.stage_latency_ms|stage=fetch"] == {
        "count": 100,
        "sum": 7500,
        "buckets": {"50": 75.0, "90": 95.0, "99": 99.5},
    }
    assert found["histograms"]["worker.stage_latency_ms"]["count"] == 100
    assert [each["jobType"] for each in found["queue"]] == [THUMB]


def test_a_scrape_reads_no_rows_of_what_is_over(media: MediaJobs, history: History) -> None:
    """So it costs the same after a million jobs, and totals outlive them: with the rows gone, it says the same."""
    for _ in range(3):
        assert history.leases.finish(ended(claimed(history)), job_status=JobStatus.COMPLETED)
    before = media.metrics.read()
    later = history.now() + timedelta(days=1)
    history.removing.fold_totals()
    history.removing.attempts(THUMB, later, after=None, limit=10)
    history.removing.jobs(THUMB, later, after=None, limit=10)
    assert len(every_attempt(history)) <= 1  # what made the current outputs stays
    after = media.metrics.read()
    for name in before.values.keys() - {"scrape.duration_ms"}:
        assert after.values.get(name) == before.values[name], name
    assert after.spreads == before.spreads


def test_a_scrape_says_that_the_database_is_down(tmp_path: Path) -> None:
    """It answers all the same: that is when it is needed."""
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    with MediaJobs.open(_env_file=None, home=tmp_path, database_url=nobody) as media:
        found = media.metrics.read()
        assert value(media, "build_info") == 1
    assert found.values["database.up"] == {(): 0.0}
    assert "jobs.created_total" not in found.values
