"""Verify, then publish: an output is opened and checked before it gets its final key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mediajobs_dagster.errors import OutputInvalidError
from mediajobs_dagster.job_types.base import Expected, Output
from mediajobs_dagster.models import MediaInfo, VideoStream

_CHUNK = 1024 * 1024

Prober = Callable[[str], MediaInfo]
"""Probes a file in the scratch folder by its name."""


def verify(
    output: Output,
    folder: Path,
    probe: Prober,
    decode_end: Callable[[str, float], None],
    made_seconds: float | None,
) -> MediaInfo | None:
    """Check one output in `folder`; returns what a probe says of it, None where it is no media.

    It has to last as long as ffmpeg says it made it, `made_seconds`. What the source declares is no measure: tracks
    that are not used may be longer, and some containers are wrong about themselves. Videos are probed and the end of
    them is decoded, pictures are decoded whole. Raises OutputInvalidError that names every fault.
    """
    path = folder / output.filename
    if not path.is_file() or path.stat().st_size == 0:
        raise OutputInvalidError(f"{output.filename} was not made, although ffmpeg reported success.")
    if output.content_type.startswith("image/"):
        info = _picture(path)
    elif output.content_type.startswith(("video/", "audio/")):
        info = probe(output.filename)
        if output.expected.is_decodable:
            decode_end(output.filename, info.duration_seconds)
    else:
        return None
    faults = "; ".join(_faults(output.expected, info, made_seconds))
    if faults:
        raise OutputInvalidError(f"{output.filename} is not what was asked for: {faults}.")
    return info


def sha256_of(path: Path, check: Callable[[], None]) -> str:
    """The SHA-256 of a file, in hexadecimal. `check` is called before each MiB; what it raises ends the reading."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            check()
            digest.update(chunk)
    return digest.hexdigest()


def _picture(path: Path) -> MediaInfo:
    try:
        with Image.open(path) as image:
            image.load()
            codec = "mjpeg" if image.format == "JPEG" else (image.format or "unknown").lower()
            stream = VideoStream(index=0, codec=codec, width=image.width, height=image.height, frames=1)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise OutputInvalidError(f"{path.name} cannot be decoded: {error}.") from error
    return MediaInfo(container="image", duration_seconds=0.0, bytes=path.stat().st_size, video=(stream,))


def _faults(expected: Expected, info: MediaInfo, made_seconds: float | None) -> Iterator[str]:
    video, audio = info.main_video, info.main_audio
    yield from _differs("picture", (expected.width, expected.height), (video.width, video.height) if video else None)
    yield from _differs("video codec", expected.video_codec, video.codec if video else None)
    yield from _differs("audio codec", expected.audio_codec, audio.codec if audio else "")
    if expected.fps is not None and (video is None or video.fps is None or abs(video.fps - expected.fps) > 0.01):
        yield f"frame rate is {video.fps if video else None}, expected {expected.fps:g}"
    if expected.is_exact:
        yield from _differs("layout", (1, 1), (len(info.video), len(info.audio)))
        made_seconds = expected.duration_seconds
    if made_seconds is not None and expected.duration_tolerance is not None:
        off = abs(info.duration_seconds - made_seconds)
        if off > expected.duration_tolerance:
            yield f"it lasts {info.duration_seconds:.3f} s, and {made_seconds:.3f} s were made"


def _differs(what: str, expected: object, found: object) -> Iterator[str]:
    if expected not in (None, (None, None)) and expected != found:
        yield f"{what} is {found}, expected {expected}"
