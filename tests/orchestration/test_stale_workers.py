"""Real workers that are frozen while they publish, and what becomes of them when they wake up or are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload, new_trace_id
from mediajobs_dagster.orchestration.recovery import recover_runs
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat
from tests.history.factories import an_upload
from tests.orchestration.conftest import DagsterPlatform
from tests.orchestration.stopping_worker import Marked

OpenDagster = Callable[..., DagsterPlatform]
LEASE_S = 1.0


@pytest.fixture(params=["folder", "s3"])
def shared(request: pytest.FixtureRequest, open_dagster: OpenDagster) -> DagsterPlatform:
    """A platform that shares everything with a worker; objects lie in a folder, then on S3."""
    on_s3: dict[str, Any] = {}
    if request.param == "s3":
        settings: Settings = request.getfixturevalue("s3_settings")
        on_s3 = settings.model_dump(include={"storage_url", *(each for each in Settings.model_fields if "s3_" in each)})
    return open_dagster(types=(Marked(),), **on_s3, lease_s=LEASE_S)


@contextmanager
def frozen_worker(platform: DagsterPlatform) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has stopped in the middle of publishing, and whose lease has run out."""
    names = ("home", "lease_s", "retry_base_s", "storage_url", "scratch_reserve_mb")
    names += tuple(each for each in Settings.model_fields if each.startswith("s3_"))
    given = {name: getattr(platform.settings, name) for name in names}
    secret = platform.settings.s3_secret_access_key
    given["s3_secret_access_key"] = secret.get_secret_value() if secret else None
    environment = {f"MEDIAJOBS_{name.upper()}": str(value) for name, value in given.items() if value is not None}
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.orchestration.stopping_worker"],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _, status = os.waitpid(worker.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it ended with {status}"
        give_up = time.monotonic() + 60
        while not platform.history.leases.lost():
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield worker
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def asked(platform: DagsterPlatform) -> Upload:
    """An upload with a job."""
    upload = platform.history.uploads.add(an_upload(origin=None))
    platform.history.jobs.enqueue([Marked().request(upload, trace_id=new_trace_id())])
    return upload


def objects(platform: DagsterPlatform) -> list[str]:
    """The keys of everything that is stored; parts are marked."""
    return [each.key if isinstance(each, ObjectStat) else f"part of {each.key}" for each in platform.storage.walk()]


def statuses(platform: DagsterPlatform, upload: Upload) -> list[AttemptStatus]:
    """Of the attempts at the job."""
    return [attempt.status for attempt in platform.attempts(upload, Marked.name)]


def run_of_first(platform: DagsterPlatform, upload: Upload) -> dg.DagsterRunStatus:
    """How the run of the frozen worker ended."""
    run = platform.instance.get_run_by_id(platform.attempts(upload, Marked.name)[0].run_id or "")
    assert run is not None
    return run.status


def test_a_worker_that_wakes_up_too_late_changes_nothing(shared: DagsterPlatform) -> None:
    """Its attempt stays lost and its run failed; the object of the second attempt stays, and is the only one."""
    upload = asked(shared)
    with frozen_worker(shared) as worker:
        recover_runs(shared.media, shared.instance)
        shared.work()
        (winner,) = shared.current_keys(upload, Marked.name)
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(60) == 0
    assert statuses(shared, upload) == [AttemptStatus.LOST, AttemptStatus.SUCCESS]
    second = shared.attempts(upload, Marked.name)[1]
    content = shared.storage.read_part(shared.storage.stat(winner), 0, len(second.id))
    assert content.decode() == second.id
    assert objects(shared) == [winner]
    assert run_of_first(shared, upload) is dg.DagsterRunStatus.FAILURE
    assert shared.job(upload, Marked.name).status is JobStatus.COMPLETED


def test_a_frozen_worker_whose_job_is_cancelled_publishes_nothing(shared: DagsterPlatform) -> None:
    """It wakes up before anybody recovered it: the attempt is cancelled, and nothing is stored."""
    upload = asked(shared)
    with frozen_worker(shared) as worker:
        shared.media.cancel(shared.job(upload, Marked.name).id)
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(60) == 0
    assert statuses(shared, upload) == [AttemptStatus.CANCELLED]
    assert objects(shared) == []
    assert run_of_first(shared, upload) is dg.DagsterRunStatus.FAILURE


def test_a_frozen_worker_that_is_killed_leaves_nothing(shared: DagsterPlatform) -> None:
    """The parts that it has written go with recovery."""
    upload = asked(shared)
    with frozen_worker(shared) as worker:
        assert [each[:7] for each in objects(shared)] == ["part of"]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    recover_runs(shared.media, shared.instance)
    assert statuses(shared, upload) == [AttemptStatus.LOST]
    assert objects(shared) == []
