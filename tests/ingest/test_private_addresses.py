"""Nothing leads into a private network: no address, redirect, list, manifest or fragment. A listener counts hits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mediajobs_dagster.errors import AddressRefusedError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.services.downloads import proxy
from tests.ingest.asking import tried
from tests.ingest.site import Site, running_site
from tests.platform import Platform

OpenPlatform = Callable[..., Platform]
HLS = {"Content-Type": "application/vnd.apple.mpegurl"}


@pytest.fixture
def inner(clip: bytes) -> Iterator[Site]:
    """A site in the private network: it has all that is asked for, and nobody may ask."""
    with running_site() as running:
        running.has("/a.mp4", clip)
        running.has("/0.ts", clip, {"Content-Type": "video/mp2t"})
        yield running


@pytest.fixture
def platform(open_fetching: OpenPlatform, site: Site, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """One to which the outer site is public and everything else on loopback is not."""
    real, outer = proxy.check_address, site.server.port
    asked: list[int] = []

    def addresses_of(host: str, port: int) -> list[proxy.Address]:
        asked.append(port)
        return real_addresses(host, port)

    def check(host: str, number: str, allowed: object) -> None:
        if asked[-1] != outer:
            real(host, number, ())

    real_addresses = proxy.addresses_of
    monkeypatch.setattr(proxy, "addresses_of", addresses_of)
    monkeypatch.setattr(proxy, "check_address", check)
    return open_fetching(service_tries=1)


def assert_refused(platform: Platform, inner: Site, address: str) -> None:
    """Nobody came to the inner site, and the job says why."""
    ended = tried(platform, address)
    assert ended.status is AttemptStatus.FAILURE
    assert ended.error
    assert ended.error.code == AddressRefusedError.code, ended.error
    assert inner.server.connections == 0
    assert platform.media.uploads() == []


def test_the_address_itself(open_fetching: OpenPlatform, inner: Site) -> None:
    """Neither where it is asked for, nor in the job."""
    platform = open_fetching(private_addresses="")
    for path in ("/a.mp4", "/talk"):
        with pytest.raises(AddressRefusedError):
            platform.media.ingest(inner.url + path)
    for name in ("localhost", "127.0.0.1"):
        for path in ("/a.mp4", "/talk"):
            assert_refused(platform, inner, f"http://{name}:{inner.server.port}{path}")


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest/meta-data", "http://[::ffff:10.0.0.1]/a", "http://2130706433/a"]
)
def test_numbers_are_refused_as_they_are_asked_for(open_fetching: OpenPlatform, address: str) -> None:
    """Before anything is kept of them."""
    platform = open_fetching(private_addresses="")
    with pytest.raises(AddressRefusedError):
        platform.media.ingest(address)
    assert platform.media.videos.list() == []


def test_a_redirect(platform: Platform, site: Site, inner: Site) -> None:
    """Of a page, and of the media in it."""
    assert_refused(platform, inner, site.has("/talk", b"", {"Location": f"{inner.url}/a.mp4"}, 302))
    site.has("/b.mp4", b"", {"Location": f"{inner.url}/a.mp4"}, 302)
    assert_refused(platform, inner, site.page("/other", '<body><video src="/b.mp4"></video></body>'))


def test_the_media_of_a_page(platform: Platform, site: Site, inner: Site) -> None:
    """Named by the page itself."""
    address = site.page("/talk", f'<body><video src="{inner.url}/a.mp4"></video></body>')
    assert_refused(platform, inner, address)


def test_a_manifest_and_its_fragments(platform: Platform, site: Site, inner: Site) -> None:
    """A master that names a manifest there, and a manifest that names fragments or keys there."""
    master = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{inner.url}/v.m3u8\n"
    assert_refused(platform, inner, site.has("/m.m3u8", master.encode(), HLS))
    begin = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n"
    fragments = f"{begin}#EXTINF:1,\n{inner.url}/0.ts\n#EXT-X-ENDLIST\n"
    assert_refused(platform, inner, site.has("/f.m3u8", fragments.encode(), HLS))
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="{inner.url}/key"\n'
    keyed = f"{begin}{key}#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n"
    site.has("/0.ts", b"x" * 188, {"Content-Type": "video/mp2t"})
    assert_refused(platform, inner, site.has("/k.m3u8", keyed.encode(), HLS))


def test_a_list_names_no_objects(platform: Platform, site: Site) -> None:
    """What our own credentials would open, only who asks may name; nothing of the list is asked for then."""
    feed = (
        '<?xml version="1.0"?><rss version="2.0"><channel><title>A</title>'
        "<item><title>B</title><link>s3://private/secret.mp4</link></item></channel></rss>"
    )
    address = site.has("/objects.xml", feed.encode(), {"Content-Type": "application/rss+xml"})
    with pytest.raises(AddressRefusedError, match="lists an object of S3"):
        platform.media.ingest(address)
    assert platform.history.jobs.list(JobFilter()) == []


def test_an_entry_of_a_list(open_fetching: OpenPlatform, platform: Platform, site: Site, inner: Site) -> None:
    """By a number it is refused at once; the job of a name is, when it is looked up."""
    feed = (
        '<?xml version="1.0"?><rss version="2.0"><channel><title>A</title>'
        f"<item><title>B</title><link>http://localhost:{inner.server.port}/a.mp4</link></item></channel></rss>"
    )
    address = site.has("/feed.xml", feed.encode(), {"Content-Type": "application/rss+xml"})
    asked = platform.media.ingest(address)
    assert [each.video.address for each in asked.videos] == [f"http://localhost:{inner.server.port}/a.mp4"]
    assert inner.server.connections == 0
