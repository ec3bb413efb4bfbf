"""What verification does to a file before it is published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediajobs_dagster.attempts.verify import Verification, sha256_of, verify
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import CancelledError, OutputInvalidError
from mediajobs_dagster.job_types.plan import Expected, Output
from mediajobs_dagster.media.run import Made
from mediajobs_dagster.media.stderr import Faults
from mediajobs_dagster.models import AudioStream, MediaInfo, VideoStream


def test_a_digest_of_a_large_file_can_be_cancelled(tmp_path: Path) -> None:
    """A terabyte, all of it a hole: reading on after the cancellation would take longer than any test may."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**40)
    cancellation, checks = Cancellation(), 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            cancellation.cancel(CancelledError())
        cancellation.check()

    with pytest.raises(CancelledError):
        sha256_of(path, check)
    assert checks == 3


# --- by content type -------------------------------------------------------------------------------------------------


def verified(folder: Path, content: bytes, content_type: str) -> None:
    """Verify an output of that content; no ffmpeg is asked."""
    (folder / "output").write_bytes(content)

    def ask(*_: object) -> MediaInfo:
        raise AssertionError("nothing has to be probed")

    verify(Output("output", "key", content_type), Verification(folder, ask, ask, {}))


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b'{"points": []}'),
        ("application/json", b'{"points": [' + b"1.25, " * (1 << 20) + b"0]}"),
        ("text/plain", "Grüße".encode()),
        ("text/vtt", b"WEBVTT\n"),
        ("text/plain; charset=utf-8", b"so"),
        ("application/jsonl", b"{}\n{}\n"),
        ("image/svg+xml", b"<svg/>"),
        ("application/octet-stream", b"\xff\x00"),
    ],
)
def test_what_is_as_its_type_says_is_published(tmp_path: Path, content_type: str, content: bytes) -> None:
    """A type that nobody knows has to be there, and no more."""
    verified(tmp_path, content, content_type)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b""),
        ("application/json", b'{"points": ['),
        ("application/json; charset=utf-8", b'{"points": ['),
        ("application/json", b"[" * 200_000),
        ("application/json", b'{"points": [' + b"1.25, " * (1 << 20)),
        ("text/plain", "Grüße".encode("latin-1")),
        ("text/plain", "Grüße".encode()[:3]),
        ("application/octet-stream", b""),
        ("image/png", b"no picture"),
    ],
)
def test_what_is_cut_off_or_of_another_kind_is_not(tmp_path: Path, content_type: str, content: bytes) -> None:
    """Whatever a step reported, nothing broken gets a key."""
    with pytest.raises(OutputInvalidError, match="output"):
        verified(tmp_path, content, content_type)


# --- against the plan ------------------------------------------------------------------------------------------------

VIDEO = VideoStream(index=0, codec="h264", width=640, height=360, fps=25.0, frames=75)
AUDIO = AudioStream(index=1, codec="aac", channels=2, sample_rate=48000, duration_seconds=3.0)
INFO = MediaInfo(container="mp4", duration_seconds=3.0, bytes=10, video=(VIDEO,), audio=(AUDIO,))
SOUND = {"sound_start": 0.0, "sound_tolerance": 0.1}
LENGTH = {"duration_tolerance": 0.1}


def verified_media(folder: Path, expected: dict[str, Any], info: MediaInfo) -> MediaInfo | None:
    """Verify media that a probe says this of, and ffmpeg that it made three seconds."""
    (folder / "output").write_bytes(b"media")
    output = Output("output", "key", "video/mp4", Expected(**expected))
    made = Made(out_seconds=3.0, frames=75, samples=3 * 48000, faults=Faults())
    return verify(output, Verification(folder, lambda _: info, lambda *_: None, {"output": made}))


def changed(*, video: dict[str, Any] | None = None, audio: dict[str, Any] | None = None, **info: Any) -> MediaInfo:
    """The media with something else about it."""
    tracks = {"video": (VIDEO.model_copy(update=video or {}),), "audio": (AUDIO.model_copy(update=audio or {}),)}
    return INFO.model_copy(update=tracks | info)


@pytest.mark.parametrize(
    ("expected", "info", "said"),
    [
        ({"width": 640, "height": 358}, INFO, "picture is (640, 360), expected (640, 358)"),
        ({"width": 640, "height": 360}, INFO.model_copy(update={"video": ()}), "picture is None"),
        ({"video_codec": "hevc"}, INFO, "video codec is h264, expected hevc"),
        ({"audio_codec": ""}, INFO, "audio codec is aac, expected "),
        ({"matrix": "bt709"}, INFO, "colour matrix is None, expected bt709"),
        ({"fps": 25.0}, changed(video={"fps": 24.98}), "frame rate is 24.98, expected 25"),
        ({"fps": 25.0}, changed(video={"fps": None}), "frame rate is None, expected 25"),
        ({"fps": 25.0}, INFO.model_copy(update={"video": ()}), "frame rate is None, expected 25"),
        ({"frames": 76}, INFO, "number of frames is 75, expected 76"),
        ({"frames": 75}, INFO.model_copy(update={"audio": (AUDIO, AUDIO)}), "layout is (1, 2), expected (1, 1)"),
        (SOUND, changed(audio={"start_seconds": 0.2}), "its sound begins at 0.200 s, expected 0.000 s"),
        (SOUND, changed(audio={"start_seconds": -0.2}), "its sound begins at -0.200 s, expected 0.000 s"),
        (SOUND, changed(audio={"duration_seconds": 2.8}), "its sound lasts 2.800 s, but ffmpeg encoded 3.000 s"),
        (LENGTH, changed(duration_seconds=2.8), "it lasts 2.800 s, but ffmpeg wrote 3.000 s"),
        (
            LENGTH | {"frames": 75, "duration_seconds": 3.0},
            changed(duration_seconds=3.2),
            "it lasts 3.200 s, expected 3.000 s",
        ),
    ],
)
def test_media_that_is_not_as_planned_is_not_published(
    tmp_path: Path, expected: dict[str, Any], info: MediaInfo, said: str
) -> None:
    """Each fault is said."""
    with pytest.raises(OutputInvalidError, match=re.escape(f"output is not what was planned: {said}")):
        verified_media(tmp_path, expected, info)


@pytest.mark.parametrize(
    ("expected", "info"),
    [
        ({}, changed(video={"fps": None}, audio={"start_seconds": 1.0, "duration_seconds": 1.0}, duration_seconds=1.0)),
        ({"width": 640, "height": 360, "video_codec": "h264", "audio_codec": "aac", "fps": 25.0, "frames": 75}, INFO),
        ({"fps": 25.0}, changed(video={"fps": 25.005})),
        (SOUND, changed(audio={"start_seconds": 0.01, "duration_seconds": 2.95})),
        (LENGTH, changed(duration_seconds=2.95)),
        (LENGTH, changed(duration_seconds=4.0)),
        (LENGTH | {"frames": 75, "duration_seconds": 3.0}, changed(duration_seconds=3.05)),
    ],
)
def test_media_that_is_as_planned_is_published(tmp_path: Path, expected: dict[str, Any], info: MediaInfo) -> None:
    """Within the tolerances; what the plan leaves open is not asked for."""
    assert verified_media(tmp_path, expected, info) == info


@pytest.mark.parametrize(("kind", "codec"), [("PNG", "png"), ("JPEG", "mjpeg"), ("WEBP", "webp")])
def test_a_picture_that_is_as_planned_is_published(tmp_path: Path, kind: str, codec: str) -> None:
    """Its codec is called as ffprobe calls it; the size is that of the plan, or it is not published."""
    Image.new("RGB", (64, 36)).save(tmp_path / "output", kind)

    def verified_picture(**expected: Any) -> MediaInfo | None:
        planned = Expected(video_codec=codec, **expected)
        output = Output("output", "key", f"image/{kind.lower()}", planned)
        return verify(output, Verification(tmp_path, lambda _: INFO, lambda *_: None, {}))

    info = verified_picture(width=64, height=36)
    assert info is not None
    assert (info.is_image, info.bytes) == (True, (tmp_path / "output").stat().st_size)
    with pytest.raises(OutputInvalidError, match=re.escape("picture is (64, 36), expected (64, 64)")):
        verified_picture(width=64, height=64)
