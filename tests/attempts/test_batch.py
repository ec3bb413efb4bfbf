"""A run works off what was assigned to it, gives back what it may not do, and asks again for what a run attempted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mediajobs_dagster.attempts import batch
from mediajobs_dagster.attempts.batch import requeue_run, work_off
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import leases
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload, new_id
from tests.clips import Clips
from tests.history.factories import TRACE, an_attempt
from tests.platform import Platform

THUMB, PROXY = Thumbnail(), EditProxy()


def ask(platform: Platform, path: Path, *job_types: JobType) -> Upload:
    """Enqueue jobs on a file; all of a test are of one trace, so that one run gets them."""
    upload = platform.register(path)
    platform.history.jobs.enqueue([each.request(upload, trace_id=TRACE) for each in job_types])
    return upload


def ask_in_vain(platform: Platform, count: int, *job_types: JobType) -> list[Upload]:
    """The same on files whose jobs end at once: each holds a text of its own."""
    paths = [platform.settings.home / f"{new_id()}.mp4" for _ in range(count)]
    for path in paths:
        path.write_text(f"This is no video: {path.name}. " * 10)
    return [ask(platform, path, *(job_types or (THUMB,))) for path in paths]


def run(
    platform: Platform, job_type: JobType = THUMB, *, run_id: str = "a", is_over: Callable[[], bool] = lambda: False
) -> int:
    """Assign the jobs of a type that wait to a run, and let it work; returns how many attempts it made."""
    dispatch = platform.history.leases.assign(job_type.name, limit=100, lease_s=600)
    assert dispatch is not None
    with platform.media.worker() as worker:
        return work_off(worker, job_type, dispatch.id, run_id=run_id, listeners=Listeners([]), is_over=is_over).attempts


def statuses(platform: Platform, uploads: list[Upload]) -> list[JobStatus]:
    """Those of the thumbnails."""
    return [platform.job(each, THUMB.name).status for each in uploads]


def test_more_jobs_than_a_renewal_names_are_all_done(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on until none is left to claim."""
    for module in (batch, leases):
        monkeypatch.setattr(module, "RENEWED_AT_ONCE", 2)
    for count in (1, 2, 5):
        uploads = ask_in_vain(platform, count)
        assert run(platform) == count
        assert statuses(platform, uploads) == [JobStatus.DEAD] * count


def test_a_run_that_is_over_gives_back_the_rest(open_platform: Callable[..., Platform]) -> None:
    """It is asked before each job."""
    platform = open_platform(concurrency=1)
    uploads = ask_in_vain(platform, 3)
    answers = iter([False, True])
    assert run(platform, is_over=lambda: next(answers)) == 1
    assert sorted(statuses(platform, uploads)) == [JobStatus.DEAD, JobStatus.QUEUED, JobStatus.QUEUED]
    assert {platform.job(each, THUMB.name).dispatch_id for each in uploads[1:]} == {None}


def test_a_worker_that_lacks_something_gives_all_back(open_platform: Callable[..., Platform]) -> None:
    """Another one may offer what the type needs."""
    platform = open_platform(offers=("none",))
    (upload,) = ask_in_vain(platform, 1)
    assert run(platform) == 0
    job = platform.job(upload, THUMB.name)
    assert (job.status, job.dispatch_id, job.attempts) == (JobStatus.QUEUED, None, 0)


def test_a_run_on_a_quarantined_machine_gives_all_back(platform: Platform) -> None:
    """Three jobs failed here by a fault of the machine, and another machine makes them."""
    now = platform.history.now()
    with platform.media.worker() as worker:
        host = worker.host.hostname
    done = {"job_name": THUMB.name, "started_at": now, "created_at": now}
    failed = {"status": AttemptStatus.FAILURE, "blame": Blame.SYSTEM, "error_code": "FFMPEG_MISSING"}
    platform.history.attempts.record(an_attempt(**done, host="good", completed_at=now - timedelta(seconds=60)))
    uploads = ask_in_vain(platform, 2)
    for _ in range(platform.settings.breaker_failures):
        platform.history.attempts.record(an_attempt(**done, **failed, host=host, completed_at=now))
    assert run(platform) == 0
    jobs = [platform.job(each, THUMB.name) for each in uploads]
    assert [(job.status, job.dispatch_id, job.attempts) for job in jobs] == [(JobStatus.QUEUED, None, 0)] * 2


def test_what_a_run_attempted_is_asked_for_again(platform: Platform, clips: Clips) -> None:
    """The jobs of that type and run alone, but none that waits already; each is made again though it is up to date."""
    mine = [ask(platform, clips.landscape(), THUMB), *ask_in_vain(platform, 2, THUMB, PROXY)]
    assert run(platform, run_id="first") == 3
    others = ask_in_vain(platform, 1)
    assert run(platform, run_id="second") == 1
    assert run(platform, PROXY, run_id="first") == 2
    waits = platform.job(mine[2], THUMB.name)
    platform.history.jobs.retry(waits.id)
    before = platform.history.now()
    with platform.media.worker() as worker:
        assert requeue_run(worker, THUMB, "first", dispatch_id="again") == 2
    again = [platform.job(each, THUMB.name) for each in mine[:2]]
    for job in again:
        assert (job.status, job.dispatch_id, job.force) == (JobStatus.QUEUED, "again", True)
        assert job.lease_expires_at is not None
        assert job.lease_expires_at - before > timedelta(seconds=platform.settings.lease_s - 1)
    assert platform.job(mine[2], THUMB.name).dispatch_id is None
    assert platform.job(others[0], THUMB.name).status is JobStatus.DEAD
    assert platform.job(mine[1], PROXY.name).status is JobStatus.DEAD
