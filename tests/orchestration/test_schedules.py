"""A schedule asks for a job on its tick, which goes the way of all jobs; what is missed is made up for, once.

Dagster's own scheduler is called with the time that it should believe, so nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.moments import schedules_of, switches_of
from mediajobs_dagster.orchestration.schedules import make_up
from mediajobs_dagster.records import Record, ScheduleMissed
from tests.orchestration.conftest import DagsterPlatform
from tests.seam.nightly import Nightly
from tests.simulated_week import Simulation, scheduled, simulation

HALF_AN_HOUR, HOUR, DAY = timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2040, 1, 10, 12, tzinfo=UTC)
"""In the future: Dagster purges what it takes for old ticks by the real clock."""

Open = Callable[..., Simulation]

# Dagster's own: it reads a property that it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition:DeprecationWarning")


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a simulation with one schedule: its cron, its zone, and when the simulation starts."""
    monkeypatch.setenv("MEDIAJOBS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with ExitStack() as stack:

        def open_one(cron: str, zone: str, start: datetime) -> Simulation:
            return stack.enter_context(simulation(tmp_path / "home", [scheduled("sample", cron, zone)], start))

        yield open_one


def at(*moments: str) -> list[datetime]:
    """Moments in UTC."""
    return [datetime.fromisoformat(f"{each}+00:00") for each in moments]


def test_a_schedule_asks_for_a_job_on_its_tick(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """The moment of the schedule is the subject; the run makes the attempt, and the moment is never asked for twice."""
    platform = open_dagster(types=(Nightly(),))
    moment = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    definitions = build_definitions(platform.media, for_runs=True, clock=lambda: moment)

    def tick() -> list[dg.RunRequest]:
        schedule = definitions.resolve_schedule_def(f"schedule_{Nightly.name}")
        context = dg.build_schedule_context(
            instance=platform.instance,
            scheduled_execution_time=moment,
            repository_def=definitions.get_repository_def(),
        )
        return list(schedule.evaluate_tick(context).run_requests or [])

    (request,) = tick()
    assert platform.execute(Nightly.name, request).success
    assert tick() == []
    (job,) = platform.history.jobs.list(JobFilter(job_type=Nightly.name))
    assert (job.subject_id, job.status) == ("nightly_v1@2026-03-29T01:00:00Z", JobStatus.COMPLETED)
    (attempt,) = platform.history.attempts.of_job(job.id)
    assert attempt.result is not None
    assert attempt.result["figures"] == {"files": 0, "asked_at": "2026-03-29 01:00 UTC"}
    assert platform.runs(traceId=job.trace_id)[0].status is dg.DagsterRunStatus.SUCCESS
    event = platform.instance.get_latest_materialization_event(dg.AssetKey(Nightly.asset))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert (metadata["moment"].value, "file" in metadata) == (job.subject_id, False)


@pytest.mark.parametrize(
    ("cron", "zone", "start", "moments"),
    [
        # 2:30 does not exist on the 25th of March: the job runs when the hour is over.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2040-03-24T00:00",
            ("2040-03-24T01:30", "2040-03-25T01:00", "2040-03-26T00:30"),
        ),
        # 2:30 comes twice on the 28th of October: the job runs once.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2040-10-27T00:00",
            ("2040-10-27T00:30", "2040-10-28T01:30", "2040-10-29T01:30"),
        ),
        (
            *("30 2 * * *", "America/Los_Angeles", "2040-03-10T08:00"),
            ("2040-03-10T10:30", "2040-03-11T10:00", "2040-03-12T09:30"),
        ),
        (
            *("30 1 * * *", "America/Los_Angeles", "2040-11-03T07:00"),
            ("2040-11-03T08:30", "2040-11-04T09:30", "2040-11-05T09:30"),
        ),
    ],
)
def test_daylight_saving_neither_skips_nor_doubles_a_night(
    simulate: Open, cron: str, zone: str, start: str, moments: Sequence[str]
) -> None:
    """Three nights, three jobs, also at a time that the clock skips or shows twice."""
    run = simulate(cron, zone, *at(start))
    for _ in range(3):  # from midnight to four
        run.run_until(run.now + 4 * HOUR, step=HALF_AN_HOUR)
        run.now += 20 * HOUR
    assert run.ticks("sample") == at(*moments)
    assert run.misses("sample") == []


def test_an_outage_is_made_up_for_once(simulate: Open) -> None:
    """Of a day of missed hours the latest gets its job; the rest is counted, in the history and in the table."""
    told: list[Record] = []
    run = simulate("0 * * * *", "UTC", NOON)
    run.media.listen(told.append)
    run.run_until(NOON + HALF_AN_HOUR, step=HALF_AN_HOUR)
    run.run_until(NOON + 2 * HOUR, step=HALF_AN_HOUR)
    run.outage(NOON + DAY + 10 * timedelta(minutes=1))
    run.run_until(run.now + 2 * HOUR, step=timedelta(minutes=10))

    later = [NOON + DAY + number * HOUR for number in range(3)]
    assert run.ticks("sample") == [NOON, NOON + HOUR, *later]
    (miss,) = run.misses("sample")
    assert (miss.status, miss.attempt, miss.job_id) == (AttemptStatus.SKIPPED, 0, None)
    assert miss.result is not None
    assert miss.result["figures"]["missed"] == 23
    (missed,) = [each for each in told if isinstance(each, ScheduleMissed)]
    assert (missed.missed, missed.first, missed.last) == (23, NOON + 2 * HOUR, NOON + DAY)
    (row,) = schedules_of(run.media).list({}, now=run.now)
    assert (row.missed, row.missed_in_all, row.last_moment) == (23, 23, later[-1])


def test_what_dagster_gives_up_is_made_up_for(simulate: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment whose evaluation failed, as when the database is away, is not tried again by Dagster."""
    run = simulate("0 3 * * *", "UTC", NOON)
    run.look()
    schedules = type(schedules_of(run.media))
    with monkeypatch.context() as patch:
        patch.setattr(schedules, "ask", None)  # calling it fails
        run.now = NOON + 15 * HOUR
        with pytest.raises(TypeError):
            run.look()
    assert run.ticks("sample") == []
    run.now += timedelta(minutes=4)
    run.look()
    assert run.ticks("sample") == []  # Dagster is given its time
    run.now += timedelta(minutes=2)
    run.look()
    run.look()
    assert run.ticks("sample") == [NOON + 15 * HOUR]
    assert len(run.misses("sample")) == 1


def test_switching_off_and_on_is_no_miss(simulate: Open) -> None:
    """What lies between is neither asked for nor counted."""
    run = simulate("0 * * * *", "UTC", NOON)
    run.look()
    run.switch("sample", on=False)
    run.now += timedelta(minutes=1)
    run.run_until(NOON + 5 * HOUR, step=HOUR)
    assert run.ticks("sample") == [NOON]
    assert [each.is_on for each in schedules_of(run.media).list(switches_of(run.instance), now=run.now)] == [False]
    run.now += HALF_AN_HOUR
    run.switch("sample", on=True)
    run.run_until(NOON + 7 * HOUR, step=HALF_AN_HOUR)
    assert run.ticks("sample") == [NOON, NOON + 6 * HOUR]
    assert run.misses("sample") == []


def test_other_times_by_settings_are_no_miss(simulate: Open) -> None:
    """Moments that the new cron would have had before it was set were not missed."""
    run = simulate("0 3 * * *", "UTC", NOON)
    run.look()
    job_type = next(iter(run.media.registry))
    for schedule in run.media.registry.schedules(run.media.settings).values():
        hourly = type(schedule)("0 * * * *")
        asked = schedules_of(run.media).ask(job_type, hourly, now=NOON + 10 * HOUR + HALF_AN_HOUR)
        assert asked.job is None
        asked = schedules_of(run.media).ask(job_type, hourly, now=NOON + 11 * HOUR, moment=NOON + 11 * HOUR)
        assert asked.job is not None
    assert run.misses("sample") == []


@pytest.mark.parametrize("wrong", [timedelta(days=400), -timedelta(days=400), timedelta(minutes=50)])
def test_a_clock_that_was_wrong_stops_nothing(simulate: Open, wrong: timedelta) -> None:
    """Whether it went ahead or behind: once it is right, the schedule goes on, and no moment runs twice."""
    run = simulate("0 * * * *", "UTC", NOON)
    run.run_until(NOON + 2 * HOUR, step=HALF_AN_HOUR)
    right = run.now
    run.now += wrong
    run.run_until(run.now + 2 * HOUR, step=HALF_AN_HOUR)
    run.now = right
    run.run_until(right + 6 * HOUR + timedelta(minutes=20), step=timedelta(minutes=10))
    ticks = run.ticks("sample")
    assert len(set(ticks)) == len(ticks)
    assert {right + number * HOUR for number in range(2, 7)} <= set(ticks)


def test_a_short_week(simulate: Open) -> None:
    """A night that skips 2:30, then a day without power: each night has one job, the missed one too."""
    run = simulate("30 2 * * *", "America/Los_Angeles", *at("2040-03-10T08:00"))
    run.run_until(run.now + 2 * DAY, step=HALF_AN_HOUR)
    run.outage(run.now + 28 * HOUR)
    run.run_until(run.now + 2 * DAY, step=HALF_AN_HOUR)
    assert run.ticks("sample") == at(
        *("2040-03-10T10:30", "2040-03-11T10:00", "2040-03-13T09:30", "2040-03-14T09:30", "2040-03-15T09:30")
    )
    (miss,) = run.misses("sample")
    assert "was due 2 times, from 2040-03-12 09:30 to 2040-03-13 09:30 UTC" in (miss.error or "")


def test_several_at_once_make_up_for_it_once(simulate: Open) -> None:
    """Two daemons that look at the same moment: one job, one row."""
    run = simulate("0 3 * * *", "UTC", NOON)
    run.look()
    later = NOON + 2 * DAY
    switches = switches_of(run.instance)
    made = [make_up(run.media, switches, later), make_up(run.media, switches, later)]
    assert [len(each) for each in made] == [1, 0]
    assert len(run.media.history.jobs.list(JobFilter())) == len(run.misses("sample")) == 1


def test_what_a_breaker_held_back_is_no_miss(simulate: Open) -> None:
    """While a job waits behind an open breaker, moments pass by; once it is closed, that job is all there is to do."""
    run = simulate("0 * * * *", "UTC", NOON)
    run.look()
    run.media.breakers.open("sample", reason="a test")
    run.now += HALF_AN_HOUR
    run.run_until(NOON + 5 * HOUR, step=HALF_AN_HOUR)
    run.media.breakers.close("sample")
    run.run_until(NOON + 7 * HOUR, step=HALF_AN_HOUR)
    assert run.ticks("sample") == [NOON + hours * HOUR for hours in (0, 1, 5, 6)]
    assert run.misses("sample") == []
