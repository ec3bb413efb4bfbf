"""A small answer that asks for much: memory and time have bounds, and the address is blamed for it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mediajobs_dagster.errors import Blame, InputTooLargeError
from mediajobs_dagster.services.downloads import bounds
from mediajobs_dagster.services.downloads.bounds import Stopped, memory_bounded
from tests.ingest.asking import fetched, only_upload, tried
from tests.ingest.site import HTML, Site
from tests.platform import Platform
from tests.services.server import Exchange, head

OpenPlatform = Callable[..., Platform]
MIB = 1 << 20
MPD = {"Content-Type": "application/dash+xml"}


def deflated(body: bytes) -> bytes:
    """Without a head, as many servers send it."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packing.compress(body) + packing.flush()


PACKED: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": deflated}


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a mebibyte is too large."""
    monkeypatch.setattr(bounds, "PAGE_BYTES", MIB)


def refused(platform: Platform, address: str) -> str:
    """The words with which an address is refused, by who looks at it and by a job."""
    with pytest.raises(InputTooLargeError) as caught:
        platform.media.ingest(address)
    ended = tried(platform, address)
    assert ended.error
    assert (ended.error.code, ended.error.blame) == ("INPUT_TOO_LARGE", Blame.INPUT), ended.error
    assert ended.error.message == str(caught.value)
    assert platform.leftovers() == []
    return ended.error.message


@pytest.mark.parametrize("encoding", PACKED)
def test_a_page_that_unpacks_to_much(fetching: Platform, site: Site, small_bounds: None, encoding: str) -> None:
    """Only so much of it is unpacked."""
    packed = PACKED[encoding](b"<!doctype html>" + bytes(8 * MIB))
    address = site.has("/talk", packed, {**HTML, "Content-Encoding": encoding})
    assert "more than 1 MiB when it is unpacked" in refused(fetching, address)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_page(fetching: Platform, site: Site, clip: bytes, encoding: str) -> None:
    """It is read as ever."""
    site.has("/a.mp4", clip)
    page = b'<!doctype html><html><title>On bees</title><body><video src="/a.mp4"></video></body></html>'
    address = site.has("/talk", PACKED[encoding](page), {**HTML, "Content-Encoding": encoding})
    (ended,) = fetched(fetching, address)
    assert ended.error is None
    assert only_upload(fetching).filename.startswith("On bees")


@pytest.mark.parametrize("is_chunked", [False, True], ids=["until it closes", "in chunks"])
def test_a_page_without_end(fetching: Platform, site: Site, small_bounds: None, is_chunked: bool) -> None:
    """It is read to the limit; a length that the site adds to it means nothing."""
    piece = b"<p>x</p>" * 8192
    sent = f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if is_chunked else piece

    def endless(exchange: Exchange) -> None:
        exchange.is_last = True
        more = {"Transfer-Encoding": "chunked", "Content-Length": "10"} if is_chunked else {}
        exchange.send(head(200, {**HTML, **more}))
        while not exchange.over.is_set():
            exchange.send(sent)

    assert "more than 1 MiB." in refused(fetching, site.does("/talk", endless))


def test_a_manifest_of_endless_parts(fetching: Platform, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred bytes of it would be a hundred gigabytes of addresses."""
    monkeypatch.setattr("mediajobs_dagster.services.downloads.client.MEMORY_BYTES", 64 * MIB)
    manifest = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT9S"><Period>'
        '<AdaptationSet mimeType="video/mp4"><SegmentTemplate media="$Number$.m4s" initialization="i.mp4">'
        '<SegmentTimeline><S t="0" d="1" r="2000000000"/></SegmentTimeline></SegmentTemplate>'
        '<Representation id="v" bandwidth="1" codecs="avc1"/></AdaptationSet></Period></MPD>'
    )
    site.has("/a.mpd", manifest.encode(), MPD)
    page = '<body><video><source src="/a.mpd" type="application/dash+xml"></video></body>'
    begin = psutil.Process().memory_info().rss
    assert "more than 64 MiB of memory" in refused(fetching, site.page("/talk", page))
    assert psutil.Process().memory_info().rss - begin < 1024 * MIB


def test_what_has_no_end_in_memory_is_stopped() -> None:
    """Even if something on the way catches every error; afterwards nothing more comes."""
    taken: list[bytes] = []

    def fill() -> None:
        while True:
            with suppress(Exception):  # as yt-dlp does
                taken.append(bytes(65536))

    with pytest.raises(Stopped), memory_bounded(16 * MIB):
        fill()
    taken.clear()
    with memory_bounded(64 * MIB):
        taken.append(bytes(MIB))


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "mms"])
def test_subtitles_that_a_program_would_fetch(
    fetching: Platform, site: Site, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """It is not started: it would go past the proxy."""
    programs, started = tmp_path / "programs", tmp_path / "started"
    programs.mkdir()
    for name in ("rtmpdump", "mplayer", "mpv"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} $* >> {started}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    site.has("/a.mp4", clip)
    track = f'<track kind="subtitles" srclang="en" src="{scheme}://127.0.0.1/a.vtt">'
    (ended,) = fetched(fetching, site.page("/talk", f'<body><video src="/a.mp4">{track}</video></body>'))
    assert ended.error is None
    assert not started.exists()
    assert any(scheme in note for note in ended.manifest.notes)
