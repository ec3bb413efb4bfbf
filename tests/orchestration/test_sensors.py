"""The sensors: dispatch with the breaker inside, recovery of lost leases, observation of the uploads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest

from mediajobs_dagster.history import AttemptFilter, Dispatch, JobFilter
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload, utc_now
from mediajobs_dagster.orchestration.dispatching import NoneDue, take_next
from mediajobs_dagster.orchestration.recovery import recover_runs
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.states import BreakerState
from tests.clips import Clips
from tests.orchestration.conftest import DagsterPlatform

THUMB = Thumbnail.name
SENSOR = f"dispatch_{THUMB}"
OpenDagster = Callable[..., DagsterPlatform]


def skipped(platform: DagsterPlatform, sensor: str = SENSOR) -> str:
    """Why the sensor started nothing."""
    answer = platform.tick(sensor)
    assert isinstance(answer, dg.SkipReason), answer
    return answer.skip_message or ""


def run_once(platform: DagsterPlatform) -> None:
    """One tick of the sensor, and the runs it asks for."""
    for request in platform.requests(SENSOR):
        platform.execute(THUMB, request)


def test_dispatch_skips_when_nothing_waits(dagster_platform: DagsterPlatform) -> None:
    """An empty queue is a reason to skip."""
    assert skipped(dagster_platform) == f"No {THUMB} job is due."


def test_dispatch_groups_the_jobs_of_a_trace(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Jobs of one trace go into one run, those of another into another, and none is dispatched twice."""
    platform = dagster_platform
    paths = (clips.landscape(), clips.no_audio(), clips.short())
    uploads = [platform.register(path) for path in paths]
    job_type = platform.registry[THUMB]
    platform.history.jobs.enqueue([job_type.request(upload, trace_id="a" * 32) for upload in uploads[:2]])
    platform.history.jobs.enqueue([job_type.request(uploads[2], trace_id="b" * 32)])
    requests = platform.requests(SENSOR)
    assert [request.tags["traceId"] for request in requests] == ["a" * 32, "b" * 32]
    assert ["mediajobs/subject" in request.tags for request in requests] == [False, True]
    assert skipped(platform) == f"No {THUMB} job is due."


def test_dispatch_keeps_dagsters_queue_short(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """However many traces wait, a tick asks for few runs; the backlog stays in our own table."""
    platform = dagster_platform
    upload = platform.register(clips.landscape())
    for number in range(12):
        request = platform.registry[THUMB].request(upload, trace_id=f"{number:032x}", anew=True)
        platform.history.jobs.enqueue([request])
    assert len(platform.requests(SENSOR)) == 10


def test_the_runs_of_a_folder_leave_room_for_others(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Of one trace, fewer runs wait than there may be; one that comes along gets its run although the folder waits."""
    platform = dagster_platform
    upload, job_type = platform.register(clips.landscape()), platform.registry[EditProxy.name]
    folder, newcomer = "a" * 32, "b" * 32
    request = job_type.request(upload, trace_id=folder, anew=True)
    platform.history.jobs.enqueue([request.model_copy(update={"idempotency_key": f"{each}"}) for each in range(8)])
    taken = [take_next(platform.media, platform.instance, job_type, requested=[folder] * have) for have in (3, 4, 5)]
    assert [isinstance(each, Dispatch) for each in taken] == [True, True, False]
    assert isinstance(taken[-1], NoneDue)
    assert taken[-1].is_blocked
    platform.history.jobs.enqueue([job_type.request(upload, trace_id=newcomer, anew=True)])
    found = take_next(platform.media, platform.instance, job_type, requested=[folder] * 5)
    assert isinstance(found, Dispatch)
    assert found.trace_id == newcomer


@pytest.fixture
def failing(open_dagster: OpenDagster, clips: Clips) -> tuple[DagsterPlatform, list[Upload]]:
    """Three jobs, of three traces, that will fail by a fault of the system at their first and only attempt."""
    platform = open_dagster(max_attempts=1, breaker_cooldown_s=600.0)
    uploads = [platform.register(path) for path in (clips.landscape(), clips.no_audio(), clips.short())]
    for upload in uploads:
        platform.storage.delete(upload.storage_key)
        request = platform.registry[THUMB].request(upload, trace_id=upload.trace_id, max_attempts=1)
        platform.history.jobs.enqueue([request])
    return platform, uploads


def test_breaker_opens_and_says_why(failing: tuple[DagsterPlatform, list[Upload]], clips: Clips) -> None:
    """Three jobs failed by the system: dispatch says what waits and when it goes on; one history row names them."""
    platform, uploads = failing
    run_once(platform)
    jobs = [platform.job(upload, THUMB) for upload in uploads]
    assert [job.status for job in jobs] == [JobStatus.DEAD] * 3

    assert skipped(platform) == f"No {THUMB} job is due."  # an open breaker holds nothing back while nothing waits
    platform.add(clips.matroska(), THUMB)
    reasons = {skipped(platform) for _ in range(3)}
    (reason,) = reasons
    (held,) = platform.media.held()
    assert reason == held.reason
    assert held.since is not None
    assert held.since == max(platform.attempts(upload, THUMB)[-1].completed_at for upload in uploads)
    assert reason.startswith(f"1 {THUMB} job waits: breaker open since ")
    assert " UTC (STORAGE_MISSING), next try " in reason

    (row,) = platform.history.attempts.list(AttemptFilter(statuses=(AttemptStatus.SKIPPED,)))
    assert (row.job_name, row.error_code) == (THUMB, "BREAKER_OPEN")
    assert row.error == reason
    assert set((row.result or {})["jobs"]) == {job.id for job in jobs}


def cooled_down(platform: DagsterPlatform) -> None:
    """Let the cool-down be over: the failures stay, the time they have to rest does not."""
    settings = platform.settings.model_copy(update={"breaker_cooldown_s": 0.001})
    platform.media.settings = settings


def test_breaker_lets_one_probe_job_through(failing: tuple[DagsterPlatform, list[Upload]], clips: Clips) -> None:
    """After the cool-down a single job is tried; its failure opens the breaker again, a success closes it."""
    platform, _ = failing
    run_once(platform)
    for path in (clips.matroska(), clips.odd_size(), clips.surround()):
        platform.add(path, THUMB)
    assert "3 upload_thumb_v1 jobs wait: breaker open" in skipped(platform)

    cooled_down(platform)
    (probe,) = platform.requests(SENSOR)
    assert "one job is being tried now" in skipped(platform)
    platform.execute(THUMB, probe)
    assert len(platform.requests(SENSOR)) == 2  # closed: the rest goes at once


def test_failed_probe_job_opens_the_breaker_again(failing: tuple[DagsterPlatform, list[Upload]], clips: Clips) -> None:
    """The cool-down starts anew from the probe job's failure."""
    platform, _ = failing
    run_once(platform)
    broken = platform.add(clips.matroska(), THUMB)
    platform.storage.delete(broken.storage_key)
    platform.add(clips.odd_size(), THUMB)
    before = platform.settings
    cooled_down(platform)
    (probe,) = platform.requests(SENSOR)
    platform.execute(THUMB, probe)
    platform.media.settings = before
    assert "breaker open" in skipped(platform)
    (held,) = platform.media.held()
    assert held.retry_at is not None
    failed_at = platform.attempts(broken, THUMB)[-1].completed_at
    assert failed_at is not None
    assert held.retry_at == failed_at + timedelta(seconds=600)


def test_breaker_counts_jobs_and_only_faults_of_ours(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """One job that fails three times counts once, and corrupt uploads never count."""
    platform = dagster_platform
    lost = platform.add(clips.landscape(), THUMB)
    platform.storage.delete(lost.storage_key)
    for path in (clips.text_named_mp4(), clips.empty(), clips.cut_before_index(), clips.audio_only()):
        platform.add(path, THUMB)
    platform.run_queue()
    assert platform.job(lost, THUMB).status is JobStatus.DEAD
    reading = Breaker().read(platform.history, THUMB, now=utc_now())
    assert reading.state is BreakerState.CLOSED
    assert [failed.job_id for failed in reading.failures] == [platform.job(lost, THUMB).id]


def test_failures_age_out_of_the_window(failing: tuple[DagsterPlatform, list[Upload]]) -> None:
    """An hour later the breaker is closed without a probe."""
    platform, _ = failing
    run_once(platform)
    assert Breaker().read(platform.history, THUMB, now=utc_now()).state is BreakerState.OPEN
    later = utc_now() + timedelta(hours=1, seconds=1)
    assert Breaker().read(platform.history, THUMB, now=later).state is BreakerState.CLOSED


def test_recovery_takes_back_what_a_dead_run_held(open_dagster: OpenDagster, clips: Clips) -> None:
    """A dispatch whose run never came gives its jobs back; one whose run waits its turn keeps them."""
    platform = open_dagster(lease_s=0.001)
    platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(SENSOR)
    job = platform.definitions.resolve_job_def(THUMB)
    waiting = platform.instance.create_run_for_job(job, tags=dict(request.tags))
    assert "given back unstarted: 0" in skipped(platform, "lease_recovery")

    platform.instance.report_run_failed(waiting)
    platform.history.leases.renew(request.tags["mediajobs/dispatch"], lease_s=0.0)
    assert "given back unstarted: 1" in skipped(platform, "lease_recovery")
    assert len(platform.requests(SENSOR)) == 1


def test_a_run_that_was_called_off_takes_its_jobs_with_it(open_dagster: OpenDagster, clips: Clips) -> None:
    """Whoever cancels a run while it waits its turn wants its jobs gone, not started again."""
    platform = open_dagster(lease_s=0.001)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(SENSOR)
    waiting = platform.instance.create_run_for_job(platform.definitions.resolve_job_def(THUMB), tags=dict(request.tags))
    platform.instance.report_run_canceled(waiting)
    assert "cancelled with their run: 1" in skipped(platform, "lease_recovery")
    assert platform.job(upload, THUMB).status is JobStatus.CANCELLED


def test_the_run_of_a_dead_worker_is_closed(open_dagster: OpenDagster, clips: Clips) -> None:
    """A run that stays STARTED after its worker died would hold its lane for ever: recovery reports it failed."""
    platform = open_dagster(lease_s=0.001)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(SENSOR)
    job = platform.definitions.resolve_job_def(THUMB)
    run = platform.instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    dispatch_id = request.tags["mediajobs/dispatch"]
    platform.history.leases.claim(dispatch_id, run_id=run.run_id, host="dead-host", lease_s=0.001)
    assert "lost with their worker: 1" in skipped(platform, "lease_recovery")
    closed = platform.instance.get_run_by_id(run.run_id)
    assert closed is not None
    assert closed.status is dg.DagsterRunStatus.FAILURE
    assert platform.job(upload, THUMB).status is JobStatus.FAILED


def test_recovery_records_the_attempt_of_a_dead_worker(open_dagster: OpenDagster, clips: Clips) -> None:
    """A worker that died in mid-attempt: the attempt is lost, with a manifest, and the job is tried again."""
    platform = open_dagster(lease_s=0.001)
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(SENSOR)
    platform.history.leases.claim(request.tags["mediajobs/dispatch"], run_id="gone", host="dead-host", lease_s=0.001)
    assert "lost with their worker: 1" in skipped(platform, "lease_recovery")
    (attempt,) = platform.attempts(upload, THUMB)
    assert (attempt.status, attempt.error_code) == (AttemptStatus.LOST, "WORKER_LOST")
    assert platform.manifest(upload, THUMB).metrics.host.hostname == "dead-host"
    platform.run_queue()
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED
    assert [job.attempts for job in platform.history.jobs.list(JobFilter())] == [2]


@pytest.mark.parametrize(
    ("end", "job_status"),
    [(dg.DagsterRunStatus.FAILURE, JobStatus.FAILED), (dg.DagsterRunStatus.CANCELED, JobStatus.CANCELLED)],
    ids=["failed", "cancelled"],
)
def test_attempts_of_a_run_that_is_over_are_lost_before_their_lease_ends(
    dagster_platform: DagsterPlatform,
    clips: Clips,
    end: dg.DagsterRunStatus,
    job_status: JobStatus,
) -> None:
    """Dagster knows that the process died: nobody waits a minute for the lease, only for the worker to settle.

    The clock of the machine that reported the end does not matter.
    """
    platform = dagster_platform
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(SENSOR)
    job = platform.definitions.resolve_job_def(THUMB)
    run = platform.instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    dispatch_id = request.tags["mediajobs/dispatch"]
    platform.history.leases.claim(dispatch_id, run_id=run.run_id, host="dead-host", lease_s=60.0)
    assert "lost with their worker: 0" in skipped(platform, "lease_recovery")
    if end is dg.DagsterRunStatus.FAILURE:
        platform.instance.report_run_failed(run)
    else:
        platform.instance.report_run_canceled(run)
    assert len(recover_runs(platform.media, platform.instance, settling_s=0).lost) == 1
    assert [attempt.status for attempt in platform.attempts(upload, THUMB)] == [AttemptStatus.LOST]
    assert platform.job(upload, THUMB).status is job_status


def test_uploads_are_observed_when_they_change(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """The day's uploads are an observation with count, bytes and seconds, repeated only when they change."""
    platform = dagster_platform
    upload = platform.add(clips.landscape(), THUMB)
    platform.run_queue()
    sensor = platform.definitions.resolve_sensor_def("observe_uploads")
    answer = sensor.evaluate_tick(dg.build_sensor_context(instance=platform.instance))
    (observation,) = answer.asset_events
    assert isinstance(observation, dg.AssetObservation)
    assert observation.partition == upload.created_at.date().isoformat()
    figures = {name: value.value for name, value in observation.metadata.items()}
    assert (figures["count"], figures["bytes"]) == (1, upload.bytes)
    assert figures["seconds"] == pytest.approx(3, abs=0.1)
    again = sensor.evaluate_tick(dg.build_sensor_context(instance=platform.instance, cursor=answer.cursor))
    assert again.asset_events == []
    assert "No upload since" in (again.skip_message or "")
