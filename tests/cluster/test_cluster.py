"""Two workers of one cluster, and everything that can be taken away from them while they work."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEventType
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from redis import Redis

from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus, new_trace_id
from mediajobs_dagster.orchestration.celery.app import queue_name
from mediajobs_dagster.orchestration.s3_logs import ClusterComputeLogs
from tests.clips import Clips
from tests.cluster.checks import assert_done_exactly_once, statuses
from tests.cluster.cluster import PROJECT, SCRIPTS, Cluster
from tests.processes import is_gone
from tests.servers.postgres import start_postgres

PROXY, THUMB, ENVELOPE = EditProxy.name, Thumbnail.name, AudioEnvelope.name

pytestmark = pytest.mark.timeout(600)  # many waits, long over on most machines


@pytest.fixture(scope="module")
def test_card(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Makes a clip of so many minutes in 1080p: a small file, quickly fetched, and much to encode."""
    folder = tmp_path_factory.mktemp("test_card")

    def make(minutes: int) -> Path:
        made = folder / f"{minutes}.mp4"
        card = ["-f", "lavfi", "-i", "smptehdbars=size=1920x1080:rate=30:d=20", "-pix_fmt", "yuv420p"]
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "piece.mp4"]
        repeat = ["-stream_loop", str(minutes * 3 - 1), "-i", "piece.mp4", "-c", "copy", made.name]
        for arguments in ([*card, *encode, "-y"], repeat):
            subprocess.run([tools.ffmpeg, "-v", "error", *arguments], cwd=folder, check=True)
        return made

    return make


@pytest.fixture(scope="module")
def long_clip(test_card: Callable[[int], Path]) -> Path:
    """A clip whose encode outlasts every test."""
    return test_card(20)


def encoding(cluster: Cluster, trace_id: str) -> Attempt:
    """The proxy's attempt, once its ffmpeg writes."""

    def writing() -> Attempt | None:
        for job in cluster.jobs(trace_id):
            for attempt in cluster.attempts(job):
                made = cluster.folder.glob(f"*/scratch/worker-*/attempt-{attempt.id}/edit_proxy.mp4")
                if attempt.status is AttemptStatus.RUNNING and list(made):
                    return attempt
        return None

    return cluster.wait_for(writing, timeout_s=90)


def run_ends(cluster: Cluster, run_id: str | None, *, timeout_s: float = 90) -> dg.DagsterRun:
    """The run, once it has ended."""
    assert run_id

    def ended() -> dg.DagsterRun | None:
        run = cluster.instance.get_run_by_id(run_id)
        return run if run and run.is_finished else None

    return cluster.wait_for(ended, timeout_s=timeout_s)


def assert_log_is_readable(cluster: Cluster, attempt: Attempt) -> None:
    """From here, whichever machine carried the run out: what it told Dagster, and that it printed no more."""
    run = run_ends(cluster, attempt.run_id)
    told = cluster.instance.all_logs(run.run_id)
    assert any("ffmpeg" in entry.user_message for entry in told)
    (captured,) = [entry.dagster_event for entry in told if entry.dagster_event_type is DagsterEventType.LOGS_CAPTURED]
    assert captured
    log_key = [run.run_id, "compute_logs", captured.logs_captured_data.file_key]
    logs = cluster.instance.compute_log_manager
    assert isinstance(logs, ClusterComputeLogs)
    assert logs.is_capture_complete(log_key)
    assert not logs.get_log_data(log_key).stdout


def test_forty_jobs_survive_the_loss_of_a_machine(
    cluster: Cluster, clips: Clips, test_card: Callable[[int], Path]
) -> None:
    """One of two workers dies in mid-encode: every job is done exactly once, and the lost attempt is on record."""
    cluster.start_worker("alpha")
    cluster.start_worker("beta")
    traces = [f"{number:032x}" for number in range(1, 7)]
    for number in range(13):
        cluster.ask(clips.landscape(), PROXY, THUMB, ENVELOPE, trace_id=traces[number % len(traces)])
    long_one = cluster.ask(test_card(1), PROXY)
    attempt = encoding(cluster, long_one)
    cluster.workers[attempt.host].kill()
    jobs = cluster.wait_for_all(*traces, long_one, timeout_s=300)

    assert len(jobs) == 40
    assert_done_exactly_once(cluster, jobs)
    (lost,) = [each for job in jobs for each in cluster.attempts(job) if each.id == attempt.id]
    assert (lost.status, lost.error_code) == (AttemptStatus.LOST, "WORKER_LOST")
    others = [each for job in jobs for each in cluster.attempts(job) if each.id != lost.id]
    assert {each.host for each in others} == {"alpha", "beta"}
    # Only an attempt that came to its end has told its run of ffmpeg; the killed worker may have had others at work.
    # The first of each machine: with its last one, the killed worker may not have come to the end of the run.
    made_by_all = [each for each in others if each.status is AttemptStatus.SUCCESS]
    successes = {each.host: each for each in sorted(made_by_all, key=lambda each: each.started_at, reverse=True)}
    assert successes.keys() >= {"alpha", "beta"} - {attempt.host}
    for made in successes.values():
        assert_log_is_readable(cluster, made)
    assert run_ends(cluster, lost.run_id).status is dg.DagsterRunStatus.FAILURE
    assert len({each.run_id for job in jobs for each in cluster.attempts(job)}) >= 6 * 3


def test_a_worker_that_is_told_to_stop_hands_its_jobs_back(cluster: Cluster, long_clip: Path) -> None:
    """SIGTERM in mid-encode: within the grace time the attempt is cancelled, and another machine takes the job."""
    first = cluster.start_worker("first")
    trace_id = cluster.ask(long_clip, PROXY)
    attempt = encoding(cluster, trace_id)
    assert first.stop(timeout_s=cluster.platform.settings.shutdown_grace_s) == 0
    (job,) = cluster.jobs(trace_id)
    assert job.status is JobStatus.QUEUED
    assert statuses(cluster, job) == [AttemptStatus.CANCELLED]
    assert run_ends(cluster, attempt.run_id).status is dg.DagsterRunStatus.FAILURE
    assert cluster.ffmpegs() == []

    cluster.start_worker("second")
    again = encoding(cluster, trace_id)
    assert (again.host, again.attempt) == ("second", 2)


def test_what_does_not_end_in_the_grace_time_is_killed(cluster: Cluster, long_clip: Path) -> None:
    """A process that hangs keeps no machine from going down; its job comes back when its lease has run out."""
    stuck = cluster.start_worker("stuck", MEDIAJOBS_SHUTDOWN_GRACE_S="1")
    trace_id = cluster.ask(long_clip, PROXY)
    attempt = encoding(cluster, trace_id)
    (ffmpeg,) = cluster.ffmpegs()
    hanging = ffmpeg.parent()
    assert hanging
    hanging.suspend()
    assert stuck.stop(timeout_s=60) == 1
    cluster.wait_for(lambda: is_gone(hanging), timeout_s=60)
    ffmpeg.kill()
    (job,) = cluster.jobs(trace_id)
    cluster.wait_for(lambda: statuses(cluster, job) == [AttemptStatus.LOST], timeout_s=90)
    assert run_ends(cluster, attempt.run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_worker_takes_only_the_lanes_it_was_told(cluster: Cluster, clips: Clips) -> None:
    """A worker for the light lane makes the thumbnail, and leaves the encode to one that takes encodes."""
    cluster.start_worker("light", "--queues", "light")
    trace_id = cluster.ask(clips.landscape(), PROXY, THUMB)
    by_type = {job.job_type: job for job in cluster.jobs(trace_id)}
    cluster.wait_for(lambda: statuses(cluster, by_type[THUMB]) == [AttemptStatus.SUCCESS], timeout_s=90)
    cluster.wait_for(lambda: cluster.runs(trace_id, dg.DagsterRunStatus.STARTING), timeout_s=90)
    assert statuses(cluster, by_type[PROXY]) == []
    cluster.start_worker("heavy", "--queues", "heavy")
    jobs = cluster.wait_for_all(trace_id, timeout_s=90)
    assert_done_exactly_once(cluster, jobs)
    hosts = {job.job_type: cluster.attempts(job)[0].host for job in jobs}
    assert hosts == {THUMB: "light", PROXY: "heavy"}


def test_the_health_check_of_the_compose_file_knows_a_living_worker(cluster: Cluster) -> None:
    """It answers for a worker that is up, and for no other."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    kind, check = compose["services"]["worker"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    command = check.replace("$$(hostname)", "$WORKER").replace("$$", "$").replace("celery", str(SCRIPTS / "celery"), 1)
    cluster.start_worker("alpha")
    assert cluster.start("health", "sh", "-c", command, WORKER="alpha").popen.wait(90) == 0
    assert cluster.start("health", "sh", "-c", command, WORKER="omega").popen.wait(90) != 0


def test_a_run_terminated_in_mid_ffmpeg_is_cancelled(cluster: Cluster, long_clip: Path) -> None:
    """Terminated from the UI: ffmpeg is gone, attempt and job are cancelled, and the worker takes the next run."""
    cluster.start_worker("alpha", "--concurrency", "1")
    trace_id = cluster.ask(long_clip, PROXY)
    attempt = encoding(cluster, trace_id)
    assert attempt.run_id
    assert cluster.instance.run_coordinator.cancel_run(attempt.run_id)
    (job,) = cluster.wait_for_all(trace_id, timeout_s=90)
    assert job.status is JobStatus.CANCELLED
    assert statuses(cluster, job) == [AttemptStatus.CANCELLED]
    assert run_ends(cluster, attempt.run_id).status is dg.DagsterRunStatus.CANCELED
    assert cluster.ffmpegs() == []

    (next_one,) = cluster.wait_for_all(cluster.ask(long_clip, THUMB), timeout_s=90)
    assert next_one.status is JobStatus.COMPLETED


def test_a_run_that_no_worker_took_yet_can_be_terminated(cluster: Cluster, clips: Clips) -> None:
    """Without a worker a run waits, healthy in the eyes of run monitoring; terminated, it is never carried out."""
    trace_id = cluster.ask(clips.landscape(), THUMB)

    def sent() -> list[dg.DagsterRun]:
        # A run is starting a moment before its task is sent; terminated in that moment, its worker ends it.
        starting = cluster.runs(trace_id, dg.DagsterRunStatus.STARTING)
        return [run for run in starting if DAGSTER_CELERY_TASK_ID_TAG in run.tags]

    (run,) = cluster.wait_for(sent, timeout_s=90)
    assert cluster.instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert cluster.instance.run_coordinator.cancel_run(run.run_id)
    assert run_ends(cluster, run.run_id, timeout_s=10).status is dg.DagsterRunStatus.CANCELED

    worker = cluster.start_worker("late")
    cluster.wait_for(lambda: "was terminated before it started" in worker.log.read_text(), timeout_s=90)
    (job,) = cluster.wait_for_all(trace_id, timeout_s=90)
    assert (job.status, cluster.attempts(job)) == (JobStatus.CANCELLED, [])


def test_a_run_whose_message_is_gone_does_not_wait_for_ever(cluster: Cluster, clips: Clips) -> None:
    """As after the death of a worker that had just taken it: the jobs go to a new run once their lease is over."""
    trace_id = cluster.ask(clips.landscape(), THUMB)

    def sent() -> list[dg.DagsterRun]:
        starting = cluster.runs(trace_id, dg.DagsterRunStatus.STARTING)
        return [run for run in starting if DAGSTER_CELERY_TASK_ID_TAG in run.tags]

    (run,) = cluster.wait_for(sent, timeout_s=90)
    queue = queue_name(run.tags)
    broker = Redis.from_url(cluster.redis.url)
    cluster.wait_for(lambda: broker.llen(queue), timeout_s=30)
    assert cluster.instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    broker.delete(queue)
    assert cluster.instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND
    assert run_ends(cluster, run.run_id).status is dg.DagsterRunStatus.FAILURE
    cluster.start_worker("alpha")
    (job,) = cluster.wait_for_all(trace_id, timeout_s=90)
    assert (job.status, statuses(cluster, job)) == (JobStatus.COMPLETED, [AttemptStatus.SUCCESS])


def test_a_quarantined_machine_leaves_its_runs_to_others(cluster: Cluster, clips: Clips) -> None:
    """The same run waits in its queue until another machine takes it; nothing is lost, and no attempt is used up."""
    alpha = cluster.start_worker("alpha")
    cluster.wait_for_all(cluster.ask(clips.landscape(), THUMB), timeout_s=90)
    breakers = cluster.platform.media.breakers
    breakers.open("alpha", host=True, reason="a test")
    try:
        trace_id = cluster.ask(clips.landscape(), THUMB)
        cluster.wait_for(lambda: alpha.log.read_text().count("A run is left to other machines") > 5, timeout_s=90)
        (run,) = cluster.runs(trace_id)
        cluster.start_worker("beta")
        (job,) = cluster.wait_for_all(trace_id, timeout_s=90)
    finally:
        breakers.close("alpha", host=True)
    (attempt,) = cluster.attempts(job)
    assert (job.status, attempt.host, attempt.run_id) == (JobStatus.COMPLETED, "beta", run.run_id)


def test_a_run_that_is_delivered_twice_is_carried_out_once(cluster: Cluster, clips: Clips) -> None:
    """Redis delivers a message again when it was not acknowledged in time; the run it names stays as it is."""
    worker = cluster.start_worker("alpha")
    trace_id = cluster.ask(clips.landscape(), THUMB)
    (job,) = cluster.wait_for_all(trace_id, timeout_s=90)
    (attempt,) = cluster.attempts(job)
    run = run_ends(cluster, attempt.run_id)
    launcher = cluster.instance.run_launcher
    # Were the run still open when its task is over, nobody could close it any more.
    cluster.wait_for(lambda: launcher.check_run_worker_health(run).status is WorkerStatus.FAILED, timeout_s=30)
    events = len(cluster.instance.all_logs(run.run_id))
    launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    cluster.wait_for(lambda: "is SUCCESS already" in worker.log.read_text(), timeout_s=90)
    assert len(cluster.attempts(job)) == 1
    sent = 2  # what the launcher itself writes down
    assert len(cluster.instance.all_logs(run.run_id)) == events + sent


def test_a_killed_process_costs_an_attempt_and_no_job(cluster: Cluster, long_clip: Path) -> None:
    """A run's process dies alone: the attempt is lost, its run fails, and the same worker makes the next attempt."""
    cluster.start_worker("alpha", "--concurrency", "1")
    trace_id = cluster.ask(long_clip, PROXY)
    attempt = encoding(cluster, trace_id)
    (ffmpeg,) = cluster.ffmpegs()
    parent = ffmpeg.parent()
    assert parent
    os.kill(parent.pid, signal.SIGKILL)
    ffmpeg.kill()
    cluster.wait_for(lambda: len(cluster.attempts(cluster.jobs(trace_id)[0])) == 2, timeout_s=90)
    again = encoding(cluster, trace_id)
    (job,) = cluster.jobs(trace_id)
    assert statuses(cluster, job) == [AttemptStatus.LOST, AttemptStatus.RUNNING]
    assert again.host == "alpha"
    assert run_ends(cluster, attempt.run_id).status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize("server", ["redis", "postgres"])
def test_a_restart_of_a_server_loses_nothing(cluster: Cluster, clips: Clips, server: str) -> None:
    """Redis or PostgreSQL goes away in mid-batch and comes back: every job is done, and no run stays open."""
    workers = [cluster.start_worker("alpha"), cluster.start_worker("beta")]
    batch = new_trace_id()
    for _ in range(60):
        cluster.ask(clips.landscape(), THUMB, trace_id=batch)
    traces = [batch, *(cluster.ask(clips.landscape(), PROXY) for _ in range(4))]

    def under_way() -> bool:
        over = [job.status.is_final for job in cluster.jobs(batch)]
        return 2 <= sum(over) < len(over)

    def missed(complaint: str) -> bool:
        return any(complaint in worker.log.read_text() for worker in workers)

    cluster.wait_for(under_way, timeout_s=90)
    if server == "redis":
        cluster.redis.kill()
        cluster.wait_for(lambda: missed("Cannot connect to redis"), timeout_s=90)
        cluster.redis.start()
    else:
        cluster.postgres.stop()
        cluster.wait_for(lambda: missed("Is the server running"), timeout_s=90)
        start_postgres(cluster.postgres)
    jobs = cluster.wait_for_all(*traces, timeout_s=240)
    assert_done_exactly_once(cluster, jobs)

    cluster.wait_for(lambda: all(run.is_finished for trace in traces for run in cluster.runs(trace)), timeout_s=90)
