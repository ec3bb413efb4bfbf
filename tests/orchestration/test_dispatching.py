"""The one way from the queue to runs, taken by sensors and daemon alike, also at the same time."""

from __future__ import annotations

import threading
from collections import Counter

from dagster._core.remote_representation.external_data import partition_set_snap_name_for_job_name

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import new_trace_id
from mediajobs_dagster.orchestration.dispatching import run_request_of, take_next
from tests.clips import Clips
from tests.orchestration.conftest import DagsterPlatform

THUMB = Thumbnail.name
JOBS = 120


def test_sensor_and_daemon_racing_never_dispatch_a_job_twice(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Both take from a queue of many traces at once: each job ends up in exactly one run request."""
    platform = dagster_platform
    upload = platform.register(clips.landscape())
    job_type = platform.registry[THUMB]
    requests = [job_type.request(upload, trace_id=new_trace_id(), anew=True) for _ in range(JOBS)]
    platform.history.jobs.enqueue(requests)
    taken: list[str] = []
    start = threading.Barrier(4)

    def daemon() -> None:
        start.wait()
        while isinstance(batch := take_next(platform.media, platform.instance, job_type), Dispatch):
            taken.append(batch.id)

    def sensor() -> None:
        start.wait()
        while isinstance(asked := platform.tick(f"dispatch_{THUMB}"), list):
            taken.extend(f"{request.run_key}" for request in asked)

    threads = [threading.Thread(target=target) for target in (daemon, sensor, daemon, sensor)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Counter(taken).values()) == {1}
    held = [platform.history.leases.renew(dispatch_id, lease_s=60) for dispatch_id in taken]
    assert [len(jobs) for jobs in held] == [1] * JOBS
    assert len({job_id for jobs in held for job_id in jobs}) == JOBS
    assert platform.history.jobs.next_due([THUMB]) is None


def test_requests_of_both_are_the_same(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """What the sensor asks for is what the daemon starts: job, tags, day and configuration."""
    platform = dagster_platform
    job_type = platform.registry[THUMB]
    upload = platform.register(clips.landscape())
    twins = [job_type.request(upload, trace_id="a" * 32, anew=True), job_type.request(upload, trace_id="b" * 32)]
    platform.history.jobs.enqueue(twins[:1])
    (by_sensor,) = platform.requests(f"dispatch_{THUMB}")
    platform.history.jobs.enqueue(twins[1:])
    batch = take_next(platform.media, platform.instance, job_type)
    assert isinstance(batch, Dispatch)
    by_daemon = run_request_of(batch, job_type, platform.media)
    assert by_sensor.tags.keys() - {"dagster/sensor_name"} == by_daemon.tags.keys()
    assert by_daemon.tags["dagster/partition_set"] == partition_set_snap_name_for_job_name(THUMB)
    assert (by_sensor.job_name, by_sensor.run_config) == (by_daemon.job_name, by_daemon.run_config)
    assert by_sensor.partition_key == by_daemon.partition_key
