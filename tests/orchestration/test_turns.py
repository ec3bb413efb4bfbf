"""Runs take turns by their trace."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from mediajobs_dagster.models import new_id
from mediajobs_dagster.orchestration import tags, turns
from mediajobs_dagster.orchestration.turns import RunsTurn, RunTurns

ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mediajobs"), "media"), "upload_thumb_v1")
QUEUED, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED


def a_run(trace: str, *, lane: str = "light", priority: int = 0) -> dg.DagsterRun:
    """A run as dispatch makes it."""
    urgent = {tags.PRIORITY: str(priority)} if priority else {}
    own = {tags.TRACE_ID: trace, tags.LANE: lane, **urgent}
    return dg.DagsterRun(job_name="upload_thumb_v1", run_id=new_id(), tags=own, status=QUEUED, remote_job_origin=ORIGIN)


def order(runs: list[dg.DagsterRun], *under_way: dg.DagsterRun) -> str:
    """The traces of queued runs in the order in which they start."""
    starting = RunTurns()
    starting.see(under_way)
    return "".join(run.tags[tags.TRACE_ID] for run in starting.order(runs))


def test_queued_runs_take_turns_by_their_trace() -> None:
    """Within a priority, and within a lane: what a trace has under way elsewhere does not count."""
    folder = [a_run("a") for _ in range(3)]
    assert order([*folder, a_run("b"), a_run("b"), a_run("c")]) == "abcaba"
    assert order([*folder, a_run("b")], a_run("a")) == "baaa"
    assert order([*folder, a_run("b")], a_run("a", lane="heavy")) == "abaa"
    assert order([*folder, a_run("b"), a_run("a", priority=1), a_run("c", priority=1)], a_run("c")) == "acbaaa"


def test_a_run_without_a_trace_takes_a_turn_of_its_own() -> None:
    by_hand = [dg.DagsterRun(job_name="upload_thumb_v1", run_id=new_id(), tags={tags.PRIORITY: "soon"})] * 2
    starting = RunTurns()
    assert len(starting.order([a_run("a"), a_run("a"), *by_hand])) == 4


def test_a_trace_that_was_just_served_waits_for_the_other() -> None:
    """A folder whose run has made room has none under way, and its next run was made first."""
    starting, queued = RunTurns(), [a_run("a"), a_run("b")]
    starting.see([a_run("a")])
    starting.order(queued)
    starting.see([])
    assert [run.tags[tags.TRACE_ID] for run in starting.order(queued)] == ["b", "a"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs look each time they are asked."""
    monkeypatch.setattr(turns, "_LOOK_S", 0.0)


@pytest.mark.usefixtures("impatient")
class TestMakingRoom:
    """A run ends early when others wait for its slot, and not before they have waited for a moment."""

    def asked(self, instance: dg.DagsterInstance, runs: list[dg.DagsterRun]) -> Callable[[], list[bool]]:
        """What the runs are told when they ask."""
        asking = [RunsTurn(instance, run) for run in runs]
        return lambda: [each.is_over() for each in asking]

    def started(self, instance: dg.DagsterInstance, *runs: dg.DagsterRun) -> list[dg.DagsterRun]:
        """These runs, under way."""
        return [instance.add_run(run.with_status(STARTED)) for run in runs]

    def test_for_as_many_traces_as_wait(self) -> None:
        """The run that has been at work for longest makes room first; another one if that was not enough."""
        with dg.DagsterInstance.ephemeral() as instance:
            ask = self.asked(instance, self.started(instance, a_run("a"), a_run("a")))
            assert ask() == ask() == [False, False]
            instance.add_run(a_run("b"))
            assert ask() == [False, False]
            assert ask() == ask() == ask() == ask() == [True, False]
            assert ask() == [True, True]

    def test_only_once_for_each(self) -> None:
        """When a run has ended, whoever waits gets a moment to start before another run makes room."""
        with dg.DagsterInstance.ephemeral() as instance:
            runs = self.started(instance, a_run("a"), a_run("a"))
            ask = self.asked(instance, runs)
            instance.add_run(a_run("b"))
            assert [ask(), ask()] == [[False, False], [True, False]]
            instance.delete_run(runs[0].run_id)
            assert ask() == [True, False]
            assert ask() == [True, True]

    def test_not_for_its_own_trace_another_lane_or_what_is_less_urgent(self) -> None:
        """Nor for runs that found a slot meanwhile."""
        with dg.DagsterInstance.ephemeral() as instance:
            ask = self.asked(instance, self.started(instance, a_run("a", priority=1)))
            for other in (a_run("a", priority=1), a_run("b", lane="heavy", priority=1), a_run("b")):
                instance.add_run(other)
            assert ask() == ask() == ask() == [False]
            urgent = instance.add_run(a_run("c", priority=2))
            assert ask() == [False]
            instance.delete_run(urgent.run_id)
            assert ask() == ask() == [False]
            instance.add_run(a_run("c", priority=1))
            assert [ask(), ask()] == [[False], [True]]
