"""How everything stands, and jobs that run elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mediajobs_dagster.cli.watch import estimated
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import JobProgress, JobStatus, utc_now
from mediajobs_dagster.supervisor.exclusive import sole_user_of
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform

PROGRESS = JobProgress(
    fraction=0.4, speed=3.1, eta_s=12.0, stage="ffmpeg", command=("ffmpeg", "-i", "file:source", "a.mp4"), at=utc_now()
)


@pytest.fixture
def running(platform: Platform, clips: Clips) -> Claim:
    """A proxy that a worker elsewhere makes, 40 % of it."""
    platform.add(clips.landscape(), EditProxy.name)
    dispatch = platform.history.leases.assign(EditProxy.name, limit=1, lease_s=600)
    assert dispatch
    claim = platform.history.leases.claim(dispatch.id, run_id="run", host="worker-7", lease_s=600)
    assert claim
    platform.history.leases.renew(dispatch.id, lease_s=600, progress={claim.job.id: PROGRESS})
    return claim


def test_nothing(mediajobs: Call) -> None:
    """An empty installation says so."""
    answer = mediajobs("status")
    assert answer.code == 0
    assert "not up here" in answer.out
    assert "No job waits or runs." in answer.out
    assert "free" in answer.out
    assert mediajobs("status", "--json", "--watch").code == 2


def test_everything(
    mediajobs: Call, platform: Platform, clips: Clips, running: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Depth and age of queues, what runs where and how far it is, the last failures, and who is up."""
    monkeypatch.setenv("COLUMNS", "80")
    platform.add(clips.text_named_mp4(), Thumbnail.name)
    platform.work()
    platform.add(clips.landscape(), Thumbnail.name)
    with sole_user_of(platform.settings.home, "process 42"):
        found = mediajobs("status", "--json").json
        shown = mediajobs("status").out
    assert found["up"] == "process 42"
    assert "up (process 42)" in shown
    queues = {each["makes"]: (each["lane"], each["queued"], each["processing"]) for each in found["queues"]}
    assert queues == {"edit_proxy": ("heavy", 0, 1), "thumbnail": ("light", 1, 0)}
    assert found["workers"] == {"worker-7": 1}
    assert [each["errorCode"] for each in found["failures"]] == ["INPUT_NOT_MEDIA"]
    assert clips.text_named_mp4().name in shown
    assert running.job.id in shown
    assert "40 %, 3.1x, ETA 12 s, ffmpeg" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_failure_says_how_its_job_stands_now(
    mediajobs: Call, platform: Platform, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is mended since looks it, beside one that is not; at 80 columns, too."""
    mended = platform.add(clips.short(), Thumbnail.name)
    platform.storage.delete(mended.storage_key)
    platform.add(clips.text_named_mp4(), Thumbnail.name)
    platform.work()
    platform.storage.put(clips.short(), mended.storage_key, content_type="video/mp4")
    platform.media.retry(platform.job(mended, Thumbnail.name).id)
    platform.work()
    monkeypatch.setenv("COLUMNS", "80")
    assert {each["subjectName"]: each["jobStatus"] for each in mediajobs("status", "--json").json["failures"]} == {
        mended.filename: "completed",
        clips.text_named_mp4().name: "dead",
    }
    _, listed = mediajobs("status").out.split("Latest failures")
    assert [word for word in listed.split() if word in ("completed", "dead")] == ["dead", "completed"]


def test_what_is_held_is_said_everywhere(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """By status, the list of jobs, doctor and work."""
    for clip in (clips.faststart(), clips.transport_stream(), clips.matroska()):
        platform.storage.delete(platform.add(clip, Thumbnail.name).storage_key)
    platform.work()
    waiting = [job for job in platform.media.jobs() if job.status.is_waiting]
    platform.add(clips.landscape(), Thumbnail.name)
    assert waiting
    reason = f"{len(waiting) + 1} {Thumbnail.name} jobs wait: breaker open"
    for words in (("status",), ("jobs", "list"), ("doctor",), ("work",)):
        answer = mediajobs(*words)
        assert reason in " ".join((answer.out + answer.err).split()), words


def test_how_far_a_job_is(mediajobs: Call, running: Claim) -> None:
    """In lists, of the job and of its attempt; the command too."""
    assert "40 %, 3.1x, ETA 12 s, ffmpeg" in mediajobs("jobs", "list").out
    for words in (("jobs", "show"), ("attempt",)):
        shown = mediajobs(*words, running.job.id).out
        assert "40 %" in shown
        assert "ffmpeg -i file:source a.mp4" in shown
    progress = mediajobs("attempt", running.attempt.id, "--json").json["progress"]
    assert (progress["fraction"], progress["stage"]) == (0.4, "ffmpeg")


@contextmanager
def ending(platform: Platform, claim: Claim, status: JobStatus) -> Iterator[None]:
    """A worker elsewhere that ends the attempt while the block runs."""

    def end() -> None:
        platform.history.jobs.cancel(claim.job.id) if status is JobStatus.CANCELLED else None

    timer = threading.Timer(1.5, end)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@pytest.mark.parametrize("by", ["job", "trace"])
def test_watch(mediajobs: Call, platform: Platform, running: Claim, by: str) -> None:
    """Until it has ended, well or not."""
    chosen = (running.job.id[:13],) if by == "job" else ("--trace", running.job.trace_id[:8])
    with ending(platform, running, JobStatus.CANCELLED):
        answer = mediajobs("jobs", "watch", *chosen)
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0].startswith("processing  edit_proxy")
    assert "40 %" in lines[0]
    assert any(line.startswith("cancelled  edit_proxy") for line in lines)


def test_watch_for_scripts(mediajobs: Call, platform: Platform, running: Claim) -> None:
    """A job a line, when it has changed."""
    with ending(platform, running, JobStatus.CANCELLED):
        answer = mediajobs("jobs", "watch", running.job.id, "--json")
    changes = [json.loads(line) for line in answer.out.splitlines()]
    assert [each["status"] for each in changes] == ["processing", "cancelled"]
    assert changes[0]["progress"]["fraction"] == 0.4


def test_between_two_heartbeats_progress_is_estimated() -> None:
    """At the speed it had, and never as if it had ended."""
    later = PROGRESS.model_copy(update={"at": utc_now()})
    half = estimated(later, later.at.__class__.fromtimestamp(later.at.timestamp() + 6, later.at.tzinfo))
    assert (round(half.fraction or 0, 2), half.eta_s) == (0.7, 6.0)
    late = estimated(later, later.at.__class__.fromtimestamp(later.at.timestamp() + 600, later.at.tzinfo))
    assert (late.fraction, late.eta_s) == (0.99, 0.0)
    unknown = JobProgress(stage="fetch", at=later.at)
    assert estimated(unknown, utc_now()) == unknown
