"""docker-compose.yml, run for real: what it promises of a cluster on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.containers.conftest import Compose, docker, tell, wait_for

pytestmark = pytest.mark.timeout(2400)  # the image is built first

START = ("up", "--build", "--detach", "--wait", "--wait-timeout", "600", "--scale", "worker=2")
SERVICES = {"postgres", "redis", "s3", "code-server", "daemon", "web", "worker", "worker-light", "worker-network"}
ENCODE = "upload_edit_proxy_v1"


def test_a_cluster_of_two_workers(compose: Compose, media: Path) -> None:
    """It comes up well, shares the work, survives the loss of a worker, and finds everything again after a restart."""
    tell("starting everything")
    compose(*START)
    assert_healthy(compose)
    share_the_work(compose, media)
    lose_a_worker(compose)
    before = completed(compose)
    tell("down and up again")
    compose.down()
    assert compose.containers() == []
    compose(*START)
    assert_healthy(compose)
    assert completed(compose) == before
    tell("adding once more what is known, to be made again")
    wait_until_done(compose, compose.add("/media/short9.mp4", "--force")["traceId"])
    tell("done")


def assert_healthy(compose: Compose) -> None:
    """Each service runs and is well, and there are two workers that encode."""
    found = compose.containers()
    assert {each["Service"] for each in found} == SERVICES
    assert [each["Service"] for each in found if each["Health"] != "healthy"] == []
    assert len(workers(compose)) == 2
    tell(f"{len(found)} containers are healthy")


def share_the_work(compose: Compose, media: Path) -> None:
    """Uploads, each a trace of its own: their outputs are made by both workers."""
    traces = [compose.add(f"/media/{clip.name}")["traceId"] for clip in sorted(media.glob("short*.mp4"))]
    tell(f"{len(traces)} uploads are added")
    jobs = [job for trace_id in traces for job in wait_until_done(compose, trace_id)]
    hosts = {attempt["host"] for job in jobs for attempt in attempts_at(compose, job)}
    tell(f"{len(jobs)} jobs are done, by {', '.join(sorted(hosts))}")
    assert hosts >= {each[:12] for each in workers(compose)}


def lose_a_worker(compose: Compose) -> None:
    """The one that encodes is killed: its job is recorded as lost, and made by the other one."""
    added = compose.add("/media/long.mp4", "--type", ENCODE)
    (job,) = added["jobs"]
    tell("encoding the long clip")
    host = wait_for(lambda: encoding(compose, job), timeout_s=120)
    tell(f"killing worker {host}")
    (victim,) = [each for each in workers(compose) if each.startswith(host)]
    docker("kill", victim)
    (done,) = wait_until_done(compose, added["traceId"])
    attempts = attempts_at(compose, done)
    assert [attempt["status"] for attempt in attempts] == ["lost", "success"]
    assert attempts[0]["host"] == host != attempts[1]["host"]
    tell(f"made by {attempts[1]['host']}")


def attempts_at(compose: Compose, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts at a job, the first one first."""
    return compose.mediajobs("jobs", "show", job["id"])["attempts"]


def completed(compose: Compose) -> list[str]:
    """The ids of the jobs that are done."""
    return [job["id"] for job in compose.mediajobs("jobs", "list", "--status", "completed", "--limit", "1000")]


def encoding(compose: Compose, job: dict[str, Any]) -> str | None:
    """The host that works on a job, once it does."""
    attempts = attempts_at(compose, job)
    return attempts[-1]["host"] if attempts and attempts[-1]["status"] == "running" else None


def workers(compose: Compose) -> list[str]:
    """The containers that encode; the first twelve characters of an id are the name of the host within."""
    found = compose.containers()
    return [each["ID"] for each in found if each["Service"] == "worker" and each["State"] == "running"]


def wait_until_done(compose: Compose, trace_id: str) -> list[dict[str, Any]]:
    """Wait until all jobs of a trace are over; they have succeeded."""

    def over() -> list[dict[str, Any]] | None:
        jobs = compose.mediajobs("jobs", "list", "--trace", trace_id)
        return jobs if all(job["status"] in ("completed", "dead", "cancelled") for job in jobs) else None

    jobs = wait_for(over, timeout_s=600)
    assert {job["status"] for job in jobs} == {"completed"}
    return jobs
