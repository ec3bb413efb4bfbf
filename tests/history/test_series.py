"""What is measured is counted in the transaction of what it belongs to, on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import History
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.folding import fold
from mediajobs_dagster.history.migrations.measuring import BOUNDS_0006
from mediajobs_dagster.history.schema import jobs, metric_series
from mediajobs_dagster.history.series import BOUNDS_MS, COUNTED, Measure, Tally, labelled, labels_of
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.history.factories import THUMB, claimed, ended, some_new_jobs

STAGE = "worker.stage_latency_ms"


@pytest.fixture
def database(history: History, history_url: str) -> Iterator[Database]:
    """The same database, below the history."""
    database = Database(history_url, timeout_s=30)
    yield database
    database.close()


def numbers(history: History, name: str) -> dict[str, int]:
    """What a metric counts, by its labels."""
    found: dict[str, int] = {}
    for each in history.series.all():
        if each.name == name:
            found[each.labels] = found.get(each.labels, 0) + each.number
    return found


def some_measures() -> tuple[Measure, ...]:
    """Of one attempt."""
    tally = Tally()
    tally.time(STAGE, 40, stage="fetch")
    tally.time(STAGE, 60, stage="fetch")
    tally.time(STAGE, 10**9, stage="ffmpeg")
    tally.count("worker.stage_failures_total", stage="ffmpeg", code="STALLED")
    return tally.measures


def test_durations_are_kept_by_their_class(history: History) -> None:
    """And their sum; a class has its upper bound in it, and what is above all has one of its own."""
    assert numbers(history, STAGE) == {}
    history.series.add(some_measures())
    history.series.add(some_measures())
    below_50, below_100 = BOUNDS_MS.index(50), BOUNDS_MS.index(100)
    assert history.series.all() == [
        Measure("worker.stage_failures_total", "stage=ffmpeg,code=STALLED", COUNTED, 2, 0),
        Measure(STAGE, "stage=fetch", below_50, 2, 80),
        Measure(STAGE, "stage=fetch", below_100, 2, 120),
        Measure(STAGE, "stage=ffmpeg", len(BOUNDS_MS), 2, 2 * 10**9),
    ]


def test_what_happens_to_jobs_is_counted_whoever_does_it(history: History, database: Database) -> None:
    """Creation, each change of status, each end with its code, and how long it took to get there."""
    history.jobs.enqueue(some_new_jobs(3))
    claim = claimed(history)
    failure = ended(claim, AttemptStatus.FAILURE)
    assert history.leases.finish(failure, job_status=JobStatus.DEAD)
    with database.write() as connection:  # a statement of somebody else, for all that wait
        connection.execute(sa.update(jobs).where(jobs.c.status == "queued").values(status="cancelled"))
        connection.execute(sa.update(jobs).values(priority=1))  # which is no change of their status
    assert numbers(history, "jobs.created_total") == {"": 4}
    assert numbers(history, "jobs.status_transition_total") == {
        "from=queued,to=processing": 1,
        "from=processing,to=dead": 1,
        "from=queued,to=cancelled": 3,
    }
    assert numbers(history, "jobs.total_latency_ms") == {"": 4}
    assert numbers(history, "jobs.ended_total") == {
        f"job_type={THUMB},status=dead,code=DISK_FULL": 1,
        f"job_type={THUMB},status=cancelled,code=none": 3,
    }


def test_an_end_is_counted_with_its_record_or_not_at_all(history: History) -> None:
    """A worker that says it again, or comes too late, adds nothing."""
    claim = claimed(history)
    end = ended(claim)
    for _ in range(2):
        assert history.leases.finish(end, job_status=JobStatus.COMPLETED, measures=some_measures())
    late = ended(claim, AttemptStatus.LOST)
    assert history.leases.finish(late, job_status=JobStatus.FAILED, measures=some_measures()) is None
    history.leases.give_up(ended(claim, AttemptStatus.FAILURE), measures=some_measures())
    assert numbers(history, STAGE) == {"stage=fetch": 2, "stage=ffmpeg": 1}


def test_many_that_add_at_once_lose_nothing(history: History, database: Database) -> None:
    """Nor does adding their rows up, which leaves one a sum."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: history.series.add(some_measures()), range(24)))
    before = history.series.all()
    assert [each.number for each in before] == [24] * 4
    while fold(database):
        pass
    assert history.series.all() == before
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(metric_series)) == 4


@pytest.mark.parametrize(
    "value", ["https://user:secret@host/key", "a sentence of somebody", "x" * 65, "", "a,b=c", "né", "x\n"]
)
def test_a_label_is_a_name(value: str) -> None:
    """Neither an address nor a text of somebody else becomes one, nor anything that breaks the form."""
    assert labels_of(labelled({"op": value, "stage": "fetch"})) == {"op": "other", "stage": "fetch"}


def test_the_triggers_have_the_same_classes() -> None:
    """A change of the bounds needs a migration."""
    assert BOUNDS_MS == BOUNDS_0006
