"""The clean-up of the history: what goes, and what never does, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.errors import DatabaseUnavailableError
from mediajobs_dagster.history import AttemptFilter, History, JobFilter
from mediajobs_dagster.history import schema as tables
from mediajobs_dagster.history.removing import Batch, Removing
from mediajobs_dagster.job_types.history_cleanup import HistoryCleanup
from mediajobs_dagster.models import (
    AttemptStatus,
    JobStatus,
    Tick,
    Timeline,
    new_id,
    new_trace_id,
    result_origin,
    utc_now,
)
from mediajobs_dagster.resilience.retention import AT_ONCE, CleanUp, Removed, Retention
from mediajobs_dagster.settings import Settings
from tests.history.conftest import COUNTS
from tests.history.factories import THUMB, a_new_job, an_attempt, an_upload
from tests.platform import AllGone, Platform
from tests.servers.postgres import running_postgres, start_postgres

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD, RECENT = NOW - 40 * DAY, NOW - 5 * DAY


def retention(history: History, **settings: Any) -> Retention:
    """With 30 days, unless the settings say otherwise."""
    return Retention(Settings.load(_env_file=None, **settings), history)


def clean(history: History, **options: Any) -> CleanUp:
    """Clean up as of NOW."""
    settings = {name: options.pop(name) for name in ("retention", "retention_days") if name in options}
    return retention(history, **settings).clean_up(now=NOW, **options)


def removed(done: CleanUp) -> dict[str, int]:
    """How many rows of each kind, if any."""
    return {each.kind: each.rows for each in done.removed if each.rows}


def execute(history: History, *statements: sa.Executable) -> None:
    """Change rows as no method of ours would: they grow old."""
    with history._database.write() as connection:  # pyright: ignore[reportPrivateUsage]
        for statement in statements:
            connection.execute(statement)


@dataclass
class Made:
    """A job with its attempts, the first one first."""

    job_id: str
    attempts: list[str]


def make(
    history: History,
    *,
    at: datetime,
    status: JobStatus = JobStatus.COMPLETED,
    attempts: int = 1,
    current: bool = False,
    **job: Any,
) -> Made:
    """A job of some moment, with that status and so many attempts; with `current`, the last made current outputs."""
    (enqueued,) = history.jobs.enqueue([a_new_job(**({"subject_id": new_id()} | job))], now=at)
    job_id, subject_id, job_type = enqueued.job.id, enqueued.job.subject_id, enqueued.job.job_type
    ids: list[str] = []
    for number in range(attempts):
        is_last = number == attempts - 1
        is_running = is_last and status is JobStatus.PROCESSING
        outcome = AttemptStatus.SUCCESS if is_last and current else AttemptStatus.FAILURE
        row = an_attempt(
            job_id=job_id,
            job_name=job_type,
            attempt=number + 1,
            status=AttemptStatus.RUNNING if is_running else outcome,
            started_at=at,
            completed_at=None if is_running else at,
            created_at=at,
            manifest={"stages": [], "note": "x" * 500},
        )
        assert history.attempts.record(row)
        ids.append(row.id)
    change = {"status": status, "attempts": attempts, "updated_at": at}
    execute(history, sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(change))
    if current:
        pointer = {"subject_id": subject_id, "job_type": job_type, "attempt_id": ids[-1]}
        execute(history, sa.insert(tables.current_outputs).values(pointer))
    return Made(job_id, ids)


def left(history: History) -> tuple[set[str], set[str]]:
    """The ids of the jobs and of the attempts that are there."""
    return (
        {job.id for job in history.jobs.iterate(JobFilter())},
        {attempt.id for attempt in history.attempts.iterate(AttemptFilter())},
    )


def rows(history: History, table: sa.Table) -> int:
    """How many a table has."""
    with history._database.read() as connection:  # pyright: ignore[reportPrivateUsage]
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_what_is_old_goes_and_the_totals_stay(history: History) -> None:
    """Attempts and jobs of before thirty days; the figures over all time are those of before."""
    old = [make(history, at=OLD, attempts=2) for _ in range(3)]
    recent = make(history, at=RECENT, attempts=2)
    before = history.statistics.of(AttemptFilter())
    would = clean(history, dry_run=True)
    assert len(left(history)[1]) == 8
    assert rows(history, tables.metric_entries) > 0  # what ended and is in no total yet
    done = clean(history, at_once=2)
    assert rows(history, tables.metric_entries) == 0
    assert removed(done) == removed(would) == {"attempts": 6, "jobs": 3}
    assert done.rows == 9
    assert next(each.bytes for each in done.removed if each.kind == "attempts") > 6 * 100
    assert left(history) == ({recent.job_id}, set(recent.attempts))
    after = history.statistics.of(AttemptFilter())
    assert (after.attempts, after.by_status, after.duration_ms) == (8, before.by_status, before.duration_ms)
    assert history.jobs.counts() == {THUMB: {**dict.fromkeys(JobStatus, 0), JobStatus.COMPLETED: 1}}
    assert removed(clean(history)) == {}
    assert old


def test_a_period_that_cuts_an_hour_whose_rows_are_gone_counts_it_whole(history: History) -> None:
    """Only its totals are left: the report says from when until when it counted. Hours with rows are cut exactly."""
    half, quarter = timedelta(minutes=30), timedelta(minutes=15)
    for day in (OLD, RECENT):
        for minutes in (10, 40):
            make(history, at=day + timedelta(minutes=minutes))
    clean(history)
    old = history.statistics.of(AttemptFilter(since=OLD + half, until=OLD + half + quarter))
    assert (old.attempts, old.counted_since, old.counted_until) == (2, OLD, OLD + timedelta(hours=1))
    old = history.statistics.of(AttemptFilter(since=OLD + half))
    assert (old.attempts, old.counted_since, old.counted_until) == (4, OLD, None)
    recent = history.statistics.of(AttemptFilter(since=RECENT + half, until=RECENT + half + quarter))
    assert (recent.attempts, recent.counted_since, recent.counted_until) == (1, None, None)


def test_current_outputs_keep_their_attempt_and_its_job(history: History) -> None:
    """However old: by them it is known where outputs are, and that they are up to date."""
    made = make(history, at=OLD, attempts=3, current=True)
    assert removed(clean(history)) == {"attempts": 2}
    assert left(history) == ({made.job_id}, {made.attempts[-1]})
    subject_id = history.jobs.get(made.job_id).subject_id
    current = history.current.of(THUMB, subject_id)
    assert current is not None
    assert current.id == made.attempts[-1]


def test_an_export_that_is_still_there_keeps_its_job(history: History) -> None:
    """Two exports of one timeline with other parameters: the later one has the current outputs, and both are uploads.

    Asked for again, each is found. One whose upload was deleted goes.
    """
    timeline = new_id()
    first, second, third = (make(history, at=OLD, subject_id=timeline, params={"n": n}) for n in range(3))
    success = sa.update(tables.job_history).values(status=AttemptStatus.SUCCESS)
    execute(history, success)
    pointer = {"subject_id": timeline, "job_type": THUMB, "attempt_id": third.attempts[0]}
    execute(history, sa.insert(tables.current_outputs).values(pointer))
    history.uploads.add(an_upload(id=new_id(), origin=result_origin(first.job_id, "video.mp4")))
    history.uploads.add(an_upload(origin=result_origin(third.job_id, "video.mp4")))
    dry = removed(clean(history, dry_run=True))
    assert dry == removed(clean(history)) == {"attempts": 1, "jobs": 1}
    assert left(history) == ({first.job_id, third.job_id}, {*first.attempts, *third.attempts})
    assert second.job_id not in left(history)[0]


def test_ticks_go_although_each_has_a_latest_success(history: History) -> None:
    """A tick has no outputs that anybody would look for; what points at its attempt goes with its job."""
    tick = Tick(schedule="nightly", created_at=OLD)
    make(history, at=OLD, current=True, job_type="nightly", subject_id=tick.id)
    assert removed(clean(history)) == {"attempts": 1, "jobs": 1}
    assert history.current.of("nightly", tick.id) is None
    with history._database.read() as connection:  # pyright: ignore[reportPrivateUsage]
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.current_outputs)) == 0


def test_days_are_set_for_each_job_type_and_kind(history: History) -> None:
    """0 keeps for ever, and a type of its own name has its own days."""
    kept = make(history, at=OLD, job_type="kept")
    make(history, at=RECENT, job_type="short")
    normal = make(history, at=RECENT)
    done = clean(history, retention=("kept=0", "short=3"))
    assert removed(done) == {"attempts": 1, "jobs": 1}
    assert left(history)[0] == {kept.job_id, normal.job_id}
    make(history, at=OLD)
    assert removed(clean(history, retention_days=0.0)) == {}


def test_a_parent_stays_while_its_child_is_under_way(history: History) -> None:
    """The child's row names it."""
    parent = make(history, at=OLD, attempts=0)
    child = make(history, at=NOW, attempts=0, status=JobStatus.QUEUED, parent_job_id=parent.job_id)
    assert removed(clean(history)) == {}
    history.jobs.cancel(child.job_id)
    assert removed(clean(history)) == {"jobs": 1}
    assert history.jobs.get(child.job_id).parent_job_id is None


def test_other_records_grow_old_too(history: History) -> None:
    """Timelines that nobody refers to, alerts, actions, quota, dropped events, all but two reports."""
    used, unused = (Timeline(id=new_id(), document={"n": n}, etag=f"{n}", created_at=OLD, trace_id="t") for n in (1, 2))
    for timeline in (used, unused):
        history.timelines.add(timeline)
    make(history, at=NOW, subject_id=used.id)
    text = {"title": "t", "body": "b"}
    alert = {"kind": "dead", "cause": "c", **text, "count": 1, "last_at": OLD, "due_at": OLD, "tries": 1}
    event = {"source": "s", "title": "t", "starts_at": OLD, "is_all_day": False, "status": "finished"}
    event |= {"created_at": OLD, "updated_at": OLD, "seen_at": OLD}
    ledger = {"bucket": "b", "units_used": 1, "units_limit": 2, "calls": 1, "first_used_at": OLD, "updated_at": OLD}
    rows: list[tuple[sa.Table, list[dict[str, Any]]]] = [
        (tables.alerts, [{"id": new_id(), "first_at": OLD, "sent_at": at, **alert} for at in (OLD, RECENT)]),
        (tables.alerts, [{"id": new_id(), "first_at": OLD, **alert}]),  # nobody could be sent it
        (tables.alerts, [{"id": new_id(), "first_at": OLD, **(alert | {"last_at": RECENT})}]),
        (
            tables.actions,
            [
                {"id": new_id(), "at": at, "action": "a", "target": "t", "count": 1, "reason": "r", "who": "w"}
                for at in (OLD, RECENT)
            ],
        ),
        (tables.quota_ledger, [{"resets_at": at, **ledger} for at in (OLD, RECENT)]),
        (
            tables.scheduled_events,
            [{"id": new_id(), "external_id": f"{at}", "removed_at": at, **event} for at in (OLD, RECENT, None)],
        ),
        (
            tables.storage_snapshots,
            [{"id": new_id(), "taken_at": OLD + n * DAY, "objects": 1, "bytes": 1} for n in range(4)],
        ),
    ]
    execute(history, *(sa.insert(table).values(each) for table, several in rows for each in several))
    checks = iter(range(100))

    def check() -> None:
        assert next(checks, None) is not None, "it finds the same rows again and again"

    would = removed(clean(history, dry_run=True, at_once=1, check=check))
    found = removed(clean(history))
    assert found == would
    assert found == {"timelines": 1, "alerts": 2, "actions": 1, "quota": 1, "events": 1, "snapshots": 2}
    assert history.timelines.get(used.id)


def test_webhooks_go_when_they_are_done_with(history: History) -> None:
    """Never one that waits; and a callback stays while a job of its trace is unfinished, or a delivery is left."""
    deliveries, callbacks = tables.webhook_deliveries, tables.webhook_subscriptions
    (unfinished,) = history.jobs.enqueue([a_new_job()])
    common = {"event": "job.queued", "url": "u", "origin": "o", "data": {}, "due_at": OLD, "tries": 1, "job_id": "j"}
    rows = [("delivered", OLD), ("failed", OLD), ("pending", OLD), ("delivered", RECENT)]
    for number, (status, at) in enumerate(rows):
        of = {"id": f"d{number}", "subscription_id": f"s{number}", "trace_id": f"t{number}"}
        execute(history, sa.insert(deliveries).values(status=status, created_at=at, **of, **common))
    for number, trace_id in enumerate(["t0", "t1", "t2", "t3", unfinished.job.trace_id]):
        of = {"id": f"s{number}", "trace_id": trace_id, "job_id": "", "url": "u", "origin": "o", "events": "*"}
        execute(history, sa.insert(callbacks).values(created_at=OLD, **of))
    assert removed(clean(history, dry_run=True))["webhooks"] >= 2
    assert removed(clean(history)) == {"webhooks": 4}
    with history._database.read() as connection:  # pyright: ignore[reportPrivateUsage]
        assert set(connection.scalars(sa.select(deliveries.c.id))) == {"d2", "d3"}
        assert set(connection.scalars(sa.select(callbacks.c.id))) == {"s2", "s3", "s4"}


def test_what_was_not_told_of_traces_for_a_week_goes(history: History) -> None:
    """By the clock of the database, and not if a clean-up only looks."""
    for days in (8, 6):
        ended_at = history.now() - days * DAY
        row = {"id": f"{days}", "job_id": "j", "attempts_before": 0, "ended_at": ended_at, "due_at": ended_at}
        execute(history, sa.insert(tables.trace_outbox).values(row))
    clean(history, dry_run=True)
    assert rows(history, tables.trace_outbox) == 2
    clean(history)
    assert rows(history, tables.trace_outbox) == 1


def test_others_have_as_long_as_a_batch_took_within_limits(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short one is followed by a short pause, and none is longer than half a second."""
    clock, pauses = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    class Slow:
        kinds = ("runs",)

        def sweep(self, kind: str, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
            for seconds in (0.0, 0.2004, 3.0):
                clock[0] += seconds
                yield Removed(kind=kind, rows=1, bytes=10)

    monkeypatch.setattr(
        "mediajobs_dagster.resilience.retention.time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep)
    )
    told: list[Removed] = []
    cleaner = Retention(Settings.load(_env_file=None), history, (Slow(),))
    done = cleaner.clean_up(now=NOW, dry_run=True, on_progress=told.append)
    assert pauses[-3:] == pytest.approx([0.005, 0.2004, 0.5])
    assert done.removed[-1] == Removed(kind="runs", rows=3, bytes=30)
    assert told[-3:] == [Removed(kind="runs", rows=number, bytes=10 * number) for number in (1, 2, 3)]
    assert done.took_s == round(clock[0] - 100, 3) != round(clock[0] - 100, 4)


def test_a_clean_up_that_is_interrupted_goes_on(history: History) -> None:
    """What was removed by then stays removed; the next one removes the rest."""
    for _ in range(6):
        make(history, at=OLD)

    class Enough(Exception):
        pass

    def stop_at_second_batch() -> None:
        if len(left(history)[1]) <= 2:
            raise Enough

    with pytest.raises(Enough):
        clean(history, at_once=2, check=stop_at_second_batch)
    assert len(left(history)[1]) == 2
    assert removed(clean(history)) == {"attempts": 2, "jobs": 6}


def test_a_server_that_restarts_in_mid_clean_up(
    open_platform: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can write its end, so the attempt is lost. The next one removes the rest, and totals are right."""
    real, batches, stops = Removing.attempts, list[int](), list[object]()

    def attempts(self: Removing, *given: Any, **options: Any) -> Batch:
        if AT_ONCE in batches and not stops:
            stops.append(server.stop())
        batch = real(self, *given, **options)
        batches.append(batch.rows)
        return batch

    monkeypatch.setattr(Removing, "attempts", attempts)
    with running_postgres() as server:
        platform = open_platform(database_url=server.get_uri(), database_timeout_s=1, lease_s=5)
        for _ in range(AT_ONCE + 20):
            make(platform.history, at=utc_now() - 40 * DAY)
        tick = Tick(schedule=HistoryCleanup.name, created_at=utc_now())
        platform.history.jobs.enqueue([HistoryCleanup().request(tick, trace_id=new_trace_id())])
        with suppress(DatabaseUnavailableError):
            platform.work()
        start_postgres(server)
        recover(platform.history, platform.settings, AllGone(), settling_s=0)
        tried = AttemptFilter(job_name=HistoryCleanup.name)
        assert [each.status for each in platform.history.attempts.list(tried)] == [AttemptStatus.LOST]
        assert len(left(platform.history)[1]) == 20 + 1
        platform.work()
        last, _ = platform.history.attempts.list(tried)
        assert last.status is AttemptStatus.SUCCESS, last.error
        assert sum(batches) == AT_ONCE + 20
        assert platform.history.jobs.list(JobFilter(job_type=THUMB)) == []
        assert platform.history.statistics.of(AttemptFilter(job_name=THUMB)).attempts == AT_ONCE + 20


def test_a_job_that_is_retried_meanwhile_keeps_its_attempts(history: History) -> None:
    """What a look found is decided anew when it is deleted: a person may have retried the job."""
    made = make(history, at=OLD, status=JobStatus.DEAD)
    removing = history.removing
    first = removing.attempts(THUMB, NOW - 30 * DAY, after=None, limit=10, dry_run=True)
    assert first.rows == 1
    history.jobs.retry(made.job_id)
    assert removing.attempts(THUMB, NOW - 30 * DAY, after=None, limit=10).rows == 0
    assert left(history) == ({made.job_id}, set(made.attempts))


# --- the property ----------------------------------------------------------------------------------------------------

_AGES = st.sampled_from([0, 10, 29, 31, 60])
_JOBS = st.lists(
    st.tuples(st.sampled_from(list(JobStatus)), _AGES, st.integers(0, 3), st.booleans(), st.booleans()),
    min_size=1,
    max_size=8,
)


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(given_jobs=_JOBS, at_once=st.integers(1, 5))
def test_nothing_of_an_unfinished_job_is_ever_removed(
    history: History, given_jobs: list[tuple[JobStatus, int, int, bool, bool]], at_once: int
) -> None:
    """Whatever the queue looks like: unfinished jobs and current outputs stay whole, totals stay right, old rows go."""
    _clear(history)
    must_stay: tuple[set[str], set[str]] = (set(), set())
    for status, age, attempts, is_current, is_tick in given_jobs:
        at = NOW - age * DAY
        subject = Tick(schedule="n", created_at=at).id if is_tick else new_id()
        has_current = is_current and attempts > 0 and status is not JobStatus.PROCESSING
        job_type = new_id() if is_tick else THUMB  # two ticks of one moment are of two types
        made = make(
            history, at=at, status=status, attempts=attempts, current=has_current, subject_id=subject, job_type=job_type
        )
        if not status.is_final or age < 30:
            must_stay[0].add(made.job_id)
            must_stay[1].update(made.attempts)
        elif has_current and not is_tick:
            must_stay[0].add(made.job_id)
            must_stay[1].add(made.attempts[-1])
    before = history.statistics.of(AttemptFilter())
    clean(history, at_once=at_once)
    assert left(history) == must_stay
    after = history.statistics.of(AttemptFilter())
    assert (after.attempts, after.by_status, after.errors) == (before.attempts, before.by_status, before.errors)


def _clear(history: History) -> None:
    names = ("current_outputs", "job_history", "jobs", *COUNTS)
    execute(history, *(sa.delete(tables.metadata.tables[name]) for name in names))
