"""Checks an output before it is published under its final key.

The content type selects the verifier. An output of a type that is not in `VERIFIERS` must not be empty.
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
from mediajobs_dagster.media.run import Made
from mediajobs_dagster.models import IMAGE, AudioStream, MediaInfo, VideoStream

_SYNC_S = 0.025
"""How much the beginning of the sound may be off, seconds: an encoder of AAC puts a frame before it."""
_DAMAGED_S = 0.25
_CHUNK = 1024 * 1024
_PARSED_BYTES = 4 << 20
"""JSON up to this size is parsed; of a larger file, such as an envelope of ten hours, only both ends are checked."""


@dataclass(frozen=True)
class Verification:
    """What verifiers work with."""

    folder: Path
    probe: Callable[[str], MediaInfo]
    """Probes a file in the folder by its name."""
    decode_end: Callable[[str, float], None]
    """Decodes the last second of a file; called with its name and its duration in seconds."""
    made: Mapping[str, Made]
    """What ffmpeg says it made of each file."""


Verifier = Callable[[Output, Verification], MediaInfo | None]
"""Checks one output; returns its media info, or None if it is not media. Raises OutputInvalidError."""


def verify(output: Output, verification: Verification) -> MediaInfo | None:
    """Check one output; returns its media info, or None if it is not media.

    Raises an OutputInvalidError that lists every fault.
    """
    path = verification.folder / output.filename
    if not path.is_file() or path.stat().st_size == 0:
        raise OutputInvalidError(f"{output.filename} was not made, although every step reported success.")
    content_type = output.content_type.partition(";")[0].strip().lower()
    family = content_type.partition("/")[0] + "/"
    verifier = VERIFIERS.get(content_type) or VERIFIERS.get(family)
    return verifier(output, verification) if verifier else None


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
    """Probe the file and decode its end. Each track has to be as long as ffmpeg says it encoded."""
    info = verification.probe(output.filename)
    if output.expected.is_decodable:
        verification.decode_end(output.filename, info.duration_seconds)
    _require(output, _faults(output.expected, info, verification.made.get(output.filename)))
    return info


def _verify_picture(output: Output, verification: Verification) -> MediaInfo:
    """Decoded whole."""
    path = verification.folder / output.filename
    try:
        with Image.open(path) as image:
            image.load()
            codec = "mjpeg" if image.format == "JPEG" else str(image.format).lower()
            stream = VideoStream(index=0, codec=codec, width=image.width, height=image.height, frames=1)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise OutputInvalidError(f"{path.name} cannot be decoded: {error}.") from error
    info = MediaInfo(container=IMAGE, duration_seconds=0.0, bytes=path.stat().st_size, video=(stream,))
    _require(output, _faults(output.expected, info, verification.made.get(output.filename)))
    return info


def _verify_json(output: Output, verification: Verification) -> None:
    path = verification.folder / output.filename
    try:
        if path.stat().st_size <= _PARSED_BYTES:
            json.loads(path.read_bytes())
            return
    except (ValueError, RecursionError) as error:
        raise OutputInvalidError(f"{output.filename} is not JSON: {error}.") from error
    with path.open("rb") as file:
        begin = file.read(64).lstrip()[:1]
        file.seek(-64, 2)
        end = file.read().rstrip()[-1:]
    if (begin, end) not in ((b"{", b"}"), (b"[", b"]")):
        raise OutputInvalidError(f"{output.filename} is not a complete JSON document.")


def _verify_text(output: Output, verification: Verification) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with (verification.folder / output.filename).open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise OutputInvalidError(f"{output.filename} is not UTF-8 text: {error}.") from error


VERIFIERS: Mapping[str, Verifier] = {
    "image/": _verify_picture,
    "image/svg+xml": _verify_text,
    "video/": _verify_media,
    "audio/": _verify_media,
    "application/json": _verify_json,
    "text/": _verify_text,
}
"""By the content type, or by its first part for all types of a kind."""


def _require(output: Output, faults: Iterator[str]) -> None:
    if said := "; ".join(faults):
        raise OutputInvalidError(f"{output.filename} is not what was planned: {said}.")


def _faults(expected: Expected, info: MediaInfo, made: Made | None) -> Iterator[str]:
    video, audio = info.main_video, info.main_audio
    yield from _differs("picture", (expected.width, expected.height), (video.width, video.height) if video else None)
    yield from _differs("video codec", expected.video_codec, video.codec if video else None)
    yield from _differs("audio codec", expected.audio_codec, audio.codec if audio else "")
    yield from _differs("colour matrix", expected.matrix, video.matrix if video else None)
    if expected.fps is not None and (video is None or video.fps is None or abs(video.fps - expected.fps) > 0.01):
        yield f"frame rate is {video.fps if video else None}, expected {expected.fps:g}"
    if expected.frames is not None:
        yield from _differs("layout", (1, 1), (len(info.video), len(info.audio)))
    frames = expected.frames or (made and made.frames)
    if video and video.frames is not None and frames:
        yield from _differs("number of frames", frames, video.frames)
    if audio:
        yield from _sound_faults(expected, audio, made)
    yield from _length_faults(expected, info.duration_seconds, made)


def _sound_faults(expected: Expected, audio: AudioStream, made: Made | None) -> Iterator[str]:
    if made and made.samples and audio.sample_rate and expected.sound_tolerance is not None:
        lasts, encoded = audio.duration_seconds or 0.0, made.samples / audio.sample_rate
        if abs(lasts - encoded) > expected.sound_tolerance:
            yield f"its sound lasts {lasts:.3f} s, but ffmpeg encoded {encoded:.3f} s"
    # Where the first packets are damaged, the sound begins with the first good one.
    late = _DAMAGED_S if made and made.faults.bad_sounds else _SYNC_S
    begins = audio.start_seconds
    if expected.sound_start is not None and not -_SYNC_S <= begins - expected.sound_start <= late:
        yield f"its sound begins at {begins:.3f} s, expected {expected.sound_start:.3f} s"


def _length_faults(expected: Expected, lasts: float, made: Made | None) -> Iterator[str]:
    tolerance = expected.duration_tolerance
    if tolerance is None:
        return
    if expected.frames is not None and expected.duration_seconds is not None:
        if abs(lasts - expected.duration_seconds) > tolerance:
            yield f"it lasts {lasts:.3f} s, expected {expected.duration_seconds:.3f} s"
    elif made and made.out_seconds and lasts < made.out_seconds - tolerance:
        yield f"it lasts {lasts:.3f} s, but ffmpeg wrote {made.out_seconds:.3f} s"


def _differs(what: str, expected: object, found: object) -> Iterator[str]:
    if expected not in (None, (None, None)) and expected != found:
        yield f"{what} is {found}, expected {expected}"
