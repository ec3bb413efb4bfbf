"""Counts and totals against what the rows say, after anything that can happen to them, folded or not."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter, Claim, DaySummary, History, JobFilter, StatisticsReport
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.folding import fold
from mediajobs_dagster.history.schema import job_history, jobs, metric_entries, uploads
from mediajobs_dagster.history.spans import CLASS_ERROR
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus, new_id
from tests.history.factories import (
    NOON,
    THUMB,
    a_media_info,
    a_new_job,
    an_attempt,
    an_upload,
    begun_at,
    ended,
    some_new_jobs,
)

TYPES = ("thumb", "proxy")
CODES = (None, "DISK_FULL", "STALLED")
HOSTS = ("worker-1", "worker-2", None)
ENDINGS = [status for status in AttemptStatus if status.is_final]
AFTER: dict[AttemptStatus, JobStatus] = {
    AttemptStatus.SUCCESS: JobStatus.COMPLETED,
    AttemptStatus.FAILURE: JobStatus.DEAD,
    AttemptStatus.SKIPPED: JobStatus.SKIPPED,
    AttemptStatus.CANCELLED: JobStatus.QUEUED,
    AttemptStatus.LOST: JobStatus.FAILED,
}


@pytest.fixture
def database(history: History, history_url: str) -> Iterator[Database]:
    """The same database, below the history."""
    database = Database(history_url, timeout_s=30)
    yield database
    database.close()


def expected_of(attempts: list[Attempt]) -> dict[str, Any]:
    """The report, computed from the attempts one by one."""
    statuses = Counter(attempt.status for attempt in attempts)
    durations = sorted(each.duration_ms for each in attempts if each.duration_ms is not None)
    outputs = [output for each in attempts for output in (each.result or {}).get("outputs", ())]
    ran = sum(statuses[status] for status in (AttemptStatus.SUCCESS, AttemptStatus.FAILURE, AttemptStatus.LOST))

    def percentile(share: float) -> float:
        return durations[math.ceil(share * len(durations)) - 1] if durations else 0.0

    return {
        "attempts": len(attempts),
        "by_status": {status: statuses[status] for status in AttemptStatus},
        "success_rate": statuses[AttemptStatus.SUCCESS] / ran if ran else 0.0,
        "average": sum(durations) / len(durations) if durations else 0.0,
        "p50": percentile(0.5),
        "p95": percentile(0.95),
        "output_files": len(outputs),
        "output_bytes": sum(output["bytes"] for output in outputs),
        **expected_costs_of(attempts),
        "errors": Counter(attempt.error_code for attempt in attempts if attempt.error_code),
        "workers": Counter(attempt.host for attempt in attempts if attempt.host),
    }


def expected_costs_of(attempts: list[Attempt]) -> dict[str, Any]:
    """What the attempts cost, to the millisecond each."""
    timed = [each for each in attempts if each.rtf is not None and each.media_seconds is not None]
    media_ms = sum(round((each.media_seconds or 0.0) * 1000) for each in timed)
    processing_ms = sum(each.duration_ms or 0 for each in timed)
    nothing = (AttemptStatus.FAILURE, AttemptStatus.LOST, AttemptStatus.CANCELLED)
    return {
        "rtf": media_ms / processing_ms if processing_ms else None,
        "media_seconds": media_ms / 1000,
        "cpu_seconds": sum(round((each.cpu_seconds or 0.0) * 1000) for each in attempts) / 1000,
        "bytes_in": sum(each.bytes_in or 0 for each in attempts),
        "bytes_out": sum(each.bytes_out or 0 for each in attempts),
        "wasted_ms": sum(each.duration_ms or 0 for each in attempts if each.status in nothing),
    }


def assert_agrees(report: StatisticsReport, attempts: list[Attempt], *, exact: bool) -> None:
    expected = expected_of(attempts)
    spread = report.duration_ms
    error = 1e-9 if exact else CLASS_ERROR + 1e-9
    assert spread.average == pytest.approx(expected.pop("average"))
    assert spread.p50 == pytest.approx(expected.pop("p50"), rel=error)
    assert spread.p95 == pytest.approx(expected.pop("p95"), rel=error)
    assert {name: getattr(report, name) for name in expected} == expected
    for ranking in (report.errors, report.workers):
        assert list(ranking.values()) == sorted(ranking.values(), reverse=True)


def selected(attempts: list[Attempt], filter: AttemptFilter) -> list[Attempt]:
    """What the filter means, in Python."""

    def is_meant(attempt: Attempt) -> bool:
        equal = ("job_name", "trace_id", "error_code", "job_id", "run_id")
        return (
            all(getattr(filter, name) in (None, getattr(attempt, name)) for name in equal)
            and (not filter.statuses or attempt.status in filter.statuses)
            and (filter.since is None or attempt.created_at >= filter.since)
            and (filter.until is None or attempt.created_at < filter.until)
        )

    return [attempt for attempt in attempts if is_meant(attempt)]


class Story:
    """A random life of a history: attempts over a hundred days, some in bursts, some still running at its end."""

    def __init__(self, history: History, database: Database, seed: int) -> None:
        self.history, self.database, self.chance = history, database, random.Random(seed)

    def moment(self) -> datetime:
        if self.chance.random() < 0.5:  # within the same two hours, on the second
            return NOON.replace(microsecond=0) + timedelta(seconds=self.chance.randrange(7200))
        return NOON + timedelta(seconds=self.chance.uniform(0, 100 * 86_400))

    def ending(self) -> dict[str, Any]:
        status = self.chance.choice(ENDINGS)
        outputs = [{"key": "a", "bytes": self.chance.randrange(10**10)} for _ in range(self.chance.randrange(3))]
        return {
            "status": status,
            "error_code": self.chance.choice(CODES) if status is not AttemptStatus.SUCCESS else None,
            "duration_ms": self.chance.choice((None, 0, round(10 ** self.chance.uniform(0, 7)))),
            "result": {"outputs": outputs} if outputs else None,
            "rtf": 2.0 if self.chance.random() < 0.6 else None,
            "media_seconds": self.chance.choice((None, self.chance.uniform(0, 9000))),
            "cpu_seconds": self.chance.choice((None, self.chance.uniform(0, 9000))),
            "bytes_in": self.chance.choice((None, self.chance.randrange(10**12))),
            "bytes_out": self.chance.choice((None, self.chance.randrange(10**12))),
        }

    def record(self) -> None:
        host = self.chance.choice(HOSTS)
        name = self.chance.choice(TYPES)
        row = an_attempt(job_name=name, created_at=self.moment(), host=host, **self.ending())
        assert self.history.attempts.record(row)
        assert not self.history.attempts.record(row)

    def claim(self) -> Claim:
        job = a_new_job(job_type=self.chance.choice(TYPES), trace_id=self.chance.choice("ab") * 32)
        dispatch_id, now = new_id(), self.moment()
        self.history.jobs.enqueue([job], dispatch_id=dispatch_id, lease_s=60, now=now)
        run_id = self.chance.choice(("run-1", "run-2"))
        claim = self.history.leases.claim(dispatch_id, run_id=run_id, host="worker-3", lease_s=60)
        assert claim is not None
        return begun_at(self.history, claim, now)

    def work(self) -> None:
        claim = self.claim()
        if self.chance.random() < 0.2:
            return  # it runs on
        if self.chance.random() < 0.2:
            self.history.jobs.cancel(claim.job.id)
        done = ended(claim, **{"error_code": None} | self.ending())
        for _ in range(self.chance.choice((1, 1, 2))):  # a worker that was thought dead ends it once more
            self.history.leases.finish(done, job_status=AFTER[done.status])

    def live(self, steps: int) -> list[Attempt]:
        for _ in range(steps):
            step = self.chance.choices((self.record, self.work, self.fold), (5, 5, 1))[0]
            step()
        return list(self.history.attempts.iterate(AttemptFilter()))

    def fold(self) -> None:
        fold(self.database, limit=self.chance.choice((1, 7, 1000)))

    def filter(self) -> AttemptFilter:
        maybe = self.chance.random
        ends = sorted((self.moment(), self.moment()))
        return AttemptFilter(
            job_name=self.chance.choice(TYPES) if maybe() < 0.4 else None,
            statuses=tuple(self.chance.sample(list(AttemptStatus), 2)) if maybe() < 0.3 else (),
            error_code=self.chance.choice(CODES[1:]) if maybe() < 0.2 else None,
            since=ends[0] if maybe() < 0.6 else None,
            until=ends[1] if maybe() < 0.6 else None,
            trace_id="a" * 32 if maybe() < 0.1 else None,
            run_id="run-1" if maybe() < 0.1 else None,
        )


@pytest.mark.parametrize("seed", range(2))
def test_statistics_are_what_the_rows_add_up_to(history: History, database: Database, seed: int) -> None:
    story = Story(history, database, seed)
    for _ in range(2):
        attempts = story.live(50)
        for filter in [AttemptFilter(), *(story.filter() for _ in range(30))]:
            exact = bool(filter.trace_id or filter.run_id)
            assert_agrees(history.statistics.of(filter), selected(attempts, filter), exact=exact)


def test_totals_outlive_their_rows(history: History, database: Database) -> None:
    """History is cleared away some day; what it added up to is not."""
    attempts = Story(history, database, 7).live(40)
    with database.write() as connection:
        connection.execute(sa.delete(job_history).where(job_history.c.status != AttemptStatus.RUNNING))
    assert_agrees(history.statistics.of(AttemptFilter()), attempts, exact=False)


def test_folding_leaves_nothing_and_changes_nothing(history: History, database: Database) -> None:
    attempts = Story(history, database, 8).live(80)
    counts = history.jobs.counts()
    while fold(database, limit=10):
        pass
    assert history.jobs.counts() == counts
    assert_agrees(history.statistics.of(AttemptFilter()), attempts, exact=False)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(metric_entries)) == 0
        assert connection.scalar(sa.text("SELECT count(*) FROM job_counts WHERE slot <> 0")) == 0


def test_what_gathers_is_folded_on_the_way(history: History, database: Database) -> None:
    """Whoever ends an attempt with an id of a certain ending folds, and nobody else has to."""
    for number in range(3):
        history.attempts.record(an_attempt(id=f"00000000-0000-7000-8000-0000000000{number}1"))
    assert waiting_entries(database) == 3
    history.attempts.record(an_attempt(id="00000000-0000-7000-8000-000000000000"))
    assert waiting_entries(database) == 0


def waiting_entries(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(metric_entries)) or 0


def test_figures_are_of_one_moment_while_others_write_and_fold(history: History, database: Database) -> None:
    """No attempt is ever counted twice, or missed, on its way from its own entry into the totals."""
    writers, each = 4, 30

    def write(number: int) -> None:
        for turn in range(each):
            history.attempts.record(an_attempt(job_name=f"type-{number}", host=f"host-{turn % 3}", duration_ms=turn))
            if turn % 3 == number % 3:
                fold(database, limit=20)

    with ThreadPoolExecutor(writers) as pool:
        writing = [pool.submit(write, number) for number in range(writers)]
        seen = [0]
        while not all(done.done() for done in writing):
            report = history.statistics.of(AttemptFilter())
            assert sum(report.workers.values()) == report.attempts
            seen.append(report.attempts)
        for done in writing:
            done.result()
    assert seen == sorted(seen)
    attempts = list(history.attempts.iterate(AttemptFilter()))
    assert len(attempts) == writers * each
    assert_agrees(history.statistics.of(AttemptFilter()), attempts, exact=False)


def test_a_manifest_with_a_nul_in_it_is_no_obstacle(history: History) -> None:
    """Hostile media can bring one; PostgreSQL cannot turn such a JSON into text."""
    manifest = {"stages": [{"name": "probe", "durationMs": 5}], "errors": [{"message": "bad \x00 tag"}]}
    history.attempts.record(an_attempt(manifest=manifest))
    [stage] = history.statistics.of(AttemptFilter()).stages
    assert (stage.name, stage.count) == ("probe", 1)


# --- jobs and uploads ------------------------------------------------------------------------------------------------


def counted(database: Database) -> dict[str, dict[JobStatus, int]]:
    """The jobs by type and status, counted row by row."""
    statement = sa.select(jobs.c.job_type, jobs.c.status, sa.func.count()).group_by(jobs.c.job_type, jobs.c.status)
    found: dict[str, dict[JobStatus, int]] = {}
    with database.read() as connection:
        for name, status, count in connection.execute(statement):
            found.setdefault(name, dict.fromkeys(JobStatus, 0))[JobStatus(status)] = count
    return found


def random_step(history: History, database: Database, chance: random.Random) -> None:
    """Anything that can happen to jobs."""
    some = history.jobs.list(JobFilter(), limit=30)
    job = chance.choice(some) if some else None
    dispatch_id = job.dispatch_id if job and job.dispatch_id else "none"
    match chance.randrange(9):
        case 0:
            history.jobs.enqueue([a_new_job(job_type=chance.choice(TYPES)) for _ in range(chance.randrange(1, 6))])
        case 1 if job:  # a known key is no new job
            same = a_new_job(job_type=job.job_type, idempotency_key=job.idempotency_key)
            history.jobs.enqueue([same, a_new_job(job_type="third")], dispatch_id=new_id(), lease_s=60)
        case 2 | 3:
            dispatch = history.leases.assign(chance.choice(TYPES), limit=3, lease_s=60)
            while dispatch and (claim := history.leases.claim(dispatch.id, run_id=None, host="h", lease_s=60)):
                status = chance.choice(ENDINGS)
                if chance.random() < 0.8:
                    history.leases.finish(
                        ended(claim, status), job_status=AFTER[status], children=[a_new_job(job_type="child")]
                    )
        case 4:
            history.leases.release(dispatch_id)
        case 5:
            history.leases.cancel_assigned(dispatch_id)
        case 6 if job:
            with pytest.raises(IllegalTransitionError) if job.status.is_final else nullcontext():
                history.jobs.cancel(job.id)
        case 7 if job and (job.status.is_final or job.status is JobStatus.FAILED):
            history.jobs.retry(job.id)
        case 8 if job and chance.random() < 0.5:  # cleared away
            with database.write() as connection:
                connection.execute(sa.delete(jobs).where(jobs.c.id == job.id))
        case _:
            fold(database, limit=chance.choice((1, 5, 1000)))


@pytest.mark.parametrize("seed", range(2))
def test_counts_are_those_of_the_rows_whatever_happened(history: History, database: Database, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(80):
        random_step(history, database, chance)
        assert history.jobs.counts() == counted(database)
    assert sum(sum(each.values()) for each in history.jobs.counts().values()) > 20


def test_a_transaction_that_fails_counts_nothing(history: History, database: Database) -> None:
    history.jobs.enqueue(some_new_jobs(2))
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        history.jobs.enqueue([a_new_job(), a_new_job(parent_job_id=new_id())])
    assert history.jobs.counts() == counted(database) == {THUMB: dict.fromkeys(JobStatus, 0) | {JobStatus.QUEUED: 2}}


def test_counts_stay_right_among_many_writers(history: History, database: Database) -> None:
    """Nobody deadlocks, in whatever order they change jobs of two types and fold."""

    def churn(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(15):
            batch = [a_new_job(job_type=name) for name in chance.sample(TYPES, 2)]
            history.jobs.enqueue(batch, dispatch_id=(dispatch := new_id()), lease_s=60)
            while claim := history.leases.claim(dispatch, run_id=None, host=f"h-{seed}", lease_s=60):
                children = [a_new_job(job_type=name) for name in chance.sample(TYPES, 2)]
                history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED, children=children)
            if chance.random() < 0.3:
                fold(database, limit=50)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(churn, range(6)))
    assert history.jobs.counts() == counted(database)
    assert history.jobs.counts()["thumb"][JobStatus.COMPLETED] == 6 * 15
    assert history.statistics.of(AttemptFilter()).attempts == 6 * 30


def test_the_summary_of_a_day_is_that_of_its_rows(history: History, database: Database) -> None:
    """Registered, probed later, probed again, registered twice, removed; across midnight."""
    chance = random.Random(3)
    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    ids: list[str] = []
    for turn in range(80):
        created_at = midnight + timedelta(microseconds=chance.choice((-1, 0, 1, -(10**9), 10**9)))
        info = chance.choice((None, a_media_info(chance.uniform(0, 5000))))
        upload = an_upload(
            created_at=created_at, bytes=chance.randrange(10**10), origin=f"{turn % 60}", media_info=info
        )
        ids.append(history.uploads.add(upload).id)
        if chance.random() < 0.4:
            history.uploads.set_media_info(ids[-1], a_media_info(chance.uniform(0, 5000)))
        if chance.random() < 0.1:
            with database.write() as connection:
                connection.execute(sa.delete(uploads).where(uploads.c.id == ids.pop()))
        if chance.random() < 0.1:
            fold(database, limit=3)
    for day in (midnight.date() - timedelta(days=1), midnight.date(), midnight.date() + timedelta(days=1)):
        found = list(history.uploads.of_day(day))
        seconds = sum(upload.media_info.duration_seconds for upload in found if upload.media_info)
        summary = history.uploads.day_summary(day)
        size = sum(upload.bytes for upload in found)
        assert summary == DaySummary(len(found), size, pytest.approx(seconds, abs=0.0005 * len(found)))
        assert found or day > midnight.date()
