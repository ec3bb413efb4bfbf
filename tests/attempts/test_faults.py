"""Faults of the system: tried again, then dead with the cause named; each attempt leaves its row and its manifest."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from typing_extensions import override

from mediajobs_dagster.attempts import outcome
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.attempts.withdrawal import remove
from mediajobs_dagster.errors import Blame, DatabaseBusyError, DatabaseUnavailableError, StorageUnavailableError
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus, Progress, Upload
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.local import LocalStorage
from tests.clips import Clips
from tests.history.factories import let_pass
from tests.listeners import Watcher
from tests.platform import AllGone, Platform
from tests.servers.faulty_s3 import FaultyS3

THUMB, PROXY, ENVELOPE = Thumbnail.name, EditProxy.name, AudioEnvelope.name
OpenPlatform = Callable[..., Platform]


def assert_dies(
    platform: Platform, upload: Upload, job_type: str, code: str, *, observer: Watcher | None = None
) -> None:
    """All its attempts, each with its row and manifest, then dead; nothing published, nothing left behind."""
    allowed = platform.settings.max_attempts
    for _ in range(allowed):
        platform.work(*filter(None, [observer]))
    job = platform.job(upload, job_type)
    attempts = platform.attempts(upload, job_type)
    assert (job.status, job.error_code) == (JobStatus.DEAD, code), attempts[-1].error
    assert [(attempt.attempt, attempt.status) for attempt in attempts] == [
        (number, AttemptStatus.FAILURE) for number in range(1, allowed + 1)
    ]
    for attempt in attempts:
        assert attempt.blame in (Blame.SYSTEM, Blame.EXTERNAL)
        assert attempt.manifest is not None
        assert attempt.manifest["errors"][0]["code"] == code
    platform.manifest(upload, job_type)
    assert platform.leftovers() == []
    assert platform.work() == []


def is_ffmpeg(process: psutil.Process) -> bool:
    """Whether it is an ffmpeg."""
    try:
        return "ffmpeg" in process.name()
    except psutil.NoSuchProcess:
        return False


class OnFirstProgress(Watcher):
    """Does something to the running ffmpeg when it first reports."""

    def __init__(self, do: Callable[[psutil.Process], object]) -> None:
        self._do, self._done = do, set[int]()

    def progress(self, key: AttemptKey, progress: Progress) -> None:
        for process in psutil.Process().children():
            if is_ffmpeg(process) and process.pid not in self._done:
                self._done.add(process.pid)
                self._do(process)


def test_missing_object(platform: Platform, clips: Clips) -> None:
    """An object that was deleted behind our back: the reason says what helps."""
    upload = platform.add(clips.landscape(), PROXY)
    platform.storage.delete(upload.storage_key)
    assert_dies(platform, upload, PROXY, "STORAGE_MISSING")
    (*_, last) = platform.attempts(upload, PROXY)
    assert last.error
    assert last.error.startswith(f"The content of {upload.title} is gone. ")
    assert "Add the same file again" in last.error


@pytest.mark.parametrize(
    ("job_type", "fault", "code"),
    [
        (THUMB, lambda s3, key: s3.answer(403, key=key), "STORAGE_DENIED"),
        (PROXY, lambda s3, key: s3.answer(403, key=key), "STORAGE_DENIED"),
        (THUMB, lambda s3, key: s3.answer(503, key=key), "STORAGE_UNAVAILABLE"),
        (PROXY, lambda s3, key: s3.answer(503, key=key), "STORAGE_UNAVAILABLE"),
        (THUMB, lambda s3, key: s3.answer(503, key=key, method="GET"), "STORAGE_UNAVAILABLE"),
        (THUMB, lambda s3, key: s3.drop(key=key), "STORAGE_UNAVAILABLE"),
        (PROXY, lambda s3, key: s3.drop(key=key), "STORAGE_UNAVAILABLE"),
        (PROXY, lambda s3, key: s3.drop(key=key, method="GET", after_bytes=1000), "STORAGE_UNAVAILABLE"),
    ],
)
def test_s3_fails(
    open_platform: OpenPlatform,
    s3_settings: Settings,
    faulty_s3: FaultyS3,
    clips: Clips,
    job_type: str,
    fault: Callable[[FaultyS3, str], None],
    code: str,
) -> None:
    """S3 that denies, is out of service, or drops connections: read by range (thumbnail) or fetched whole (proxy)."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    at_once = {"retry_base_s": 0.0, "outage_limit_s": 0.0, "s3_max_attempts": 1, "max_attempts": 2}
    platform = open_platform(**settings | at_once)
    upload = platform.add(clips.landscape(), job_type)
    fault(faulty_s3, upload.storage_key)
    assert_dies(platform, upload, job_type, code)
    assert s3_settings.s3_secret_access_key
    recorded = str([attempt.to_json() for attempt in platform.attempts(upload, job_type)])
    assert "X-Amz-Signature" not in recorded
    assert s3_settings.s3_secret_access_key.get_secret_value() not in recorded


def test_a_job_outlasts_an_outage_of_the_storage(
    open_platform: OpenPlatform, s3_settings: Settings, faulty_s3: FaultyS3, clips: Clips
) -> None:
    """More attempts than it was granted fail, and none of them counts."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings | {"outage_base_s": 0.001, "s3_max_attempts": 1, "max_attempts": 2})
    upload = platform.add(clips.landscape(), THUMB)
    faulty_s3.answer(503, key=upload.storage_key, times=4)
    for _ in range(5):
        platform.work()
        let_pass(platform.history, 1)
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED
    failed = [AttemptStatus.FAILURE] * 4
    assert [attempt.status for attempt in platform.attempts(upload, THUMB)] == [*failed, AttemptStatus.SUCCESS]


def test_a_job_outlasts_a_storage_folder_that_is_gone(open_platform: OpenPlatform, clips: Clips) -> None:
    """As when its disk is not mounted: that uses up no attempts, and the job goes on once the folder is back."""
    platform = open_platform(outage_base_s=0.001, outage_limit_s=3600.0, max_attempts=2)
    upload = platform.add(clips.landscape(), THUMB)
    folder = Path(platform.storage.place("thumbs")).parent
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    for _ in range(4):
        platform.work()
        let_pass(platform.history, 1)
    assert {attempt.error_code for attempt in platform.attempts(upload, THUMB)} == {"STORAGE_UNAVAILABLE"}
    assert "is its disk mounted" in (platform.attempts(upload, THUMB)[-1].error or "")
    elsewhere.rename(folder)
    platform.work()
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED
    assert len(platform.attempts(upload, THUMB)) == 5


def test_a_job_is_given_up_when_an_outage_has_lasted_for_too_long(
    open_platform: OpenPlatform, s3_settings: Settings, faulty_s3: FaultyS3, clips: Clips
) -> None:
    """Its last attempt says so; until then it waits for minutes, not seconds."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings | {"outage_limit_s": 0.001, "s3_max_attempts": 1, "max_attempts": 9})
    upload = platform.add(clips.landscape(), THUMB)
    faulty_s3.answer(503, key=upload.storage_key)
    platform.work()
    job = platform.job(upload, THUMB)
    assert job.status is JobStatus.FAILED
    assert job.not_before is not None
    assert 14 < (job.not_before - job.updated_at).total_seconds() <= 30
    let_pass(platform.history, 30)
    (ended,) = platform.work()
    assert platform.job(upload, THUMB).status is JobStatus.DEAD
    attempt = platform.attempts(upload, THUMB)[-1]
    assert attempt.error is not None
    assert "2 attempts, so the job is given up" in attempt.error
    assert ended.error is not None
    assert attempt.error == ended.error.message


def test_thumbnail_survives_dropped_connections(
    open_platform: OpenPlatform, s3_settings: Settings, faulty_s3: FaultyS3, clips: Clips
) -> None:
    """A part whose connection drops in the middle is asked for again, as often as the settings say."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings | {"s3_max_attempts": 4})
    upload = platform.add(clips.landscape(), THUMB)
    faulty_s3.drop(key=upload.storage_key, method="GET", after_bytes=1000, times=3)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS


@pytest.mark.parametrize("known", [True, False])
def test_a_source_on_s3_whose_end_is_missing(
    open_platform: OpenPlatform, s3_settings: Settings, clips: Clips, tmp_path: Path, *, known: bool
) -> None:
    """It is refused although the frame that would be read is there, as it is where the whole file is at hand."""
    platform = open_platform(**s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"}))
    whole = platform.add(clips.faststart(), THUMB)
    platform.work()
    cut_off = tmp_path / "cut_off.mp4"
    cut_off.write_bytes(clips.faststart().read_bytes()[:-10_000])
    upload = platform.add(cut_off, THUMB)
    if known:
        info = platform.history.uploads.get(whole.id).media_info
        assert info
        platform.history.uploads.set_media_info(upload.id, info)
    (outcome,) = platform.work()
    assert outcome.error is not None
    assert outcome.error.code == "INPUT_TRUNCATED"
    assert "lacks 10000 bytes" in outcome.error.message
    assert platform.job(upload, THUMB).status is JobStatus.DEAD


def test_full_scratch_disk_is_refused_beforehand(open_platform: OpenPlatform, clips: Clips) -> None:
    """A disk that cannot hold the job refuses it before anything is run."""
    platform = open_platform(scratch_reserve_mb=2**40)
    upload = platform.add(clips.landscape(), PROXY)
    assert_dies(platform, upload, PROXY, "DISK_FULL")
    assert all(command.argv[0] != "ffmpeg" for command in platform.manifest(upload, PROXY).ffmpeg_commands)


def test_machine_without_ffmpeg(open_platform: OpenPlatform, clips: Clips, tmp_path: Path) -> None:
    """A worker that has no ffmpeg fails its attempts, on record, rather than not starting at all."""
    platform = open_platform(ffmpeg_path=tmp_path / "no-ffmpeg", max_attempts=2)
    assert_dies(platform, platform.add(clips.landscape(), PROXY), PROXY, "FFMPEG_MISSING")


def test_machine_without_scratch(open_platform: OpenPlatform, clips: Clips, tmp_path: Path) -> None:
    """A worker that has no folder for working files fails its attempts, on record."""
    (tmp_path / "file").touch()
    platform = open_platform(scratch_dir=tmp_path / "file", max_attempts=2)
    assert_dies(platform, platform.add(clips.landscape(), PROXY), PROXY, "SETTINGS_INVALID")


def test_ffmpeg_killed_in_mid_run(platform: Platform, clips: Clips) -> None:
    """Somebody kills ffmpeg with SIGKILL: the record still tells its CPU time and its peak of memory."""
    upload = platform.add(clips.detailed(), PROXY)
    assert_dies(platform, upload, PROXY, "FFMPEG_KILLED", observer=OnFirstProgress(lambda process: process.kill()))
    killed = platform.manifest(upload, PROXY).ffmpeg_commands[-1]
    assert killed.exit_code == -signal.SIGKILL
    assert killed.cpu_seconds > 0
    assert killed.max_rss_mb is not None
    assert killed.max_rss_mb > 5


def test_ffmpeg_that_hangs(open_platform: OpenPlatform, clips: Clips) -> None:
    """An ffmpeg that makes no progress is stopped."""
    platform = open_platform(stall_timeout_s=1.0, max_attempts=2)
    upload = platform.add(clips.detailed(), PROXY)
    assert_dies(platform, upload, PROXY, "STALLED", observer=OnFirstProgress(lambda process: process.suspend()))


def test_ffmpeg_that_takes_too_long(open_platform: OpenPlatform, clips: Clips) -> None:
    """An ffmpeg over its time limit is stopped."""
    platform = open_platform(job_timeout_s=0.3, max_attempts=2)
    assert_dies(platform, platform.add(clips.detailed(), PROXY), PROXY, "TIMEOUT")


class LocksDatabase(Watcher):
    """Holds the database's write lock from the first word of ffmpeg, for so long or until it is let go."""

    def __init__(self, path: Path, hold_s: float | None = None) -> None:
        self._path, self._hold_s, self._connection = path, hold_s, None

    def stage(self, key: AttemptKey, name: str) -> None:
        if name == "ffmpeg" and self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._connection.execute("BEGIN IMMEDIATE")
            if self._hold_s is not None:
                threading.Timer(self._hold_s, self.let_go).start()

    def let_go(self) -> None:
        """Give the lock back."""
        assert self._connection is not None
        self._connection.rollback()
        self._connection.close()


def test_database_locked_for_a_while_loses_nothing(open_platform: OpenPlatform, clips: Clips) -> None:
    """The work is done and the database is locked: the record is written as soon as the lock is gone."""
    platform = open_platform(database_timeout_s=0.2, lease_s=20.0)
    upload = platform.add(clips.landscape(), ENVELOPE)
    platform.work(LocksDatabase(platform.settings.home / "mediajobs.db", 2.0))
    assert platform.job(upload, ENVELOPE).status is JobStatus.COMPLETED
    assert len(platform.attempts(upload, ENVELOPE)) == 1


def test_database_locked_for_good_ends_as_lost(open_platform: OpenPlatform, clips: Clips) -> None:
    """Locked beyond the lease, at every attempt: each is recovered as lost, the last leaves the job dead."""
    platform = open_platform(database_timeout_s=0.5, lease_s=0.6)
    upload = platform.add(clips.landscape(), ENVELOPE)
    for _ in range(3):
        lock = LocksDatabase(platform.settings.home / "mediajobs.db")
        with pytest.raises(DatabaseBusyError):
            platform.work(lock)
        lock.let_go()
        _until(lambda: _recover(platform) == 1)
    job = platform.job(upload, ENVELOPE)
    attempts = platform.attempts(upload, ENVELOPE)
    assert (job.status, job.error_code) == (JobStatus.DEAD, "WORKER_LOST")
    assert [attempt.status for attempt in attempts] == [AttemptStatus.LOST] * 3
    assert all(attempt.manifest for attempt in attempts)
    assert platform.leftovers() == []


def _recover(platform: Platform) -> int:
    try:
        return len(recover(platform.history, platform.settings, AllGone(), settling_s=0).lost)
    except DatabaseBusyError:
        return 0


def _until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    gone = threading.Event()
    for _ in range(int(timeout_s / 0.1)):
        if condition():
            return
        gone.wait(0.1)
    raise AssertionError("the condition was not met in time")


def test_job_cancelled_while_it_runs(open_platform: OpenPlatform, clips: Clips) -> None:
    """Cancelling a job that is being worked on stops its ffmpeg and leaves a cancelled attempt."""
    platform = open_platform(lease_s=0.6)
    upload = platform.add(clips.detailed(), PROXY)
    job_id = platform.job(upload, PROXY).id

    def cancel(_: psutil.Process) -> None:
        platform.history.jobs.cancel(job_id)

    (outcome,) = platform.work(OnFirstProgress(cancel))
    assert outcome.status is AttemptStatus.CANCELLED
    assert platform.job(upload, PROXY).status is JobStatus.CANCELLED
    assert [attempt.status for attempt in platform.attempts(upload, PROXY)] == [AttemptStatus.CANCELLED]
    assert not [child for child in psutil.Process().children() if is_ffmpeg(child)]
    assert platform.leftovers() == []


def test_interrupted_worker_hands_its_job_back(platform: Platform, clips: Clips) -> None:
    """Ctrl-C in mid-ffmpeg: the attempt is on record as cancelled, and the job goes back into the queue."""
    upload = platform.add(clips.detailed(), PROXY)

    def interrupt(_: psutil.Process) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        platform.work(OnFirstProgress(interrupt))
    assert platform.job(upload, PROXY).status is JobStatus.QUEUED
    assert [attempt.status for attempt in platform.attempts(upload, PROXY)] == [AttemptStatus.CANCELLED]
    assert platform.leftovers() == []
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS


@pytest.mark.parametrize(
    ("lease_s", "moments"), [(10.0, [0.0, 0.1, 0.3, 0.7, 1.5, 3.1, 5.1, 7.1, 9.1]), (0.1, [0.0, 0.1]), (0.05, [0.0])]
)
def test_an_end_is_tried_again_until_the_lease_runs_out_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, lease_s: float, moments: list[float]
) -> None:
    """Then another worker may have the job."""
    clock, asked = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    def ask() -> None:
        asked.append(clock[0])
        raise DatabaseUnavailableError("It restarts.")

    monkeypatch.setattr(outcome, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    worker: Any = SimpleNamespace(settings=SimpleNamespace(lease_s=lease_s))
    with pytest.raises(DatabaseUnavailableError):
        outcome._patiently(worker, ask)
    assert asked == pytest.approx(moments)


def test_one_object_that_cannot_be_removed_keeps_no_other(platform: Platform, tmp_path: Path) -> None:
    """It is left to the sweep of the storage."""
    (tmp_path / "file").write_text("content")
    for key in ("a/one", "a/two"):
        platform.storage.put(tmp_path / "file", key, content_type="text/plain")

    class Refuses(LocalStorage):
        @override
        def abandon(self, key: str) -> None:
            if key == "a/one":
                raise StorageUnavailableError("It is busy.")
            super().abandon(key)

    storage = platform.storage
    assert isinstance(storage, LocalStorage)
    remove(["a/one", "a/two"], lambda: Refuses(storage.root))
    assert [stat.key for stat in storage.list("a/")] == ["a/one"]
