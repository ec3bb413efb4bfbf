"""Verify, then publish: an output is opened and checked before it gets its final key.

How it is checked follows from its content type. An output of a type that is not in `VERIFIERS` must not be empty.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mediajobs_dagster.errors import OutputInvalidError
from mediajobs_dagster.job_types.plan import Expected, Output
from mediajobs_dagster.models import IMAGE, MediaInfo, VideoStream

_CHUNK = 1024 * 1024
_PARSED_BYTES = 4 << 20
"""JSON up to this size is parsed; of longer files, as of ten hours of an envelope, only both ends are looked at."""


@dataclass(frozen=True)
class Verification:
    """What verifiers work with."""

    folder: Path
    probe: Callable[[str], MediaInfo]
    """Probes a file in the folder by its name."""
    decode_end: Callable[[str, float], None]
    """Decodes the last second of a file of so many seconds."""
    made_seconds: Mapping[str, float | None]
    """Seconds of media that ffmpeg says it wrote into each file."""


Verifier = Callable[[Output, Verification], MediaInfo | None]
"""Checks one output; returns what a probe says of it, None where it is no media. Raises OutputInvalidError."""


def verify(output: Output, verification: Verification) -> MediaInfo | None:
    """Check one output; returns what a probe says of it, None where it is no media.

    Raises OutputInvalidError that names every fault.
    """
    path = verification.folder / output.filename
    if not path.is_file() or path.stat().st_size == 0:
        raise OutputInvalidError(f"{output.filename} was not made, although every step reported success.")
    for prefix, verifier in VERIFIERS.items():
        if output.content_type.startswith(prefix):
            return verifier(output, verification)
    return None


def sha256_of(path: Path, check: Callable[[], None]) -> str:
    """The SHA-256 of a file, in hexadecimal. `check` is called before each MiB; what it raises ends the reading."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            check()
            digest.update(chunk)
    return digest.hexdigest()


# --- by content type -------------------------------------------------------------------------------------------------


def _verify_media(output: Output, verification: Verification) -> MediaInfo:
    """Probed, and its end is decoded. It has to last as long as ffmpeg says it made it.

    What the source declares is no measure: tracks that are not used may be longer, and some containers are wrong about
    themselves.
    """
    info = verification.probe(output.filename)
    if output.expected.is_decodable:
        verification.decode_end(output.filename, info.duration_seconds)
    _require(output, _faults(output.expected, info, verification.made_seconds.get(output.filename)))
    return info


def _verify_picture(output: Output, verification: Verification) -> MediaInfo:
    """Decoded whole."""
    path = verification.folder / output.filename
    try:
        with Image.open(path) as image:
            image.load()
            codec = "mjpeg" if image.format == "JPEG" else (image.format or "unknown").lower()
            stream = VideoStream(index=0, codec=codec, width=image.width, height=image.height, frames=1)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise OutputInvalidError(f"{path.name} cannot be decoded: {error}.") from error
    info = MediaInfo(container=IMAGE, duration_seconds=0.0, bytes=path.stat().st_size, video=(stream,))
    _require(output, _faults(output.expected, info, verification.made_seconds.get(output.filename)))
    return info


def _verify_json(output: Output, verification: Verification) -> None:
    path = verification.folder / output.filename
    try:
        if path.stat().st_size <= _PARSED_BYTES:
            json.loads(path.read_bytes())
            return
    except ValueError as error:
        raise OutputInvalidError(f"{output.filename} is no JSON: {error}.") from error
    with path.open("rb") as file:
        begin = file.read(64).lstrip()[:1]
        file.seek(-64, 2)
        end = file.read().rstrip()[-1:]
    if (begin, end) not in ((b"{", b"}"), (b"[", b"]")):
        raise OutputInvalidError(f"{output.filename} is no whole JSON document.")


def _verify_text(output: Output, verification: Verification) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with (verification.folder / output.filename).open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise OutputInvalidError(f"{output.filename} is no text in UTF-8: {error}.") from error


VERIFIERS: Mapping[str, Verifier] = {
    "image/": _verify_picture,
    "video/": _verify_media,
    "audio/": _verify_media,
    "application/json": _verify_json,
    "text/": _verify_text,
}
"""By the beginning of the content type."""


def _require(output: Output, faults: Iterator[str]) -> None:
    if said := "; ".join(faults):
        raise OutputInvalidError(f"{output.filename} is not what was asked for: {said}.")


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
