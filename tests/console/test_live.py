"""Events as they happen: one look at the database for all clients, and nothing missed by those who come back."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pytest

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.console.live import Live, moment_of
from mediajobs_dagster.models import JobProgress, utc_now
from mediajobs_dagster.orchestration.outside import FromDagster
from tests.console.client import Client
from tests.console.conftest import dagster_ui
from tests.history.factories import TRACE, a_new_job, some_new_jobs
from tests.platform import Platform
from tests.servers.asgi import serving

pytestmark = pytest.mark.timeout(60)


@dataclass
class Stream:
    """An open stream of events."""

    answer: BinaryIO

    def next(self) -> dict[str, Any]:
        """The next event: its name as `event`, its id, and what it says of a job."""
        fields: dict[str, Any] = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if not line and "event" in fields:
                return {**json.loads(fields.pop("data")), "eventId": fields.get("id"), "event": fields["event"]}
            if line and name:
                fields[name] = value


@contextmanager
def following(client: Client, path: str, last_id: str | None = None) -> Iterator[Stream]:
    """Follow events by a connection that ends with the block."""
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        again = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{again}\r\n".encode())
        with connection.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 200")
            while answer.readline() != b"retry: 2000\n":
                pass
            yield Stream(answer)


@pytest.fixture
def live(platform: Platform) -> Live:
    """A quick one, that takes three clients."""
    return Live(platform.media, every_s=0.05, most_clients=3)


@pytest.fixture
def quick(platform: Platform, outside: FromDagster, live: Live) -> Iterator[Client]:
    """A client of a server with it."""
    with serving(console_app(platform.media, outside, dagster_ui, live=live)) as url:
        yield Client(url)


def until(what: Callable[[], bool], client: Client) -> None:
    """Wait for it."""
    while not what():
        assert client.get("/healthz").status == 200


def test_changes_and_progress_are_told(quick: Client, platform: Platform, live: Live) -> None:
    """A job is asked for, worked on, and how far it is; each with the job as it stands then."""
    history = platform.history
    with following(quick, "/api/events") as stream:
        until(lambda: live.is_looking, quick)
        (asked,) = history.jobs.enqueue([a_new_job()])
        assert stream.next()["status"] == "queued"
        batch = history.leases.assign(asked.job.job_type, limit=1, lease_s=60)
        assert batch
        assert history.leases.claim(batch.id, run_id=None, host="h", lease_s=60)
        while (found := stream.next())["status"] != "processing":
            pass
        progress = JobProgress(at=utc_now(), stage="ffmpeg", fraction=0.5)
        history.leases.renew(batch.id, lease_s=60, progress={asked.job.id: progress})
        while found["progress"] is None:
            found = stream.next()
        assert (found["id"], found["progress"]["fraction"]) == (asked.job.id, 0.5)


def test_who_comes_back_misses_nothing(quick: Client, platform: Platform, live: Live) -> None:
    """By the id of the last event, on any server of the same database."""
    with following(quick, "/api/events") as stream:
        until(lambda: live.is_looking, quick)
        first, *_ = platform.history.jobs.enqueue([a_new_job()])
        last_id = stream.next()["eventId"]
    second, *_ = platform.history.jobs.enqueue([a_new_job()])
    with following(quick, "/api/events", last_id) as stream:
        found = [stream.next()["id"] for _ in range(2)]  # what came just before is told once more
    assert found == [first.job.id, second.job.id]


def test_one_job_is_followed(quick: Client, platform: Platform) -> None:
    """How it stands is told at once, and no other job."""
    first, second = platform.history.jobs.enqueue(some_new_jobs(2))
    with following(quick, f"/api/jobs/{second.job.id}/events") as stream:
        found = stream.next()
        assert (found["id"], found["status"]) == (second.job.id, "queued")
        platform.media.cancel(first.job.id)
        platform.media.cancel(second.job.id)
        while found["status"] != "cancelled":
            found = stream.next()
            assert found["id"] == second.job.id


def test_a_trace_is_followed(quick: Client, platform: Platform, live: Live) -> None:
    """And no other."""
    platform.history.jobs.enqueue([a_new_job()])
    with following(quick, f"/api/events?trace={TRACE}") as stream:
        until(lambda: live.is_looking, quick)
        platform.history.jobs.enqueue([a_new_job(trace_id="f" * 32)])
        (asked,) = platform.history.jobs.enqueue([a_new_job()])
        while (found := stream.next())["id"] != asked.job.id:
            assert found["traceId"] == TRACE


def test_clients_that_vanish_make_room(quick: Client, live: Live) -> None:
    """A fourth is turned away while three are there; when they are gone, the poller rests."""
    with following(quick, "/api/events"), following(quick, "/api/events"), following(quick, "/api/events"):
        refused = quick.get("/api/events")
        assert (refused.status, refused.json["code"]) == (503, "TOO_MANY_CLIENTS")
    until(lambda: live.clients == 0, quick)
    until(lambda: not live.is_looking, quick)
    with following(quick, "/api/events"):
        assert live.clients == 1


def test_streams_end_when_the_server_stops(platform: Platform, outside: FromDagster) -> None:
    """So that it need not wait for them."""
    stopping: list[bool] = []
    live = Live(platform.media, lambda: bool(stopping), every_s=0.05)
    with serving(console_app(platform.media, outside, dagster_ui, live=live)) as url:
        with following(Client(url), "/api/events") as stream:
            stopping.append(True)
            assert stream.answer.read().strip() in (b"", b"0")  # the end of what comes in chunks
        assert live.clients == 0


def test_too_many_changes_are_one_event(quick: Client, platform: Platform) -> None:
    """A client that was away for long has to read the list again."""
    platform.history.jobs.enqueue(some_new_jobs(1001))
    with following(quick, "/api/events", "1") as stream:
        assert stream.next()["event"] == "reset"


@pytest.mark.parametrize("text", [None, "", "x", "-1", "1.5", "9" * 18, "²", "9" * 10_000])
def test_a_last_id_that_is_none_begins_anew(text: str | None) -> None:
    """Whatever a client makes of it."""
    assert moment_of(text) is None


def test_an_unknown_trace_is_not_followed(quick: Client) -> None:
    """It is told at once, and not by silence."""
    assert quick.get("/api/events?trace=abc").status == 404
    assert quick.get("/api/jobs/unknown/events").status == 404
    assert quick.get("/api/events?nonsense=1").status == 422
