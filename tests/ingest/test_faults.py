"""What goes wrong has its code, is blamed on whom it should be, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mediajobs_dagster.errors import Blame, VideoUnavailableError
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.clips import Clips
from tests.ingest.asking import fetched, tried
from tests.ingest.site import Site
from tests.platform import Platform
from tests.services.server import Exchange, head

OpenPlatform = Callable[..., Platform]
PAGE_OF = '<body><video src="{}"></video></body>'


def assert_nothing_left(platform: Platform) -> None:
    """No upload, no object, no file."""
    assert platform.media.uploads() == []
    assert [each.key for each in platform.storage.list("")] == []


@pytest.mark.parametrize("in_page", [False, True], ids=["file", "page"])
@pytest.mark.parametrize(
    ("status", "code", "blame", "after"),
    [
        (404, "VIDEO_UNAVAILABLE", Blame.INPUT, JobStatus.DEAD),
        (410, "VIDEO_UNAVAILABLE", Blame.INPUT, JobStatus.DEAD),
        (403, "VIDEO_REFUSED", Blame.INPUT, JobStatus.DEAD),
        (401, "VIDEO_REFUSED", Blame.INPUT, JobStatus.DEAD),
        (429, "SITE_PAUSED", Blame.EXTERNAL, JobStatus.FAILED),
        (500, "SITE_UNAVAILABLE", Blame.EXTERNAL, JobStatus.FAILED),
        (503, "SITE_UNAVAILABLE", Blame.EXTERNAL, JobStatus.FAILED),
    ],
)
def test_a_status(
    fetching: Platform, site: Site, status: int, code: str, blame: Blame, after: JobStatus, in_page: bool
) -> None:
    """Of the file itself, and of a file in a page."""
    address = site.has("/a.mp4", b"no", status=status)
    if in_page:
        address = site.page("/talk", PAGE_OF.format("/a.mp4"))
    (ended,) = fetched(fetching, address)
    assert ended.error
    assert (ended.error.code, ended.error.blame) == (code, blame), ended.error
    assert fetching.history.jobs.get(ended.job.id).status is after
    assert_nothing_left(fetching)


def test_what_was_answered_is_named(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """Not the list, which is there: its key, or one of its parts, whose name yt-dlp does not tell."""
    platform = open_fetching(service_tries=1)
    hls = {"Content-Type": "application/vnd.apple.mpegurl"}
    begin, end = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n", "#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n"
    keyed = site.has("/keyed.m3u8", f'{begin}#EXT-X-KEY:METHOD=AES-128,URI="key"\n{end}'.encode(), hls)
    parts = site.has("/parts.m3u8", f"{begin}#EXTINF:1,\n1.ts\n{end}".encode(), hls)
    site.has("/0.ts", clip, {"Content-Type": "video/mp2t"})
    for address, said in (
        (keyed, f"{site.url}/key, which belongs to {keyed}, was answered with 404. "),
        (parts, f"A part of {parts} was answered with 404. "),
    ):
        (ended,) = [each for each in fetched(platform, address) if each.error and address in each.error.message]
        assert ended.error
        assert ended.error.message.startswith(said)
    with pytest.raises(VideoUnavailableError, match=f"^{site.url}/none was answered with 404"):
        platform.media.ingest(f"{site.url}/none")


def test_one_site_holds_no_others_back(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """However many videos of a site that is away fail, the breaker of the job type stays closed."""
    platform = open_fetching(breaker_failures=2, service_tries=1)
    for number in range(4):
        fetched(platform, site.has(f"/{number}.mp4", b"no", status=503))
    (ended,) = fetched(platform, site.has("/good.mp4", clip))[-1:]
    assert ended.status is AttemptStatus.SUCCESS


def test_too_many_requests_pause_the_site(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """For all workers, for as long as the site asks; no attempt is used up, and nobody asks it meanwhile."""
    platform = open_fetching(outage_limit_s=3600.0)
    first = site.has("/a.mp4", b"", {"Retry-After": "600"}, 429)
    (ended,) = fetched(platform, first)
    assert ended.error
    assert ended.error.code == "SITE_PAUSED"
    assert 590 < (ended.error.retry_after_s or 0) <= 600
    second = site.has("/b.mp4", clip)
    (held,) = [each for each in fetched(platform, second) if each.job.id != ended.job.id]
    assert held.error
    assert held.error.code == "SITE_PAUSED"
    assert "is not asked" in held.error.message
    assert site.asked("/b.mp4") == []
    job = platform.history.jobs.get(held.job.id)
    assert (job.status, job.not_before is not None) == (JobStatus.FAILED, True)


def test_a_robot_check_pauses_the_site(open_fetching: OpenPlatform, site: Site) -> None:
    """Without a word of how long: as long as the setting says, and longer the next time in a row."""
    platform = open_fetching(ingest_pause_s=100.0)
    (ended,) = fetched(platform, site.has("/a.mp4", b"", status=429))
    assert ended.error
    assert 90 < (ended.error.retry_after_s or 0) <= 100
    standing = platform.history.sites.pause(f"127.0.0.1:{site.server.port}", 100.0, "again")
    assert 90 < standing <= 100  # it is under way: several workers meet the same refusal


@pytest.mark.parametrize("in_page", [False, True], ids=["file", "page"])
def test_a_body_that_ends_early(fetching: Platform, site: Site, clip: bytes, in_page: bool) -> None:
    """It is asked for again, from where it ended if the site can do that; what never comes whole is no upload."""

    def short(exchange: Exchange) -> None:
        exchange.end(head(200, {"Content-Length": str(len(clip)), "Content-Type": "video/mp4"}) + clip[:1000])

    address = site.does("/a.mp4", short)
    if in_page:
        address = site.page("/talk", PAGE_OF.format("/a.mp4"))
    (ended,) = fetched(fetching, address)
    assert ended.error
    assert ended.error.code == "SITE_ANSWER_INVALID", ended.error
    assert_nothing_left(fetching)


@pytest.mark.parametrize("in_page", [False, True], ids=["file", "page"])
def test_an_endless_body(open_fetching: OpenPlatform, site: Site, in_page: bool) -> None:
    """It ends at the limit, whatever the site says of its length; nothing of it stays."""

    def endless(exchange: Exchange) -> None:
        exchange.is_last = True
        exchange.send(head(200, {"Content-Type": "video/mp4"}) + b"\0\0\0\x18ftypmp42")
        while not exchange.over.is_set():
            exchange.send(b"x" * 65536)

    platform = open_fetching(ingest_max_mb=2)
    address = site.does("/a.mp4", endless)
    if in_page:
        address = site.page("/talk", PAGE_OF.format("/a.mp4"))
    (ended,) = fetched(platform, address)
    assert ended.error
    assert (ended.error.code, ended.error.blame) == ("INPUT_TOO_LARGE", Blame.INPUT), ended.error
    assert_nothing_left(platform)
    assert platform.leftovers() == []


@pytest.mark.parametrize("path", ["/a.mp4", "/talk"])
def test_a_redirect_in_a_circle(fetching: Platform, site: Site, path: str) -> None:
    """It is given up at once."""
    address = site.has(path, b"", {"Location": path}, 302)
    ended = tried(fetching, address)
    assert ended.error
    assert ended.error.code in ("VIDEO_UNAVAILABLE", "SITE_ANSWER_INVALID"), ended.error


@pytest.mark.parametrize("path", ["/a.mp4", "/talk"])
@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:video/mp4;base64,AAAA"])
def test_a_redirect_to_something_else(fetching: Platform, site: Site, path: str, target: str) -> None:
    """Only http and https are followed."""
    address = site.has(path, b"", {"Location": target}, 302)
    ended = tried(fetching, address)
    assert ended.error
    assert ended.error.code in ("ADDRESS_REFUSED", "SITE_ANSWER_INVALID", "VIDEO_UNAVAILABLE"), ended.error
    assert_nothing_left(fetching)


def test_a_page_instead_of_media(fetching: Platform, site: Site) -> None:
    """Whatever it calls itself; and a page without any video."""
    (lying,) = fetched(fetching, site.has("/a.mp4", b"<!DOCTYPE html><p>Not found"))
    assert lying.error
    assert lying.error.code == "INPUT_NOT_MEDIA"
    bare = tried(fetching, site.page("/talk", "<body>Nothing here.</body>"))
    assert bare.error
    assert bare.error.code == "INPUT_NOT_MEDIA"
    (empty,) = fetched(fetching, site.has("/b.mp4", b""))
    assert empty.error
    assert empty.error.code == "INPUT_EMPTY"
    assert_nothing_left(fetching)
    assert fetching.leftovers() == []


def test_media_that_is_broken(fetching: Platform, site: Site, clips: Clips) -> None:
    """A file that is cut off is refused, as any other is."""
    (ended,) = fetched(fetching, site.has("/a.mp4", clips.cut_in_middle().read_bytes()))
    assert ended.error
    assert ended.error.code == "INPUT_TRUNCATED", ended.error
    assert_nothing_left(fetching)


def test_a_live_stream(fetching: Platform, site: Site) -> None:
    """It has no end yet, so it is not begun."""
    playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:5,\n0.ts\n"
    kind = {"Content-Type": "application/vnd.apple.mpegurl"}
    (ended,) = fetched(fetching, site.has("/live.m3u8", playlist.encode(), kind))
    assert ended.error
    assert (ended.error.code, ended.error.blame) == ("VIDEO_LIVE", Blame.INPUT), ended.error
    assert site.asked("/0.ts") == []


def test_a_protected_stream(fetching: Platform, site: Site) -> None:
    """DRM is not gone around."""
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"\n'
    playlist = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n{key}#EXTINF:5,\n0.ts\n#EXT-X-ENDLIST\n"
    kind = {"Content-Type": "application/vnd.apple.mpegurl"}
    (ended,) = fetched(fetching, site.has("/a.m3u8", playlist.encode(), kind))
    assert ended.error
    assert ended.error.code == "VIDEO_PROTECTED", ended.error
    assert site.asked("/0.ts") == []


def test_a_list_is_no_video(fetching: Platform, site: Site) -> None:
    """What became one since it was asked for."""
    feed = (
        '<?xml version="1.0"?><rss version="2.0"><channel><title>A</title>'
        "<item><title>B</title><link>http://127.0.0.1/b</link></item></channel></rss>"
    )
    ended = tried(fetching, site.has("/talk", feed.encode(), {"Content-Type": "application/rss+xml"}))
    assert ended.error
    assert ended.error.code == "ADDRESS_IS_LIST", ended.error


def test_what_is_too_long(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """The limit holds although the site says nothing of the length."""
    platform = open_fetching(max_media_s=0.5)
    (ended,) = fetched(platform, site.has("/a.mp4", clip))
    assert ended.error
    assert ended.error.code == "INPUT_TOO_LONG", ended.error
    assert_nothing_left(platform)


@pytest.mark.parametrize("path", ["/a.mp4", "/talk"])
def test_a_site_that_is_silent(open_fetching: OpenPlatform, site: Site, path: str) -> None:
    """The time limit of a job ends it, whatever it is blocked in."""
    platform = open_fetching(job_timeout_s=2.0)
    ended = tried(platform, site.does(path, lambda exchange: exchange.hang()))
    assert ended.error
    assert ended.error.code == "TIMEOUT", ended.error
    assert ended.manifest.duration_ms < 9000


@pytest.mark.parametrize("path", ["/a.mp4", "/talk"])
def test_a_site_that_drips(open_fetching: OpenPlatform, site: Site, path: str) -> None:
    """Nor does it help to send a byte now and then."""

    def drip(exchange: Exchange) -> None:
        exchange.send(head(200, {"Content-Type": "video/mp4"}))
        exchange.drip(b"x")

    platform = open_fetching(job_timeout_s=2.0)
    ended = tried(platform, site.does(path, drip))
    assert ended.error
    assert ended.error.code == "TIMEOUT", ended.error
    assert ended.manifest.duration_ms < 9000


def test_a_full_disk(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """What came in by then goes, so that others have room; the job is tried again later."""
    platform = open_fetching(outage_limit_s=3600.0, scratch_reserve_mb=1 << 30)
    for address in (site.has("/a.mp4", clip), site.page("/talk", PAGE_OF.format("/a.mp4"))):
        ended = tried(platform, address)
        assert ended.error
        assert ended.error.code == "DISK_FULL", ended.error
        assert platform.history.jobs.get(ended.job.id).status is JobStatus.FAILED
    assert platform.leftovers() == []


@pytest.mark.parametrize("path", ["/a.mp4", "/talk"])
def test_a_job_that_is_cancelled(open_fetching: OpenPlatform, site: Site, path: str) -> None:
    """It ends with the next heartbeat, in the middle of whatever it waits for."""
    platform = open_fetching(lease_s=2.0)
    cancelled: list[str] = []

    def cancel(exchange: Exchange) -> None:
        (job,) = platform.media.jobs()
        cancelled.append(platform.media.cancel(job.id).id)
        exchange.hang()

    ended = tried(platform, site.does(path, cancel))
    assert ended.error
    assert ended.status in (AttemptStatus.CANCELLED, AttemptStatus.LOST), ended.error
    assert cancelled == [ended.job.id]
