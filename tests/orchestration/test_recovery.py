"""What becomes of runs whose process, daemon or code server was killed, and of those that were terminated."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from typing_extensions import override

from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, utc_now
from mediajobs_dagster.orchestration.recovery import recover_runs
from mediajobs_dagster.orchestration.termination import was_terminated
from tests.clips import Clips
from tests.history.factories import an_attempt, let_pass
from tests.orchestration.conftest import DagsterPlatform

THUMB = Thumbnail.name
OpenDagster = Callable[..., DagsterPlatform]


def make_run(platform: DagsterPlatform, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    """A run of the thumbnails' job that nobody carries out."""
    job = platform.definitions.resolve_job_def(THUMB)
    run = platform.instance.create_run_for_job(job, tags=tags)
    if status is not dg.DagsterRunStatus.NOT_STARTED:
        kind = DagsterEventType.RUN_STARTING if status is dg.DagsterRunStatus.STARTING else DagsterEventType.RUN_START
        report(platform, run, kind)
    return run


def report(platform: DagsterPlatform, run: dg.DagsterRun, kind: DagsterEventType) -> None:
    """Tell Dagster that something happened to a run."""
    event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
    platform.instance.report_dagster_event(event, run.run_id)


def status_of(platform: DagsterPlatform, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    """What Dagster says of it now."""
    found = platform.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def an_ended_attempt(platform: DagsterPlatform, run: dg.DagsterRun, ended: datetime) -> None:
    """An attempt of that run, over since then."""
    times = {"started_at": ended, "created_at": ended, "completed_at": ended}
    platform.history.attempts.record(an_attempt(run_id=run.run_id, job_name=THUMB, **times))


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Let recovery see a later time by the database's clock."""
    monkeypatch.setattr(History, "now", lambda _: utc_now() + by)


def test_a_run_killed_after_its_last_attempt_is_closed(
    dagster_platform: DagsterPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lease is left that could tell: it is given some time to report its end, and closed then."""
    platform = dagster_platform
    run = make_run(platform, dg.DagsterRunStatus.STARTED, **{"mediajobs/dispatch": "gone"})
    an_ended_attempt(platform, run, utc_now())
    later(monkeypatch, timedelta(seconds=100))
    recover_runs(platform.media, platform.instance)
    assert status_of(platform, run) is dg.DagsterRunStatus.STARTED

    later(monkeypatch, timedelta(seconds=140))
    recover_runs(platform.media, platform.instance)
    assert status_of(platform, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_by_hand_may_look_for_its_work_as_long_as_it_says_so(
    dagster_platform: DagsterPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it holds a job it asks the storage about every subject of its day, for an hour if need be."""
    platform = dagster_platform
    run = make_run(platform, dg.DagsterRunStatus.STARTED)
    searching = {"mediajobs/searching_at": f"{time.time() + 3600:.3f}"}
    platform.instance.add_run_tags(run.run_id, searching)
    later(monkeypatch, timedelta(minutes=61))
    recover_runs(platform.media, platform.instance)
    assert status_of(platform, run) is dg.DagsterRunStatus.STARTED

    later(monkeypatch, timedelta(minutes=63))
    recover_runs(platform.media, platform.instance)
    assert status_of(platform, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_that_holds_jobs_or_is_not_ours_is_left_alone(
    dagster_platform: DagsterPlatform, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it holds a job, its lease tells; of other programs' runs nothing is known here."""
    platform = dagster_platform
    upload = platform.register(clips.landscape())
    ours = make_run(platform, dg.DagsterRunStatus.STARTED)
    request = platform.registry[THUMB].request(upload, trace_id="a" * 32)
    platform.history.jobs.enqueue([request], dispatch_id=f"{ours.run_id}/{THUMB}", lease_s=3600 * 24)
    foreign = platform.instance.create_run_for_job(_foreign_job())
    report(platform, foreign, DagsterEventType.RUN_START)
    later(monkeypatch, timedelta(hours=1))
    recover_runs(platform.media, platform.instance)
    assert {status_of(platform, run) for run in (ours, foreign)} == {dg.DagsterRunStatus.STARTED}


class Note(Thumbnail):
    """A text about a video, which becomes an upload of its own."""

    name: ClassVar[str] = "test_note_v1"
    asset: ClassVar[str] = "note"

    @override
    def result_keys(self, job: Job, attempt_id: str) -> tuple[str, ...]:
        return (f"notes/{attempt_id}/note.txt",)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_what_a_dead_worker_published_is_removed(open_dagster: OpenDagster, clips: Clips, is_cancelled: bool) -> None:
    """It died before it could record its attempt; whether or not somebody cancelled the job, the object goes."""
    platform = open_dagster(types=(Note(),))
    upload = platform.add(clips.landscape(), Note.name)
    dispatch = platform.history.leases.assign(Note.name, limit=1, lease_s=60)
    assert dispatch is not None
    claim = platform.history.leases.claim(dispatch.id, run_id=None, host="gone", lease_s=0)
    assert claim is not None
    (key,) = Note().result_keys(claim.job, claim.attempt.id)
    platform.storage.put(clips.landscape(), key, content_type="text/plain")
    if is_cancelled:
        platform.history.jobs.cancel(claim.job.id)
    recover_runs(platform.media, platform.instance)
    assert list(platform.storage.list("notes/")) == []
    assert [attempt.status for attempt in platform.attempts(upload, Note.name)] == [AttemptStatus.LOST]


def _foreign_job() -> dg.JobDefinition:
    @dg.job
    def foreign() -> None:
        pass

    return foreign


def test_a_run_that_is_executed_again_is_not_taken_for_the_dead_one(open_dagster: OpenDagster, clips: Clips) -> None:
    """It carries the tags of the run before, whose dispatch it is: that lease runs out without harm to it."""
    platform = open_dagster(lease_s=0.001)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    dead = make_run(platform, dg.DagsterRunStatus.STARTED, **request.tags)
    platform.instance.report_run_failed(dead)
    again = make_run(platform, dg.DagsterRunStatus.STARTED, **request.tags, **{"dagster/parent_run_id": dead.run_id})
    recovered = recover_runs(platform.media, platform.instance)
    assert recovered.released == 1
    assert status_of(platform, again) is dg.DagsterRunStatus.STARTED
    assert platform.job(upload, THUMB).status is JobStatus.QUEUED


@pytest.mark.parametrize(("ago_s", "released"), [(0.0, 0), (90.0, 1)], ids=["just now", "long ago"])
def test_a_run_that_a_worker_took_and_did_not_start_is_given_up(
    open_dagster: OpenDagster, clips: Clips, ago_s: float, released: int
) -> None:
    """The worker died before it could say that the run had begun."""
    platform = open_dagster(lease_s=30)
    platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    platform.history.leases.renew(request.tags["mediajobs/dispatch"], lease_s=0)
    taken = {"mediajobs/taken_at": f"{time.time() - ago_s:.3f}"}
    run = make_run(platform, dg.DagsterRunStatus.STARTING, **request.tags, **taken)
    assert recover_runs(platform.media, platform.instance).released == released
    assert (status_of(platform, run) is dg.DagsterRunStatus.FAILURE) is bool(released)


@pytest.mark.parametrize(("passed_s", "released"), [(20, 0), (90, 1)], ids=["just now", "long ago"])
def test_a_run_that_was_never_handed_over_is_given_up(
    open_dagster: OpenDagster, clips: Clips, monkeypatch: pytest.MonkeyPatch, passed_s: float, released: int
) -> None:
    """The daemon was killed after it had made the run, and before it could queue it."""
    platform = open_dagster(lease_s=1)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    run = make_run(platform, dg.DagsterRunStatus.NOT_STARTED, **request.tags)
    platform.history.leases.renew(request.tags["mediajobs/dispatch"], lease_s=0)
    later(monkeypatch, timedelta(seconds=passed_s))
    assert recover_runs(platform.media, platform.instance).released == released
    assert (status_of(platform, run) is dg.DagsterRunStatus.FAILURE) is bool(released)
    assert platform.job(upload, THUMB).status is JobStatus.QUEUED


@pytest.mark.parametrize(
    ("health", "released"), [(WorkerStatus.RUNNING, 0), (WorkerStatus.UNKNOWN, 0), (WorkerStatus.FAILED, 1)]
)
def test_a_launcher_that_knows_of_a_death_is_believed(
    open_dagster: OpenDagster, clips: Clips, monkeypatch: pytest.MonkeyPatch, health: WorkerStatus, released: int
) -> None:
    """A run whose process died as it started: its launcher may say so; what it does not know means nothing."""
    platform = open_dagster(lease_s=0.001)
    platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    make_run(platform, dg.DagsterRunStatus.STARTING, **request.tags)
    launcher = type(platform.instance.run_launcher)
    monkeypatch.setattr(launcher, "supports_check_run_worker_health", True)
    monkeypatch.setattr(launcher, "check_run_worker_health", lambda *_: CheckRunHealthResult(health))
    assert recover_runs(platform.media, platform.instance).released == released


def test_a_termination_is_not_forgotten_when_the_run_starts_after_it(dagster_platform: DagsterPlatform) -> None:
    """Its start sets the run's status anew; the mark is put back, so that its end is a cancellation."""
    platform = dagster_platform
    run = make_run(platform, dg.DagsterRunStatus.STARTING)
    platform.instance.report_run_canceling(run)
    report(platform, run, DagsterEventType.RUN_START)
    found = platform.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.STARTED
    assert was_terminated(platform.instance, found)
    assert status_of(platform, run) is dg.DagsterRunStatus.CANCELING


def test_a_run_that_nobody_terminated_is_not_taken_for_one(dagster_platform: DagsterPlatform) -> None:
    """Neither while it works nor when it has failed."""
    platform = dagster_platform
    run = make_run(platform, dg.DagsterRunStatus.STARTED)
    for _ in range(2):
        found = platform.instance.get_run_by_id(run.run_id)
        assert found is not None
        assert not was_terminated(platform.instance, found)
        platform.instance.report_run_failed(run)


def on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recovery take the database for another machine's."""
    monkeypatch.setattr(History, "is_on_this_machine", property(lambda _: False))


@pytest.mark.parametrize("ahead", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
def test_no_run_is_closed_because_a_clock_is_wrong(
    dagster_platform: DagsterPlatform, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """The clock of a worker and that of the database are never compared: the run is looked at again after a while."""
    platform = dagster_platform
    on_a_cluster(monkeypatch)
    run = make_run(platform, dg.DagsterRunStatus.STARTED, **{"mediajobs/dispatch": "gone"})
    an_ended_attempt(platform, run, utc_now())
    for passed_s, status in (
        (0, dg.DagsterRunStatus.STARTED),
        (100, dg.DagsterRunStatus.STARTED),
        (121, dg.DagsterRunStatus.FAILURE),
    ):
        later(monkeypatch, ahead + timedelta(seconds=passed_s))
        recover_runs(platform.media, platform.instance)
        assert status_of(platform, run) is status


def test_a_sign_of_life_counts_whatever_the_clock_says(
    dagster_platform: DagsterPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that searches reports again and again; its clock may stand far behind."""
    platform = dagster_platform
    on_a_cluster(monkeypatch)
    run = make_run(platform, dg.DagsterRunStatus.STARTED)
    for minute in range(4):
        platform.instance.add_run_tags(run.run_id, {"mediajobs/searching_at": f"{time.time() + 10 + minute:.3f}"})
        later(monkeypatch, timedelta(hours=1, minutes=2 * minute))
        recover_runs(platform.media, platform.instance)
        assert status_of(platform, run) is dg.DagsterRunStatus.STARTED
    later(monkeypatch, timedelta(hours=1, minutes=9))
    recover_runs(platform.media, platform.instance)
    assert status_of(platform, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_that_waited_long_and_has_just_begun_is_not_given_up(
    open_dagster: OpenDagster, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its leases ran out in Dagster's queue, and the clock of its machine is behind: it gets a whole lease to renew."""
    platform = open_dagster(lease_s=30)
    on_a_cluster(monkeypatch)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    run = make_run(platform, dg.DagsterRunStatus.STARTED, **request.tags)
    later(monkeypatch, timedelta(hours=1))
    let_pass(platform.history, 31)
    assert recover_runs(platform.media, platform.instance).released == 0
    assert status_of(platform, run) is dg.DagsterRunStatus.STARTED
    assert platform.history.leases.expired_dispatches() == []  # they were renewed for it

    later(monkeypatch, timedelta(hours=1, seconds=31))
    let_pass(platform.history, 31)
    assert recover_runs(platform.media, platform.instance).released == 1
    assert status_of(platform, run) is dg.DagsterRunStatus.FAILURE
    assert platform.job(upload, THUMB).status is JobStatus.QUEUED


def test_runs_that_fail_before_they_claim_a_job_open_the_breaker(open_dagster: OpenDagster, clips: Clips) -> None:
    """Otherwise their jobs would be dispatched again and again, for ever."""
    platform = open_dagster(lease_s=30)
    platform.add(clips.landscape(), THUMB)
    for _ in range(3):
        (request,) = platform.requests(f"dispatch_{THUMB}")
        run = make_run(platform, dg.DagsterRunStatus.STARTED, **request.tags)
        platform.instance.report_run_failed(run)
        let_pass(platform.history, 31)
        assert recover_runs(platform.media, platform.instance).released == 1
    assert isinstance(platform.tick(f"dispatch_{THUMB}"), dg.SkipReason)
    rows = platform.history.attempts.list(AttemptFilter(error_code="RUN_FAILED"))
    assert [(row.job_id, row.job_name, row.status) for row in rows] == [(None, THUMB, AttemptStatus.FAILURE)] * 3
    assert len({row.run_id for row in rows}) == 3


def test_a_run_that_failed_before_it_claimed_gives_its_jobs_back_at_once(
    open_dagster: OpenDagster, clips: Clips
) -> None:
    """Its launch failed, or its code location was gone: the job does not wait for a lease of an hour."""
    platform = open_dagster(lease_s=3600)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    assert recover_runs(platform.media, platform.instance).released == 0  # the run may still be made
    run = make_run(platform, dg.DagsterRunStatus.STARTING, **request.tags)
    assert recover_runs(platform.media, platform.instance).released == 0
    platform.instance.report_run_failed(run)
    assert recover_runs(platform.media, platform.instance).released == 1
    assert platform.job(upload, THUMB).status is JobStatus.QUEUED
