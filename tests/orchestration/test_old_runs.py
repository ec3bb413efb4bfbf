"""The clean-up of Dagster: runs go with their events and output, but none that a day's status hangs on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar

import dagster as dg
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.history_cleanup import HistoryCleanup
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import AttemptStatus, SubjectKind, Tick, new_trace_id, utc_now
from mediajobs_dagster.orchestration.old_runs import OldRuns
from tests.orchestration.conftest import DagsterPlatform

LATER = timedelta(days=40)


class Speaking(JobType):
    """One that prints."""

    name: ClassVar[str] = "speaking_v1"
    asset: ClassVar[str] = "speaking"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.TICK

    def plan(self, material: Material, params: Params) -> Plan:
        """A word on standard output."""

        def speak(bench: Bench) -> None:
            sys.stdout.write("hello\n")

        return Plan(steps=(Call("speak", speak),))


def run_three(platform: DagsterPlatform) -> list[str]:
    """Three runs of one day; returns their ids, the first one first."""
    now = utc_now().replace(microsecond=0)
    for number in range(3):
        tick = Tick(schedule=Speaking.name, created_at=now.replace(hour=1, second=number))
        platform.history.jobs.enqueue([Speaking().request(tick, trace_id=new_trace_id())])
        platform.run_queue()
    return [run.run_id for run in platform.instance.get_runs()][::-1]


def status_of_days(platform: DagsterPlatform) -> set[str]:
    """The days of the asset that look as if they were made."""
    return set(platform.instance.get_materialized_partitions(dg.AssetKey(Speaking.asset)))


def test_runs_go_and_the_latest_of_each_day_stays(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """With events and output; the asset keeps its latest materialization and the status of its days."""
    platform = open_dagster(types=(Speaking(),))
    instance, runs = platform.instance, run_three(platform)
    days, logs = status_of_days(platform), platform.settings.home / "dagster" / "logs"
    assert len(days) == 1
    assert {path.name for path in logs.rglob("*") if path.name in runs} == set(runs)
    other = instance.create_run_for_job(_foreign_job())
    instance.report_run_canceled(other)

    sweeper = OldRuns(instance, platform.registry)
    assert sum(each.rows for each in sweeper.sweep("runs", utc_now() - LATER, dry_run=False)) == 0
    dry = sum(each.rows for each in sweeper.sweep("runs", utc_now() + LATER, dry_run=True))
    assert len(instance.get_runs()) == 4
    gone = sum(each.rows for each in sweeper.sweep("runs", utc_now() + LATER, dry_run=False))
    assert dry == gone == 2
    assert {run.run_id for run in instance.get_runs()} == {runs[-1], other.run_id}
    assert not instance.all_logs(runs[0])
    assert {path.name for path in logs.rglob("*") if path.name in runs} == {runs[-1]}
    assert status_of_days(platform) == days
    latest = instance.get_latest_materialization_event(dg.AssetKey(Speaking.asset))
    assert latest is not None
    assert latest.run_id == runs[-1]


def _foreign_job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None:
        pass

    @dg.job
    def of_somebody_else() -> None:
        nothing()

    return of_somebody_else


def test_the_job_cleans_up_dagster_too(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """As a run like any other, with the figures of each kind in its row."""
    kept_days = 0.000001
    platform = open_dagster(types=(Speaking(),), retention=(f"speaking_v1={kept_days:f}", f"runs={kept_days:f}"))
    runs = run_three(platform)
    last = platform.history.attempts.list(AttemptFilter(job_name=Speaking.name))[0]
    assert last.completed_at is not None
    while utc_now() - last.completed_at < timedelta(days=2 * kept_days):  # until all of them are old enough
        time.sleep(0.01)
    platform.history.jobs.enqueue(
        [HistoryCleanup().request(Tick(schedule="history_cleanup", created_at=utc_now()), trace_id=new_trace_id())]
    )
    platform.run_queue()
    (attempt,) = platform.history.attempts.list(AttemptFilter(job_name="history_cleanup"))
    assert attempt.status is AttemptStatus.SUCCESS, attempt.error
    assert attempt.result is not None
    figures = attempt.result["figures"]
    assert (figures["attempts"]["rows"], figures["jobs"]["rows"], figures["runs"]["rows"]) == (3, 3, 2)
    assert figures["attempts"]["bytes"] > 0
    assert platform.history.jobs.list(JobFilter(job_type=Speaking.name)) == []
    assert runs[-1] in {run.run_id for run in platform.instance.get_runs()}
    assert platform.history.statistics.of(AttemptFilter(job_name=Speaking.name)).attempts == 3


def test_ticks_of_other_code_stay(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """Ours go; those of a schedule with the same name in another code location do not."""
    platform = open_dagster(types=(Speaking(),))
    instance, long_ago = platform.instance, (utc_now() - LATER).timestamp()

    def ticked(location: str) -> RemoteInstigatorOrigin:
        code = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(module_name="some", attribute="code"), location_name=location
        )
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(code, "__repository__"), "schedule_speaking_v1")
        selector = f"selector of {location}"
        running = InstigatorState(
            origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("0 * * * *")
        )
        instance.add_instigator_state(running)
        instance.create_tick(
            TickData(
                origin.get_id(),
                "schedule_speaking_v1",
                InstigatorType.SCHEDULE,
                TickStatus.SKIPPED,
                long_ago,
                selector_id=running.selector_id,
            )
        )
        assert len(instance.get_ticks(origin.get_id(), running.selector_id)) == 1, selector
        return origin

    states = {name: ticked(name) for name in ("mediajobs", "elsewhere")}
    rows = [each.rows for each in OldRuns(instance, platform.registry).sweep("ticks", utc_now(), dry_run=False)]
    assert sum(rows) == 1
    ids = {state.instigator_origin_id: state.selector_id for state in instance.all_instigator_state()}
    left = {name: len(instance.get_ticks(each.get_id(), ids[each.get_id()])) for name, each in states.items()}
    assert left == {"mediajobs": 0, "elsewhere": 1}
