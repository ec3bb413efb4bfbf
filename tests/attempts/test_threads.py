"""Several attempts side by side: one that fails stops no other, and an interrupt stops them all at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

import psutil
import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.attempts.outcome import AttemptEnded, Interrupted
from mediajobs_dagster.attempts.threads import AttemptThreads
from mediajobs_dagster.attempts.totals import KEPT, RunTotals
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import JobType, Params
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.models import AttemptStatus, JobStatus, Progress, Upload, new_trace_id
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.listeners import Watcher
from tests.platform import Platform
from tests.processes import is_gone
from tests.servers.faulty_s3 import FaultyS3

THUMB = Thumbnail.name
Found = TypeVar("Found")
OpenPlatform = Callable[..., Platform]


class LightProxy(EditProxy):
    """A proxy of which several are made side by side, whatever the machine."""

    name: ClassVar[str] = "test_light_proxy_v1"
    asset: ClassVar[str] = "light_proxy"
    batch_size: ClassVar[int] = 20
    threads: ClassVar[int] = 1


def in_one_batch(
    platform: Platform, uploads: list[Upload], job_type: JobType, observer: Watcher, *, side_by_side: int = 3
) -> RunTotals:
    """Work off one job for each of the uploads in a single dispatch, so many at a time."""
    enqueue(platform, uploads, job_type)
    dispatch = platform.history.leases.assign(job_type.name, limit=len(uploads), lease_s=platform.settings.lease_s)
    assert dispatch is not None
    with platform.media.worker() as opened:
        worker = replace(opened, budget=replace(opened.budget, cores=float(side_by_side - 1)))
        return work_off(worker, job_type, dispatch.id, run_id="run", listeners=Listeners([observer]))


def enqueue(platform: Platform, uploads: list[Upload], job_type: JobType) -> None:
    """One job for each, all of one trace."""
    trace_id = new_trace_id()
    platform.history.jobs.enqueue([job_type.request(upload, trace_id=trace_id) for upload in uploads])


def copies(platform: Platform, clip: Path, count: int) -> list[Upload]:
    """So many uploads of the same content."""
    upload = platform.register(clip)
    return [platform.register(clip, created_at=upload.created_at) for _ in range(count)]


def statuses(platform: Platform, job_type: str) -> Counter[JobStatus]:
    """How many jobs there are of each status."""
    return Counter(job.status for job in platform.history.jobs.list(JobFilter(job_type=job_type), limit=200))


def attempt_threads() -> list[threading.Thread]:
    """The threads that make attempts now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("mediajobs-")]


def ffmpegs() -> list[psutil.Process]:
    """The ffmpegs that encode for us."""
    return list(_encoders(os.getpid()))


# --- side by side ----------------------------------------------------------------------------------------------------


class Watches(Watcher):
    """Counts the attempts that are under way, and whether two words ever came at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.outcomes: list[AttemptEnded] = []
        self.overlapped = False
        self._speaking = threading.Lock()

    def started(self, key: AttemptKey) -> None:
        with self._alone():
            self.now += 1
            self.most = max(self.most, self.now)

    def ended(self, outcome: AttemptEnded) -> None:
        with self._alone():
            self.now -= 1
            self.outcomes.append(outcome)

    def _alone(self) -> threading.Lock:
        self.overlapped = self.overlapped or self._speaking.locked()
        return self._speaking


def threads_of(outcome: AttemptEnded) -> str:
    """What its first ffmpeg was told."""
    argv = next(command.argv for command in outcome.manifest.ffmpeg_commands if command.argv[0] == "ffmpeg")
    return argv[argv.index("-threads") + 1]


def test_light_jobs_are_made_side_by_side(platform: Platform, clips: Clips) -> None:
    """As many as there are cores and one more, each with one thread; listeners hear one word at a time."""
    watches = Watches()
    totals = in_one_batch(platform, copies(platform, clips.landscape(), 12), Thumbnail(), watches)
    assert (totals.attempts, totals.succeeded, totals.failed) == (12, 12, 0)
    assert watches.most == 3
    assert not watches.overlapped
    assert {threads_of(outcome) for outcome in watches.outcomes} == {"1"}
    assert statuses(platform, THUMB) == {JobStatus.COMPLETED: 12}
    assert attempt_threads() == []
    assert platform.leftovers() == []


def test_encodes_are_made_one_by_one(platform: Platform, clips: Clips) -> None:
    """Each with all the cores there are."""
    watches = Watches()
    in_one_batch(platform, copies(platform, clips.short(), 2), EditProxy(), watches)
    assert watches.most == 1
    assert {threads_of(outcome) for outcome in watches.outcomes} == {str(granted_budget().threads())}


def test_the_setting_limits_them(open_platform: OpenPlatform, clips: Clips) -> None:
    """MEDIAJOBS_CONCURRENCY=1: one after the other."""
    platform, watches = open_platform(concurrency=1), Watches()
    in_one_batch(platform, copies(platform, clips.landscape(), 4), Thumbnail(), watches)
    assert watches.most == 1


def test_a_tally_does_not_grow_with_the_batch(platform: Platform, clips: Clips) -> None:
    """The figures are those of all, the outcomes those of the first few."""
    watches = Watches()
    uploads = copies(platform, clips.landscape(), KEPT + 5)
    totals = in_one_batch(platform, uploads, Thumbnail(), watches)
    assert len(totals.first) == KEPT
    manifests = [outcome.manifest for outcome in watches.outcomes]
    assert totals.attempts == len(manifests) == KEPT + 5
    assert totals.spent_ms == sum(each.duration_ms for each in manifests)
    assert totals.commands == sum(len(each.ffmpeg_commands) for each in manifests)
    assert totals.bytes_out == sum(each.metrics.s3_bytes_out for each in manifests)


# --- what is known of a source ---------------------------------------------------------------------------------------


def test_a_source_is_probed_once(platform: Platform, clips: Clips) -> None:
    """The second attempt at the same content knows what it holds, and says from where."""
    upload = platform.add(clips.landscape(), THUMB, EditProxy.name)
    platform.work()
    manifests = [platform.manifest(upload, name) for name in (THUMB, EditProxy.name)]
    probes = [sum(command.argv[-1] == "file:source" for command in each.ffmpeg_commands) for each in manifests]
    told = [each.input_summary["mediaInfoFrom"] for each in manifests]
    assert sorted(zip(probes, told, strict=True)) == [(0, "upload"), (1, "probe")]
    assert manifests[0].metrics.input == manifests[1].metrics.input


def test_another_content_is_probed_again(platform: Platform, clips: Clips) -> None:
    """What was known of an object that was replaced behind our back is not believed."""
    upload = platform.add(clips.landscape(), THUMB)
    platform.work()
    platform.output(upload.storage_key).write_bytes(clips.no_audio().read_bytes())
    enqueue(platform, [upload], AudioEnvelope())
    platform.work()
    manifest = platform.manifest(upload, AudioEnvelope.name)
    assert manifest.input_summary["mediaInfoFrom"] == "probe"
    assert manifest.metrics.input
    assert manifest.metrics.input.audio_codec is None
    known = platform.history.uploads.get(upload.id).media_info
    assert known
    assert known.main_audio, "what is known stays with the content that it was found in"


def test_a_cut_off_source_is_found_although_its_probe_is_known(platform: Platform, clips: Clips) -> None:
    """A probe at an address does not see that the end is missing; an attempt does."""
    whole = platform.history.uploads.get(platform.add(clips.landscape(), THUMB).id)
    platform.work()
    info = platform.history.uploads.get(whole.id).media_info
    assert info
    cut = platform.register(clips.cut_in_middle())
    platform.history.uploads.set_media_info(cut.id, info)
    totals = in_one_batch(platform, [cut], Thumbnail(), Watcher())
    assert [outcome.error and outcome.error.code for outcome in totals.failures] == ["INPUT_TRUNCATED"]


# --- faults ----------------------------------------------------------------------------------------------------------


def test_one_bad_file_stops_no_other(platform: Platform, clips: Clips) -> None:
    """Nineteen are made, one is dead, and the totals names it."""
    uploads = copies(platform, clips.landscape(), 19)
    uploads.insert(7, platform.register(clips.text_named_mp4()))
    totals = in_one_batch(platform, uploads, Thumbnail(), Watcher())
    assert (totals.attempts, totals.succeeded, totals.failed, totals.faults) == (20, 19, 1, 0)
    (failure,) = totals.failures
    assert (failure.job.subject_id, failure.verdict.status) == (uploads[7].id, JobStatus.DEAD)
    assert failure.error
    assert failure.error.blame is Blame.INPUT
    assert statuses(platform, THUMB) == {JobStatus.COMPLETED: 19, JobStatus.DEAD: 1}
    assert platform.leftovers() == []


def test_a_listener_that_raises_stops_no_attempt(
    platform: Platform, clips: Clips, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does it stop the attempt that it is told of: all are made, and what it raised is logged once."""

    class Raises(Watcher):
        def stage(self, key: AttemptKey, name: str) -> None:
            if name == "plan":
                raise ZeroDivisionError

    uploads = copies(platform, clips.landscape(), 6)
    totals = in_one_batch(platform, uploads, Thumbnail(), Raises())
    assert (totals.succeeded, totals.faults) == (6, 0)
    (complaint,) = [record for record in caplog.records if "failed on StageStarted" in record.message]
    assert "ZeroDivisionError" in complaint.message


class FillsDisk(Thumbnail):
    """A thumbnail that goes to a full disk from some moment on."""

    name: ClassVar[str] = "test_fills_disk_v1"
    asset: ClassVar[str] = "fills_disk"

    def __init__(self, is_full: threading.Event) -> None:
        self._is_full = is_full

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        made = super().plan(material, params)
        if not self._is_full.is_set():
            return made
        (first, *_) = made.steps
        assert isinstance(first.command, ffmpeg.Command)
        full = replace(first.command, outputs=(ffmpeg.Output("full", ("-c", "copy", "-f", "mpegts")),))

        def into(folder: Path) -> ffmpeg.Command:
            (folder / "full").symlink_to("/dev/full")
            return full

        return replace(made, steps=(replace(first, command=into),))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_disk_that_fills_up_in_mid_batch(open_platform: OpenPlatform, clips: Clips) -> None:
    """What was made stays; each of the rest is on record as DISK_FULL, and waits for its next attempt."""
    is_full = threading.Event()
    job_type = FillsDisk(is_full)
    platform = open_platform(registry=Registry.standard().with_types(job_type), retry_base_s=600.0)

    class Fills(Watcher):
        ended_ones = 0

        def ended(self, outcome: AttemptEnded) -> None:
            self.ended_ones += 1
            if self.ended_ones == 4:
                is_full.set()

    totals = in_one_batch(platform, copies(platform, clips.landscape(), 10), job_type, Fills())
    assert totals.attempts == 10
    assert 4 <= totals.succeeded <= 6, "two more may have been planned already"
    assert totals.faults == 10 - totals.succeeded
    assert {outcome.error and outcome.error.code for outcome in totals.failures} == {"DISK_FULL"}
    assert statuses(platform, job_type.name) == {JobStatus.COMPLETED: totals.succeeded, JobStatus.FAILED: totals.faults}
    assert platform.leftovers() == []


# --- cancelled -------------------------------------------------------------------------------------------------------


class WhenAllAreAtWork(Watcher):
    """Does something once, when so many ffmpegs are at work at the same time."""

    def __init__(self, count: int, do: Callable[[AttemptKey], object]) -> None:
        self._count, self._do = count, do
        self._working: set[str] = set()
        self.at: float | None = None
        self.pids: list[int] = []

    def progress(self, key: AttemptKey, progress: Progress) -> None:
        self._working.add(key.job_id)
        if len(self._working) >= self._count and self.at is None and len(ffmpegs()) >= self._count:
            self.pids = [process.pid for process in ffmpegs()]
            self.at = time.monotonic()
            self._do(key)


@pytest.fixture
def light(open_platform: OpenPlatform) -> Platform:
    """A platform that knows a proxy of which several are made side by side."""
    return open_platform(registry=Registry.standard().with_types(LightProxy()), lease_s=0.9)


def test_an_interrupt_stops_all_of_them_at_once(light: Platform, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in mid-batch: no ffmpeg and no thread is left or given up on, and all jobs are back in the queue."""
    monkeypatch.setattr("mediajobs_dagster.attempts.threads._STOP_S", 60.0)
    observer = WhenAllAreAtWork(3, lambda _: os.kill(os.getpid(), signal.SIGINT))
    uploads = copies(light, clips.detailed(), 6)
    with pytest.raises(KeyboardInterrupt):
        in_one_batch(light, uploads, LightProxy(), observer)
    assert observer.at is not None
    assert time.monotonic() - observer.at < 20
    assert not any(psutil.pid_exists(pid) for pid in observer.pids)
    assert len(observer.pids) == 3
    assert attempt_threads() == []
    assert statuses(light, LightProxy.name) == {JobStatus.QUEUED: 6}
    attempts = [each for upload in uploads for each in light.attempts(upload, LightProxy.name)]
    assert [(each.status, each.error_code) for each in attempts] == [(AttemptStatus.CANCELLED, "CANCELLED")] * 3
    assert all(each.manifest for each in attempts)
    assert all(job.dispatch_id is None for job in light.history.jobs.list(JobFilter(job_type=LightProxy.name)))
    assert light.leftovers() == []


def test_a_run_that_is_terminated_takes_its_jobs_along(light: Platform, clips: Clips) -> None:
    """Where the interrupt means that the run is not wanted, started and unstarted jobs alike are cancelled."""
    enqueue(light, copies(light, clips.detailed(), 4), LightProxy())
    dispatch = light.history.leases.assign(LightProxy.name, limit=4, lease_s=60)
    assert dispatch
    observer = WhenAllAreAtWork(2, lambda _: os.kill(os.getpid(), signal.SIGINT))
    with light.media.worker(after_interrupt=lambda: JobStatus.CANCELLED) as opened:
        worker = replace(opened, budget=replace(opened.budget, cores=1.0))
        with pytest.raises(KeyboardInterrupt):
            work_off(worker, LightProxy(), dispatch.id, run_id="run", listeners=Listeners([observer]))
    assert statuses(light, LightProxy.name) == {JobStatus.CANCELLED: 4}


def test_an_interrupt_that_another_thread_tells_of_is_raised_in_the_end(light: Platform, clips: Clips) -> None:
    """A thread that is not the main one gets no signal. Its attempts end, and all jobs are back in the queue."""
    enqueue(light, copies(light, clips.detailed(), 4), LightProxy())
    dispatch = light.history.leases.assign(LightProxy.name, limit=4, lease_s=60)
    assert dispatch
    stop = Cancellation()
    observer = WhenAllAreAtWork(2, lambda _: stop.cancel(Interrupted()))
    with light.media.worker() as opened:
        worker = replace(opened, budget=replace(opened.budget, cores=1.0))
        with pytest.raises(Interrupted):
            work_off(worker, LightProxy(), dispatch.id, run_id="run", listeners=Listeners([observer]), stop=stop)
    assert statuses(light, LightProxy.name) == {JobStatus.QUEUED: 4}
    assert attempt_threads() == []


def test_a_cancelled_job_ends_alone(light: Platform, clips: Clips) -> None:
    """The others, at work beside it, are made."""
    cancelled: list[str] = []

    def cancel(key: AttemptKey) -> None:
        assert key.job_id
        light.history.jobs.cancel(key.job_id)
        cancelled.append(key.job_id)

    uploads = copies(light, clips.detailed(8), 4)
    totals = in_one_batch(light, uploads, LightProxy(), WhenAllAreAtWork(3, cancel))
    assert (totals.succeeded, totals.failed, totals.faults) == (3, 1, 0)
    assert [outcome.job.id for outcome in totals.failures] == cancelled
    assert statuses(light, LightProxy.name) == {JobStatus.COMPLETED: 3, JobStatus.CANCELLED: 1}


def test_an_interrupt_ends_a_download(
    open_platform: OpenPlatform, s3_settings: Settings, faulty_s3: FaultyS3, clips: Clips
) -> None:
    """A source is let go of at the next bytes that come, whichever thread the system gives the signal to."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings)
    upload = platform.add(clips.detailed(), EditProxy.name)
    faulty_s3.slow(bytes_per_s=100_000, method="GET")

    class AtFetch(Watcher):
        def stage(self, key: AttemptKey, name: str) -> None:
            if name == "fetch":
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        platform.work(AtFetch())
    (attempt,) = platform.attempts(upload, EditProxy.name)
    assert attempt.status is AttemptStatus.CANCELLED
    assert platform.job(upload, EditProxy.name).status is JobStatus.QUEUED
    assert platform.leftovers() == []


# --- the threads themselves ------------------------------------------------------------------------------------------


def test_an_error_ends_one_thread_and_is_raised_in_the_end() -> None:
    """The others go on until there is nothing more to do."""
    left, lock, done = list(range(20)), threading.Lock(), list[int]()

    def work() -> bool:
        with lock:
            if not left:
                return False
            number = left.pop(0)
        if number == 3:
            raise ZeroDivisionError
        done.append(number)
        return True

    with pytest.raises(ZeroDivisionError):
        AttemptThreads(3, work, lambda _: None).run()
    assert len(done) == 19


def test_an_interrupt_in_a_thread_is_one_for_all() -> None:
    """A KeyboardInterrupt that is raised in one thread ends all threads."""
    stop, told = threading.Event(), list[Interrupted]()

    def end_all(why: Interrupted) -> None:
        told.append(why)
        stop.set()

    def work() -> bool:
        if threading.current_thread().name.endswith("-1"):
            raise KeyboardInterrupt
        assert stop.wait(60)
        return True

    with pytest.raises(KeyboardInterrupt):
        AttemptThreads(3, work, end_all).run()
    assert len(told) == 1
    assert attempt_threads() == []


def test_a_thread_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that hangs in the network must not use up the time that a machine has left."""
    monkeypatch.setattr("mediajobs_dagster.attempts.threads._STOP_S", 0.2)
    begun, hangs = threading.Event(), threading.Event()

    def work() -> bool:
        if threading.current_thread().name.endswith("-0"):
            assert begun.wait(60)
            raise KeyboardInterrupt
        begun.set()
        hangs.wait(120)
        return False

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        AttemptThreads(2, work, lambda _: None).run()
    assert time.monotonic() - start < 30
    hangs.set()


# --- a worker that is killed -----------------------------------------------------------------------------------------

WORKER = """
import sys
from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.system import MediaJobs

media = MediaJobs.open(_env_file=None, home=sys.argv[1], scratch_reserve_mb=1)
with media, media.worker() as worker:
    work_off(worker, media.registry["upload_edit_proxy_v1"], sys.argv[2], run_id="run", listeners=Listeners())
"""


def test_the_ffmpeg_of_a_killed_worker_is_ended_by_the_next_one(
    platform: Platform, clips: Clips, tmp_path: Path
) -> None:
    """SIGKILL leaves an ffmpeg behind: whoever sweeps the worker's scratch ends it, and nobody else."""
    platform.add(clips.detailed(), EditProxy.name)
    dispatch = platform.history.leases.assign(EditProxy.name, limit=1, lease_s=60)
    assert dispatch
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(platform.settings.home), dispatch.id])
    try:
        encoder = _wait_for(lambda: next(_encoders(process.pid), None))
        assert encoder
        encoder.suspend()  # so that it is surely at work still, however fast the machine
        process.kill()
        process.wait(10)
        bystander = subprocess.Popen(["sleep", "600"], cwd=encoder.cwd(), start_new_session=True)
        assert encoder.is_running()
        with platform.media.worker() as worker:
            assert worker.scratch
            _wait_for(lambda: is_gone(encoder))
            assert bystander.poll() is None
    finally:
        process.kill()
        process.wait(10)
    bystander.kill()
    bystander.wait(10)
    assert platform.leftovers() == []


def _encoders(parent: int) -> Iterator[psutil.Process]:
    for child in psutil.Process(parent).children():
        with suppress(psutil.Error):  # it has just ended
            if "libx264" in child.cmdline():
                yield child


def _wait_for(condition: Callable[[], Found]) -> Found:
    deadline = time.monotonic() + 90
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
