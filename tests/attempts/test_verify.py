"""What verification does to a file before it is published."""

from __future__ import annotations

import hashlib
import re
from contextlib import nullcontext
from dataclasses import replace
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
from mediajobs_dagster.models import IMAGE, AudioStream, MediaInfo, VideoStream


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


def test_a_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    """Asked before each MiB whether to go on."""
    path, checks = tmp_path / "file", list[None]()
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert sha256_of(path, lambda: checks.append(None)) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(checks) == 2


# --- by content type -------------------------------------------------------------------------------------------------


def ask_nobody(*_: object) -> MediaInfo:
    """In place of ffmpeg, where it has nothing to do."""
    raise AssertionError("nothing has to be probed")


def verified(folder: Path, content: bytes, content_type: str) -> None:
    """Verify an output of that content; no ffmpeg is asked."""
    (folder / "output").write_bytes(content)
    verify(Output("output", "key", content_type), Verification(folder, ask_nobody, ask_nobody, {}))


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
        ("application/octet-stream", b"x"),
        # JSON of more than 4 MiB is not parsed: only its ends are looked at, whatever white space is around them.
        ("application/json", b"{" + b"\n" * (4 << 20) + b"}"),
        ("application/json", b" " * 63 + b"[" + b"x" * (4 << 20) + b"]" + b"\n" * 63),
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
        ("application/json", b"{" + b"x" * ((4 << 20) - 2) + b"}"),
        ("application/json", b"[" + b"1" * (4 << 20) + b"}"),
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


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_was_not_made_is_not_published(tmp_path: Path, is_folder: bool) -> None:
    """Nor what is no file."""
    if is_folder:
        (tmp_path / "output").mkdir()
    with pytest.raises(OutputInvalidError, match=r"^output was not made, although every step reported success\.$"):
        verify(Output("output", "key", "text/plain"), Verification(tmp_path, ask_nobody, ask_nobody, {}))


# --- against the plan ------------------------------------------------------------------------------------------------

VIDEO = VideoStream(index=0, codec="h264", width=640, height=360, fps=25.0, frames=75)
AUDIO = AudioStream(index=1, codec="aac", channels=2, sample_rate=48000, duration_seconds=3.0)
INFO = MediaInfo(container="mp4", duration_seconds=3.0, bytes=10, video=(VIDEO,), audio=(AUDIO,))
SOUND = {"sound_start": 0.0, "sound_tolerance": 0.1}
LENGTH = {"duration_tolerance": 0.1}


MADE = Made(out_seconds=3.0, frames=75, samples=3 * 48000, faults=Faults())


def verified_media(
    folder: Path, expected: dict[str, Any], info: MediaInfo, made: Made | None = MADE
) -> MediaInfo | None:
    """Verify media that a probe says this of, and ffmpeg that it made three seconds."""
    (folder / "output").write_bytes(b"media")
    output = Output("output", "key", "video/mp4", Expected(**expected))
    return verify(output, Verification(folder, lambda _: info, lambda *_: None, {"output": made} if made else {}))


@pytest.mark.parametrize(
    ("start", "damaged", "is_late"), [(0.25, 1, False), (0.26, 1, True), (0.26, 0, True), (-0.03, 1, True)]
)
def test_sound_may_begin_late_where_its_source_is_damaged(
    tmp_path: Path, start: float, damaged: int, is_late: bool
) -> None:
    """With the first packet that is good: a quarter of a second at most, and never early."""
    made, info = replace(MADE, faults=Faults(bad_sounds=damaged)), changed(audio={"start_seconds": start})
    with pytest.raises(OutputInvalidError, match="its sound begins at") if is_late else nullcontext():
        verified_media(tmp_path, {"sound_start": 0.0}, info, made)


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
        (SOUND, changed(audio={"start_seconds": 0.026}), "its sound begins at 0.026 s, expected 0.000 s"),
        (SOUND, changed(audio={"duration_seconds": None}), "its sound lasts 0.000 s, but ffmpeg encoded 3.000 s"),
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
        (LENGTH | {"duration_seconds": 3.0}, changed(duration_seconds=4.0)),  # a note says so
        (LENGTH | {"frames": 75}, INFO),
        ({}, changed(video={"frames": None})),
        (SOUND | {"sound_start": 1.0}, changed(audio={"start_seconds": 1.0})),
        (SOUND, changed(audio={"sample_rate": 0, "duration_seconds": 1.0})),
        # Off by as much as they may be.
        (SOUND, changed(audio={"start_seconds": 0.025})),
        (SOUND, changed(audio={"start_seconds": -0.025})),
        ({"sound_tolerance": 0.5}, changed(audio={"duration_seconds": 2.5})),
        ({"duration_tolerance": 0.5}, changed(duration_seconds=2.5)),
        ({"duration_tolerance": 0.5, "frames": 75, "duration_seconds": 3.0}, changed(duration_seconds=3.5)),
    ],
)
def test_media_that_is_as_planned_is_published(tmp_path: Path, expected: dict[str, Any], info: MediaInfo) -> None:
    """Within the tolerances; what the plan leaves open is not asked for."""
    assert verified_media(tmp_path, expected, info) == info


@pytest.mark.parametrize("made", [None, replace(MADE, frames=0, samples=None, out_seconds=None)])
def test_what_ffmpeg_did_not_say_is_not_asked_for(tmp_path: Path, made: Made | None) -> None:
    """Of a file that no ffmpeg made, and of one that it told nothing about."""
    info = changed(audio={"duration_seconds": 1.0})
    assert verified_media(tmp_path, SOUND | LENGTH, info, made) == info


def test_each_frame_that_ffmpeg_made_is_there(tmp_path: Path) -> None:
    """Where the plan does not say how many there are."""
    with pytest.raises(OutputInvalidError, match="number of frames is 75, expected 76"):
        verified_media(tmp_path, {}, INFO, replace(MADE, frames=76))


@pytest.mark.parametrize(("kind", "codec"), [("PNG", "png"), ("JPEG", "mjpeg"), ("WEBP", "webp")])
def test_a_picture_that_is_as_planned_is_published(tmp_path: Path, kind: str, codec: str) -> None:
    """Its codec is called as ffprobe calls it; the size is that of the plan, or it is not published."""
    Image.new("RGB", (64, 36)).save(tmp_path / "output", kind)

    def verified_picture(**expected: Any) -> MediaInfo | None:
        planned = Expected(video_codec=codec, **expected)
        output = Output("output", "key", f"image/{kind.lower()}", planned)
        return verify(output, Verification(tmp_path, lambda _: INFO, lambda *_: None, {}))

    stream = VideoStream(index=0, codec=codec, width=64, height=36, frames=1)
    size = (tmp_path / "output").stat().st_size
    assert verified_picture(width=64, height=36) == MediaInfo(
        container=IMAGE, duration_seconds=0.0, bytes=size, video=(stream,)
    )
    with pytest.raises(OutputInvalidError, match=re.escape("picture is (64, 36), expected (64, 64)")):
        verified_picture(width=64, height=64)


def test_a_picture_that_is_cut_off_is_not_published(tmp_path: Path) -> None:
    """Its head is whole: that it ends too early shows when it is decoded."""
    Image.effect_noise((64, 36), 100).save(tmp_path / "output", "PNG")
    content = (tmp_path / "output").read_bytes()
    with pytest.raises(OutputInvalidError, match=r"^output cannot be decoded"):
        verified(tmp_path, content[: len(content) // 2], "image/png")


@pytest.mark.parametrize("is_decodable", [True, False])
def test_the_end_of_media_is_decoded(tmp_path: Path, is_decodable: bool) -> None:
    """Where this ffmpeg can: that is where a file which was cut off fails."""
    (tmp_path / "output").write_bytes(b"media")
    decoded: list[tuple[str, float]] = []
    verification = Verification(tmp_path, lambda _: INFO, lambda name, lasts: decoded.append((name, lasts)), {})
    for content_type in ("video/mp4", "audio/mp4"):
        verify(Output("output", "key", content_type, Expected(is_decodable=is_decodable)), verification)
    assert decoded == [("output", 3.0)] * 2 * is_decodable
