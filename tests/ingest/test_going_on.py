"""A download that was interrupted goes on where it ended, if the site allows it."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.errors import SitePausedError
from mediajobs_dagster.job_types.ingest_video.kept import kept_folder
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.ingest.asking import attempted, only_upload, tried
from tests.ingest.site import Site
from tests.platform import AllGone, Platform
from tests.services.server import Exchange, head

OpenPlatform = Callable[..., Platform]


def interrupted(body: bytes, *, etag: str = '"one"', whole_from: int = 1) -> Callable[[Exchange], None]:
    """Breaks off in the middle of the first answers; answers ranges of the version that it has."""
    answers = 0

    def behave(exchange: Exchange) -> None:
        nonlocal answers
        answers += 1
        given = exchange.headers.get("Range", "")
        start = int(given.removeprefix("bytes=").partition("-")[0] or 0) if given.startswith("bytes=") else 0
        if exchange.headers.get("If-Range", etag) != etag:
            start = 0
        headers = {"Content-Type": "video/mp4", "Content-Length": str(len(body) - start), "ETag": etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        is_whole = answers > whole_from
        exchange.end(head(206 if start else 200, headers) + (rest if is_whole else rest[: len(rest) // 2]))

    return behave


@pytest.mark.parametrize("in_page", [False, True], ids=["file", "page"])
def test_within_an_attempt(fetching: Platform, site: Site, clip: bytes, in_page: bool) -> None:
    """A connection that breaks costs only what is missing."""
    address = site.does("/a.mp4", interrupted(clip))
    if in_page:
        address = site.page("/talk", '<body><video src="/a.mp4"></video></body>')
    ended = tried(fetching, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert fetching.output(only_upload(fetching).storage_key).read_bytes() == clip
    assert any(each.headers.get("Range", "").startswith("bytes=") for each in site.asked("/a.mp4"))


@pytest.mark.parametrize("in_page", [False, True], ids=["file", "page"])
def test_in_the_next_attempt(open_fetching: OpenPlatform, site: Site, clip: bytes, in_page: bool) -> None:
    """What came in is there for it, and gone afterwards."""
    platform = open_fetching(service_tries=1, outage_limit_s=0.0)
    address = site.does("/a.mp4", interrupted(clip))
    if in_page:
        address = site.page("/talk", '<body><video src="/a.mp4"></video></body>')
    first = tried(platform, address)
    assert first.error
    assert platform.history.jobs.get(first.job.id).status is JobStatus.FAILED
    assert platform.leftovers()
    (second,) = attempted(platform)
    assert second.status is AttemptStatus.SUCCESS, second.error
    assert platform.output(only_upload(platform).storage_key).read_bytes() == clip
    assert platform.leftovers() == []
    (call,) = second.manifest.calls
    assert call.bytes < len(clip)


def test_another_version_begins_anew(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """Two halves of different files are no file."""
    platform = open_fetching(service_tries=1)
    address = site.does("/a.mp4", interrupted(b"x" * 100_000))
    assert tried(platform, address).error
    site.does("/a.mp4", interrupted(clip, etag='"two"', whole_from=0))
    (ended,) = attempted(platform)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert platform.output(only_upload(platform).storage_key).read_bytes() == clip


def test_a_site_without_versions_begins_anew(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """Without an ETag or a date nobody knows whether it is the same file."""

    def short(exchange: Exchange) -> None:
        exchange.end(head(200, {"Content-Length": str(len(clip))}) + clip[: len(clip) // 2])

    platform = open_fetching(service_tries=1)
    address = site.does("/a.mp4", short)
    assert tried(platform, address).error
    site.has("/a.mp4", clip)
    (ended,) = attempted(platform)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert "Range" not in site.asked("/a.mp4")[-1].headers


def test_a_range_that_is_not_there(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """A site that refuses it gives the whole."""
    platform = open_fetching(service_tries=1)
    address = site.does("/a.mp4", interrupted(clip))
    assert tried(platform, address).error

    def refusing(exchange: Exchange) -> None:
        if "Range" in exchange.headers:
            exchange.answer(b"", 416)
        else:
            exchange.answer(clip)

    site.does("/a.mp4", refusing)
    (ended,) = attempted(platform)
    assert ended.status is AttemptStatus.SUCCESS, ended.error


def test_two_jobs_fetch_it_once(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """While one fetches a video, another job on it waits; then it finds what was fetched."""
    platform = open_fetching(outage_limit_s=3600.0)
    address = site.has("/a.mp4", clip)
    platform.media.ingest(address)
    video = platform.media.videos.list()[0].video
    with kept_folder(platform.settings.scratch, video.id, "the job that has it", platform.settings.home):
        (ended,) = attempted(platform)
    assert ended.error
    assert (ended.error.code, site.asked("/a.mp4")) == ("SITE_PAUSED", [])
    platform.media.retry(ended.job.id)
    (ended,) = attempted(platform)
    assert ended.status is AttemptStatus.SUCCESS
    assert len(site.asked("/a.mp4")) == 1


def test_a_folder_that_is_removed_as_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a folder that is gone holds nobody off: it is taken anew."""
    lock, folder = fcntl.flock, tmp_path / "downloads" / "a-video"

    def lock_late(file: int, kind: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        shutil.rmtree(folder)  # as whoever had it ends between the two calls
        lock(file, kind)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with kept_folder(tmp_path, "a-video", "one job", tmp_path) as kept:
        (kept / "part0").touch()
        with pytest.raises(SitePausedError), kept_folder(tmp_path, "a-video", "another", tmp_path):
            pass
    assert list((tmp_path / "downloads").iterdir()) == []


_WORKER = """
import sys
from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.system import MediaJobs
with MediaJobs.open(home=sys.argv[1], private_addresses="127.0.0.0/8", scratch_reserve_mb=1) as media:
    found = media.dispatcher.next("ingest_video_v1", batch_size=1)
    with media.worker() as worker:
        work_off(worker, media.registry["ingest_video_v1"], found.id, run_id="run", listeners=Listeners([]))
"""


@pytest.mark.parametrize("in_page", [False, True], ids=["file", "page"])
def test_a_worker_that_is_killed(fetching: Platform, site: Site, clip: bytes, in_page: bool) -> None:
    """The attempt is lost, and none of the job's is used up; the next one goes on with what came in."""
    halves = {"ETag": '"one"', "Content-Type": "video/mp4", "Content-Length": str(len(clip))}

    def half(exchange: Exchange) -> None:
        exchange.send(head(200, halves) + clip[: len(clip) // 2])
        exchange.hang()

    address = site.does("/a.mp4", half)
    if in_page:
        address = site.page("/talk", '<body><video src="/a.mp4"></video></body>')
    (asked,) = fetching.media.ingest(address).videos
    home = str(fetching.settings.home)
    with subprocess.Popen([sys.executable, "-c", _WORKER, home]) as worker:
        assert site.server.blocked.wait(120)
        wait_for(lambda: any(each.stat().st_size > 1000 for each in fetching.leftovers()))
        worker.kill()
    recover(fetching.history, fetching.settings, AllGone(), settling_s=0)
    assert asked.job
    job = fetching.history.jobs.get(asked.job.id)
    assert job.status is JobStatus.FAILED
    site.does("/a.mp4", interrupted(clip, whole_from=0))
    fetching.media.retry(job.id)
    (ended,) = attempted(fetching)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert fetching.output(only_upload(fetching).storage_key).read_bytes() == clip
    assert site.asked("/a.mp4")[-1].headers["Range"].startswith("bytes=")
    assert fetching.leftovers() == []


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds."""
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("start", "rest"), [(0, 100), (9_000_000_000, 100), (None, 100)], ids=["the beginning", "far behind", "no word"]
)
def test_another_part_than_was_asked_for(
    open_fetching: OpenPlatform, site: Site, clip: bytes, start: int | None, rest: int
) -> None:
    """It is not put behind what is there: the whole is asked for."""
    address = site.does("/a.mp4", interrupted(clip))

    def confused(exchange: Exchange) -> None:
        if "Range" not in exchange.headers:
            exchange.answer(clip, headers={"ETag": '"one"'})
            return
        where = {} if start is None else {"Content-Range": f"bytes {start}-{start + rest - 1}/9999999999"}
        exchange.answer(clip[:rest], 206, {"ETag": '"one"', **where})

    platform = open_fetching(service_tries=1)
    assert tried(platform, address).error
    site.does("/a.mp4", confused)
    (ended,) = attempted(platform)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert platform.output(only_upload(platform).storage_key).read_bytes() == clip


def test_less_than_the_rest(fetching: Platform, site: Site, clip: bytes) -> None:
    """A site may give a part of what was asked for; the next try asks for what is then missing."""
    size = -(-len(clip) // 2)

    def part(exchange: Exchange) -> None:
        start = int(exchange.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        body = clip[start : start + size]
        where = f"bytes {start}-{start + len(body) - 1}/{len(clip)}"
        exchange.answer(body, 206, {"ETag": '"one"', "Content-Range": where})

    ended = tried(fetching, site.does("/a.mp4", part))
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert fetching.output(only_upload(fetching).storage_key).read_bytes() == clip


def test_a_part_that_nobody_asked_for(fetching: Platform, site: Site, clip: bytes) -> None:
    """It is no video, and the site is to blame for that."""
    half = len(clip) // 2
    where = {"Content-Range": f"bytes {half}-{len(clip) - 1}/{len(clip)}"}
    ended = tried(fetching, site.has("/a.mp4", clip[half:], where, 206))
    assert ended.error
    assert ended.error.code == "SITE_ANSWER_INVALID", ended.error
