"""A week of schedules under Dagster's own scheduler, in seconds: `python -m tests.simulated_week`.

Only the clock is ours: Dagster's scheduler is called minute by minute with the time it should believe, on a real
instance and a real code location, and the runs it makes are carried out. The week has the night on which clocks change,
and a day on which everything is down. Printed is what each schedule asked for, and what was made up for.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._scheduler.scheduler import launch_scheduled_runs

from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Attempt, JobStatus, SubjectKind, Tick
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.internals.schedules import ScheduleInstigatorData
from mediajobs_dagster.orchestration.local_runs import LocalRuns
from mediajobs_dagster.orchestration.moments import switches_of
from mediajobs_dagster.orchestration.schedules import make_up
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs

PROJECT = Path(__file__).parents[1]
MINUTE = timedelta(minutes=1)


class _Scheduled(JobType):
    """A job of the simulation."""

    asset: ClassVar[str] = ""
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.TICK

    def plan(self, material: Material, params: Params) -> Plan:
        """Nothing but a note of the moment."""
        return Plan(steps=(Call("note", lambda bench: bench.report(at=material.subject.title)),))


def scheduled(name: str, cron: str, timezone: str) -> JobType:
    """A job type with that schedule."""
    return type(name, (_Scheduled,), {"name": name, "asset": f"{name}_asset", "schedule": Schedule(cron, timezone)})()


@dataclass
class Simulation:
    """An installation whose schedules believe that it is `now`."""

    media: MediaJobs
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    workspace: Any
    now: datetime
    iterations: dict[str, Any] = field(default_factory=dict[str, Any])
    """What Dagster's scheduler remembers while it lives."""

    def look(self) -> None:
        """What the daemon does in a minute: Dagster's scheduler, our sensor, and the runs that came of them."""
        logger = logging.getLogger("simulation")
        list(launch_scheduled_runs(self.workspace, logger, self.now, self.iterations))
        make_up(self.media, switches_of(self.instance), self.now)
        self._work()

    def _work(self) -> None:
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
            starting = dg.DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, run.job_name)
            self.instance.report_dagster_event(starting, run.run_id)
            taken = self.instance.get_run_by_id(run.run_id)
            assert taken is not None
            job = InMemoryJob(self.definitions.resolve_job_def(run.job_name))
            execute_run(job, taken, self.instance, raise_on_error=True)
        if self.media.history.jobs.waiting():  # what the sensor has queued
            LocalRuns(self.media, self.definitions, self.instance).work_off()

    def outage(self, end: datetime) -> None:
        """Nothing runs until then; the daemon that starts afterwards remembers nothing."""
        self.now = end
        self.iterations.clear()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch a schedule in the Dagster UI."""
        repository = next(iter(self.workspace.create_request_context().code_locations[0].get_repositories().values()))
        found = repository.get_schedule(f"schedule_{name}")
        if on:
            state = self.instance.start_schedule(found)
            # Dagster takes down the real time.
            began = ScheduleInstigatorData(found.cron_schedule, self.now.timestamp())
            self.instance.update_instigator_state(state.with_data(began))
        else:
            self.instance.stop_schedule(found.get_remote_origin_id(), found.selector_id, found)

    def run_until(self, end: datetime, *, step: timedelta = MINUTE) -> None:
        """Look once each step."""
        while self.now < end:
            self.look()
            self.now += step

    def ticks(self, name: str) -> list[datetime]:
        """The moments whose job was carried out, in order; fails if a job is not done."""
        jobs = list(self.media.history.jobs.iterate(JobFilter(job_type=name)))
        assert all(job.status is JobStatus.COMPLETED for job in jobs), [(job.subject_id, job.status) for job in jobs]
        return sorted(Tick.parse(job.subject_id).created_at for job in jobs)

    def misses(self, name: str) -> list[Attempt]:
        """The rows that tell of missed moments, in order."""
        return list(self.media.history.attempts.iterate(AttemptFilter(job_name=name, error_code="SCHEDULE_MISSED")))[
            ::-1
        ]


def definitions_of_simulation() -> dg.Definitions:
    """What Dagster loads as the code location: the definitions of the simulation that is open."""
    media, clock = _open[-1]
    return build_definitions(media, for_runs=True, clock=clock)


_open: list[Any] = []


@contextmanager
def simulation(home: Path, types: Sequence[JobType], start: datetime) -> Iterator[Simulation]:
    """An installation with these scheduled jobs, which nobody has looked at yet. MEDIAJOBS_HOME has to be `home`."""
    settings = Settings.load(_env_file=None, home=home, scratch_reserve_mb=1)
    with ExitStack() as stack:
        media = stack.enter_context(MediaJobs(settings, Registry(types)))
        media.check()
        instance = stack.enter_context(open_instance(settings, PROJECT))
        made: list[Simulation] = []

        def clock() -> datetime:
            return made[0].now if made else start

        _open.append((media, clock))
        stack.callback(_open.pop)
        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(
                executable_path=sys.executable,
                module_name=definitions_of_simulation.__module__,
                attribute=definitions_of_simulation.__name__,
            ),
            location_name="mediajobs",
        )
        workspace = stack.enter_context(
            create_test_daemon_workspace_context(InProcessTestWorkspaceLoadTarget(origin), instance)
        )
        definitions = build_definitions(media, for_runs=True, clock=clock)
        made.append(Simulation(media, instance, definitions, workspace, start))
        yield made[0]


# --- the table -------------------------------------------------------------------------------------------------------

_TYPES = (
    ("every_hour", "0 * * * *", "UTC"),
    ("in_the_skipped_hour", "30 2 * * *", "America/Los_Angeles"),
    ("every_night", "30 3 * * *", "America/Los_Angeles"),
    ("every_week", "0 4 * * wed", "America/Los_Angeles"),
)
_START = datetime(2040, 3, 8, 8, tzinfo=UTC)
"""A Thursday, midnight in Los Angeles; clocks change on Sunday the 11th. Dagster would purge ticks of the past."""
_OUTAGE = (_START + timedelta(days=5, hours=2), _START + timedelta(days=6, hours=8))
"""From Tuesday to Wednesday: thirty hours, so that every schedule misses a moment."""


def main() -> None:
    """Simulate the week minute by minute, and print what became of each moment."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDIAJOBS_HOME"] = folder  # Dagster's own storage reads it from there
        _print_week(Path(folder))


def _print_week(home: Path) -> None:
    with simulation(home, [scheduled(*each) for each in _TYPES], _START) as week:
        week.run_until(_OUTAGE[0])
        week.outage(_OUTAGE[1])
        week.run_until(_START + timedelta(days=7))
        zone = ZoneInfo("America/Los_Angeles")
        print(
            f"A week from {_START:%Y-%m-%d %H:%M} UTC; down from {_OUTAGE[0]:%m-%d %H:%M} to {_OUTAGE[1]:%m-%d %H:%M}."
        )
        for name, cron, timezone in _TYPES:
            ticks, misses = week.ticks(name), week.misses(name)
            print(f"\n{name} ({cron} {timezone}): ran {len(ticks)} times, each moment once")
            if len(ticks) < 20:
                for tick in ticks:
                    print(f"  {tick.astimezone(zone):%a %m-%d %H:%M %Z}  {tick:%m-%d %H:%M} UTC")
            for miss in misses:
                print(f"  missed: {miss.error}")


if __name__ == "__main__":
    main()
