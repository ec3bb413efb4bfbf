"""Whether the server lives and can work, and which of its parts cannot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from mediajobs_dagster.console.api.health import Readiness
from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.system import MediaJobs
from tests.console.client import Client
from tests.console.conftest import dagster_ui
from tests.platform import Platform
from tests.servers.asgi import serving
from tests.servers.postgres import running_postgres, start_postgres


def beat(instance: dg.DagsterInstance, *, ago_s: float = 0.0) -> None:
    """Have every daemon give a sign of life."""
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago_s, kind, str(uuid4()), []))


def test_a_server_lives_whatever_else_does_not(client: Client) -> None:
    """It says so at once."""
    assert client.get("/healthz").json == {"status": "ok"}


def test_a_silent_daemon_is_named(client: Client, instance: dg.DagsterInstance) -> None:
    """With 503, while all else is well; once it gives a sign of life, the server is ready."""
    beat(instance, ago_s=3600)
    answer = client.get("/readyz")
    assert (answer.status, answer.json["failed"]) == (503, ["daemon"])
    assert "no sign of life for 3600 s" in answer.json["checks"]["daemon"]["detail"]
    beat(instance)
    answer = client.get("/readyz")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert set(answer.json["checks"]) == {"database", "storage", "daemon", "disk"}


def test_a_full_disk_is_named(open_platform: Callable[..., Platform], instance: dg.DagsterInstance) -> None:
    """By the limit at which it is alerted of."""
    beat(instance)
    platform = open_platform(alert_disk_percent=0.001)
    with serving(console_app(platform.media, FromDagster(platform.media, instance), dagster_ui)) as url:
        assert Client(url).get("/readyz").json["failed"] == ["disk"]


def test_a_storage_that_does_not_answer_is_named(
    open_platform: Callable[..., Platform], instance: dg.DagsterInstance
) -> None:
    """With the code of its error."""
    beat(instance)
    s3 = {"s3_endpoint_url": "http://127.0.0.1:9", "s3_access_key_id": "a", "s3_secret_access_key": "b"}
    platform = open_platform(storage_url="s3://bucket/x", s3_max_attempts=1, s3_timeout_s=1, **s3)
    with serving(console_app(platform.media, FromDagster(platform.media, instance), dagster_ui)) as url:
        found = Client(url).get("/readyz").json
    assert (found["failed"], found["checks"]["storage"]["code"]) == (["storage"], "STORAGE_UNAVAILABLE")


def test_many_who_ask_at_once_share_the_checks(
    media: MediaJobs, outside: FromDagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that does not answer holds one thread, however many ask."""
    looks: list[str] = []
    monkeypatch.setattr(media.storage, "find", looks.append)
    readiness = Readiness()

    async def ask_ten_times() -> list[JsonObject]:
        return await asyncio.gather(*(readiness.ask(media, outside) for _ in range(10)))

    found = asyncio.run(ask_ten_times())
    assert [each["checks"]["storage"]["ok"] for each in found] == 10 * [True]
    assert len(looks) == 1


@pytest.mark.timeout(180)  # a server of its own is started twice
def test_a_database_that_is_down_is_told_and_used_again(
    open_platform: Callable[..., Platform], instance: dg.DagsterInstance
) -> None:
    """Each answer has a code, without the password; nothing has to be started again."""
    beat(instance)
    with running_postgres() as server:
        platform = open_platform(database_url=server.get_uri(), database_timeout_s=3)
        media: MediaJobs = platform.media
        with serving(console_app(media, FromDagster(media, instance), dagster_ui)) as url:
            client = Client(url)
            assert client.get("/api/jobs").status == 200
            server.stop()
            refused = client.get("/api/jobs")
            assert (refused.status, refused.json["code"]) == (503, "DATABASE_UNAVAILABLE")
            assert refused.headers["retry-after"]
            assert client.get("/readyz").json["failed"] == ["database"]
            assert client.get("/healthz").status == 200
            start_postgres(server)
            assert client.get("/api/jobs").status == 200
            assert client.get("/readyz").status == 200
