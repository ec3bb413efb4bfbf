"""A run by hand looks for the work of its day: many look-ups side by side, and nothing is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.batch import enqueue_stale
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import StorageUnavailableError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.history.jobs import EnqueuedList, Jobs
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import Job, JobStatus, NewJob, Upload, new_id, utc_now
from mediajobs_dagster.storage import ObjectStat, Storage, upload_source_key
from mediajobs_dagster.storage.local import LocalStorage
from tests.clips import Clips
from tests.history.factories import DAY, TRACE, an_upload, ended
from tests.platform import Platform

THUMB = Thumbnail()
MINE = "this run"


def made(platform: Platform, count: int) -> list[Upload]:
    """Uploads of one day whose thumbnails were made, as far as the history knows; the storage has none of them."""
    ids = [new_id() for _ in range(count)]
    uploads = [an_upload(id=each, storage_key=upload_source_key(each)) for each in ids]
    platform.history.uploads.register(uploads, lambda upload: [THUMB.request(upload, trace_id=TRACE)])
    result = {"fingerprint": THUMB.fingerprint({}, "abc"), "outputs": []}
    leases = platform.history.leases
    dispatch = leases.assign(THUMB.name, limit=count, lease_s=600)
    assert dispatch is not None
    while claim := leases.claim(dispatch.id, run_id=None, host="h", lease_s=600):
        leases.finish(ended(claim, result=result), job_status=JobStatus.COMPLETED)
    return uploads


class Watched(LocalStorage):
    """A local storage that tells before it looks for an object."""

    def __init__(self, root: Path, look: Callable[[str], None]) -> None:
        super().__init__(root)
        self._look = look

    @override
    def _head(self, key: str) -> ObjectStat:
        self._look(key)
        return super()._head(key)


def worker_on(platform: Platform, storage: Storage, **options: Any) -> AbstractContextManager[Worker]:
    """A worker that finds its objects in that storage."""

    return Worker.open(platform.settings, platform.registry, platform.history, lambda: storage, **options)


def watched(platform: Platform, look: Callable[[str], None], **options: Any) -> AbstractContextManager[Worker]:
    """A worker whose look-ups are told to `look` before they are made."""
    assert isinstance(platform.storage, LocalStorage)
    return worker_on(platform, Watched(platform.storage.root, look), **options)


def enqueue(worker: Worker, job_type: JobType = THUMB, **options: Any) -> int:
    """What a run by hand does first."""
    asked = {"dispatch_id": MINE, "trace_id": "b" * 32, "force": False}
    return enqueue_stale(worker, job_type, DAY, **asked | options)


def enqueued(platform: Platform) -> list[Job]:
    """The jobs of the run by hand, in the order in which they were enqueued."""
    return platform.history.jobs.list(JobFilter(trace_id="b" * 32), limit=10_000)[::-1]


def test_what_is_missing_or_stale_is_found(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """Never made, made of another content, its output gone: a job. Fresh: none. With `force` a job for each."""
    platform = open_platform(max_attempts=5)
    never, changed, gone, fresh = (
        platform.register(path, created_at=an_upload().created_at)
        for path in (clips.landscape(), clips.no_audio(), clips.rotated_portrait(), clips.short())
    )
    platform.history.jobs.enqueue([THUMB.request(each, trace_id=TRACE) for each in (changed, gone, fresh)])
    platform.work()
    platform.storage.put(clips.landscape(), changed.storage_key, content_type="video/mp4")
    platform.storage.delete(platform.current_keys(gone, THUMB.name)[0])
    with platform.media.worker() as worker:
        assert enqueue(worker) == 3
        assert {job.subject_id for job in enqueued(platform)} == {never.id, changed.id, gone.id}
        assert {job.dispatch_id for job in enqueued(platform)} == {MINE}
        assert {job.force for job in enqueued(platform)} == {False}
        assert enqueue(worker, trace_id="c" * 32, force=True) == 4
        forced = platform.history.jobs.list(JobFilter(trace_id="c" * 32))
        assert {(job.force, job.max_attempts) for job in forced} == {(True, platform.settings.max_attempts)}


def test_the_storage_is_asked_about_many_subjects_at_once(platform: Platform) -> None:
    """Each look-up waits until eight are under way: one after the other they would wait for ever."""
    made(platform, 200)
    eight = Barrier(8)
    asked, lock = 0, Lock()

    def look(_key: str) -> None:
        nonlocal asked
        with lock:
            asked += 1
            must_wait = asked <= 8
        if must_wait:
            eight.wait(timeout=60)

    with watched(platform, look) as worker:
        assert enqueue(worker) == 200
    assert asked == 200


def test_what_was_never_made_needs_no_look_up(platform: Platform) -> None:
    """The history alone knows that there is no output."""
    made(platform, 30)
    asked: list[str] = []
    with watched(platform, asked.append) as worker:
        assert enqueue(worker, EditProxy()) == 30
    assert asked == []


def test_jobs_are_enqueued_as_they_are_found_and_their_lease_is_kept(platform: Platform) -> None:
    """While the last look-up hangs, the first jobs are enqueued, stay this run's, and the run says that it lives."""
    uploads = made(platform, 540)
    signs: list[float] = []

    def look(key: str) -> None:
        if key != uploads[-1].storage_key:
            return
        until(lambda: platform.history.leases.any_of([MINE]))
        first, seen = enqueued(platform)[0], len(signs)
        lease = lease_of(platform, first)
        until(lambda: lease_of(platform, first) > lease)
        until(lambda: len(signs) > seen)

    with lease_of_seconds(platform, 1.0), watched(platform, look) as worker:
        assert enqueue(worker, on_search=lambda: signs.append(time.monotonic())) == 540
    jobs = enqueued(platform)
    assert len(jobs) == 540
    assert {job.dispatch_id for job in jobs} == {MINE}


def test_jobs_are_enqueued_by_the_five_hundred(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one by one, which would take long, and not all at the end."""
    made(platform, 540)
    lists: list[int] = []
    enqueueing = Jobs.enqueue

    def enqueue_counted(jobs: Jobs, wanted: Sequence[NewJob], **options: Any) -> EnqueuedList:
        lists.append(len(wanted))
        return enqueueing(jobs, wanted, **options)

    monkeypatch.setattr(Jobs, "enqueue", enqueue_counted)
    with platform.media.worker() as worker:
        assert enqueue(worker) == 540
    assert lists == [500, 40]


@contextmanager
def lease_of_seconds(platform: Platform, seconds: float) -> Iterator[None]:
    """Workers that are opened meanwhile take leases of so many seconds."""
    before = platform.settings
    platform.media.settings = before.model_copy(update={"lease_s": seconds})
    yield
    platform.media.settings = before


def lease_of(platform: Platform, job: Job) -> float:
    """When the lease of a job ends now."""
    lease = platform.history.jobs.get(job.id).lease_expires_at
    assert lease is not None
    return lease.timestamp()


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.01)


@pytest.mark.parametrize("after", [JobStatus.QUEUED, JobStatus.CANCELLED])
def test_what_was_found_before_a_failure_is_given_back(platform: Platform, after: JobStatus) -> None:
    """The storage fails at the last subject: the other jobs wait in the queue, or are cancelled with the run."""
    uploads = made(platform, 540)

    def look(key: str) -> None:
        if key == uploads[-1].storage_key:
            until(lambda: platform.history.leases.any_of([MINE]))
            raise StorageUnavailableError

    with (
        watched(platform, look, after_interrupt=lambda: after) as worker,
        pytest.raises(StorageUnavailableError),
    ):
        enqueue(worker)
    jobs = enqueued(platform)
    assert len(jobs) >= 500
    assert {(job.status, job.dispatch_id) for job in jobs} == {(after, None)}


def test_what_was_left_out_by_name_is_not_made(platform: Platform, clips: Clips) -> None:
    """An upload that was added for a thumbnail alone gets no proxy by a backfill, until one was asked for."""
    day = utc_now().date()
    upload = platform.add(clips.landscape(), THUMB.name)
    with platform.media.worker() as worker:
        assert enqueue_stale(worker, EditProxy(), day, dispatch_id="1", trace_id="1" * 32, force=True) == 0
        assert enqueue_stale(worker, THUMB, day, dispatch_id="2", trace_id="2" * 32, force=True) == 1
        platform.history.jobs.enqueue([EditProxy().request(upload, trace_id=TRACE)])
        assert enqueue_stale(worker, EditProxy(), day, dispatch_id="3", trace_id="3" * 32, force=True) == 1
    assert platform.history.uploads.get(upload.id).asked_types == (THUMB.name,)


def test_what_was_asked_for_by_name_is_made_though_its_job_was_removed(platform: Platform) -> None:
    """As the cleanup of the history does."""
    upload = platform.history.uploads.add(an_upload(asked_types=(THUMB.name,)))
    with platform.media.worker() as worker:
        assert enqueue(worker, EditProxy()) == 0
        assert enqueue(worker) == 1
    assert [job.subject_id for job in enqueued(platform)] == [upload.id]


def test_sound_gets_no_thumbnail_by_a_backfill(platform: Platform, clips: Clips) -> None:
    """Once it is known to be sound, as it is after `add`."""
    (added,) = platform.media.add(clips.audio_only()).uploads
    with platform.media.worker() as worker:
        day = added.upload.created_at.date()
        assert enqueue_stale(worker, THUMB, day, dispatch_id="1", trace_id="1" * 32, force=True) == 0


def test_what_is_known_not_to_work_is_not_tried_again(platform: Platform, clips: Clips) -> None:
    """No fresh dead job; with `force`, or once its content has changed, it is tried."""
    forced, changed = (platform.add(clips.text_named_mp4(), THUMB.name) for _ in range(2))
    platform.work()
    assert {platform.job(each, THUMB.name).status for each in (forced, changed)} == {JobStatus.DEAD}
    day = forced.created_at.date()
    with platform.media.worker() as worker:
        assert enqueue_stale(worker, THUMB, day, dispatch_id="1", trace_id="1" * 32, force=False) == 0
        platform.storage.put(clips.landscape(), changed.storage_key, content_type="video/mp4")
        assert enqueue_stale(worker, THUMB, day, dispatch_id="2", trace_id="2" * 32, force=False) == 1
        assert platform.job(changed, THUMB.name).dispatch_id == "2"
        assert enqueue_stale(worker, THUMB, day, dispatch_id="3", trace_id="3" * 32, force=True) == 1
        assert platform.job(forced, THUMB.name).dispatch_id == "3"
