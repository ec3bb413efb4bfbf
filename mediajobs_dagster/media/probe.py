"""Finds out with ffprobe what a media file holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, cast

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    InputEmptyError,
    InputEncryptedError,
    InputNotMediaError,
    InputTooLargeError,
    InputTooLongError,
    InputTruncatedError,
)
from mediajobs_dagster.media.command import is_remote
from mediajobs_dagster.media.measuring import longest, measured
from mediajobs_dagster.media.mp4_boxes import is_encrypted, missing_bytes_of_file, truncated_text
from mediajobs_dagster.media.run import Report, Runner
from mediajobs_dagster.models import AudioStream, JsonObject, MediaInfo, SubtitleStream, VideoStream

_LONGEST_S = 10 * 365 * 86_400.0
"""A longer declared duration is ignored, seconds."""
_CLOCK_PARTS = 3
_TIMECODE = re.compile(r"\d\d:\d\d:\d\d[:;]\d{2,3}")
_FASTEST = 1000.0
_UNEVEN = 0.01
"""Average and base frame rate this far apart (as a share) mean a variable frame rate: 29.97 and 30 do not."""


def probe(
    runner: Runner,
    source: str,
    *,
    cwd: Path | None = None,
    size: int | None = None,
    report: Report | None = None,
    cancel: Cancellation | None = None,
) -> MediaInfo:
    """What `source` holds: a path (relative to `cwd`, if given) or an address that mediajobs made.

    Lengths are those of the media, as far as they can be measured without reading much of a source at an address.

    `size` is the length in bytes of the object at an address, if the caller knows it. Raises the input errors of
    `errors` (InputEmptyError without starting a process), storage errors for an address, DeadlineError,
    FfmpegMissingError.
    """
    local = None if is_remote(source) else (cwd or Path()) / source
    if local:
        size = local.stat().st_size
    if size == 0:
        raise InputEmptyError
    answer = runner.probe_json(source, cwd=cwd, report=report, cancel=cancel)
    info = _parsed(answer, size, runner.tools.can_decode)
    if local and is_encrypted(local):
        raise InputEncryptedError
    guards = runner.guards
    missing = missing_bytes_of_file(local) if local else 0
    refuse_unusable(info, missing, max_pixels=guards.max_pixels, max_seconds=guards.max_seconds)
    return measured(runner, source, info, cwd=cwd, report=report, cancel=cancel)


def refuse_unusable(info: MediaInfo, missing: int, *, max_pixels: int, max_seconds: float) -> None:
    """Raise InputTruncatedError, InputTooLongError or InputTooLargeError for a source that ffprobe has no fault with.

    `missing` is the result of `mp4_boxes.missing_bytes`. Cheap enough for every attempt, and needed there: an earlier
    probe may have read the source at its address, where a missing end does not show, or under another limit.
    """
    if missing:
        raise InputTruncatedError(truncated_text(missing))
    if info.duration_seconds > max_seconds:
        raise InputTooLongError(
            f"The input declares {info.duration_seconds:.0f} s of media; the limit is {max_seconds:.0f} s. Upload "
            "it in parts, or raise MEDIAJOBS_MAX_MEDIA_S."
        )
    for picture in info.video:
        if picture.width * picture.height > max_pixels:
            raise InputTooLargeError(
                f"The input declares a picture of {picture.width}x{picture.height} pixels; the limit is {max_pixels} "
                "in all. Upload a smaller one, or raise MEDIAJOBS_MAX_PIXELS."
            )


def _parsed(answer: JsonObject, size: int | None, can_decode: Callable[[str], bool]) -> MediaInfo:
    try:
        return parse_probe(answer, size, can_decode)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        # ffprobe passes on what a hostile file says, and one such file must not end the intake of all others.
        raise InputNotMediaError(f"What the input says of itself cannot be understood: {error}.") from error


def parse_probe(
    answer: JsonObject, size: int | None = None, can_decode: Callable[[str], bool] = lambda _: True
) -> MediaInfo:
    """ffprobe's answer (JSON, `format`, `streams` and the first `frames`) as a value.

    `size`, in bytes, wins over what ffprobe says. `can_decode` tells whether a codec can be decoded. Raises
    InputNotMediaError when there is neither picture nor sound.
    """
    streams = cast("list[JsonObject]", answer.get("streams", []))
    container = cast(JsonObject, answer.get("format", {}))
    begin = _number(container.get("start_time")) or 0.0
    # A track without a codec name is one that ffprobe could not make out, or a picture track of no size.
    pictures = [stream for stream in streams if stream.get("codec_type") == "video" and not _is_cover(stream)]
    sounds = [stream for stream in streams if stream.get("codec_type") == "audio"]
    covers = sum(_is_cover(stream) for stream in streams)
    if not pictures and not sounds:
        raise InputNotMediaError("The input has neither a video nor an audio track.")
    # The stream itself may turn the picture too (a message of H.264 or HEVC), which only its frames tell.
    turned = {frame["stream_index"]: frame for frame in reversed(answer.get("frames", [])) if "stream_index" in frame}
    video = tuple(_video(stream, begin, turned.get(stream["index"], {}), can_decode) for stream in pictures)
    audio = tuple(_audio(stream, begin, can_decode) for stream in sounds)
    return MediaInfo(
        container=container.get("format_name", "unknown"),
        duration_seconds=_seconds(container.get("duration")) or longest(video, audio),
        bytes=size if size is not None else int(container.get("size", 0)),
        bitrate_kbps=_kbps(container),
        video=video,
        audio=audio,
        subtitles=tuple(_subtitles(stream) for stream in streams if stream.get("codec_type") == "subtitle"),
        attached_pictures=covers,
        timecode=_timecode([container, *pictures, *streams]),
    )


def _video(stream: JsonObject, begin: float, frame: JsonObject, can_decode: Callable[[str], bool]) -> VideoStream:
    average, base = _rates(stream)
    codec = stream.get("codec_name", "unknown")
    return VideoStream(
        index=stream["index"],
        codec=codec,
        profile=stream.get("profile"),
        pixel_format=stream.get("pix_fmt"),
        width=stream.get("width", 0),
        height=stream.get("height", 0),
        rotation=_rotation(frame, stream),
        is_turned_by_frames=_rotation(frame, stream) != _rotation({}, stream),
        sample_aspect=_aspect(stream.get("sample_aspect_ratio")),
        fps=average or base,
        variable_frame_rate=bool(average and base and abs(average - base) > _UNEVEN * base),
        frames=int(stream["nb_frames"]) if "nb_frames" in stream else None,
        start_seconds=_start(stream, begin),
        duration_seconds=_stream_duration(stream),
        bitrate_kbps=_kbps(stream),
        is_default=_is(stream, "default"),
        is_decodable=can_decode(codec),
        is_still=stream.get("nb_frames") == "1",
        reordered_frames=stream.get("has_b_frames", 0),
        field_order=_known(stream.get("field_order")),
        color_range=_known(stream.get("color_range")),
        transfer=stream.get("color_transfer"),
        matrix=_known(stream.get("color_space")),
        primaries=_known(stream.get("color_primaries")),
    )


def _audio(stream: JsonObject, begin: float, can_decode: Callable[[str], bool]) -> AudioStream:
    codec = stream.get("codec_name", "unknown")
    return AudioStream(
        index=stream["index"],
        codec=codec,
        channels=stream.get("channels", 0),
        sample_rate=int(stream.get("sample_rate", 0)),
        language=stream.get("tags", {}).get("language"),
        start_seconds=_start(stream, begin),
        duration_seconds=_stream_duration(stream),
        bitrate_kbps=_kbps(stream),
        is_default=_is(stream, "default"),
        is_decodable=can_decode(codec),
    )


def _subtitles(stream: JsonObject) -> SubtitleStream:
    return SubtitleStream(
        index=stream["index"],
        codec=stream.get("codec_name", "unknown"),
        language=stream.get("tags", {}).get("language"),
        is_default=_is(stream, "default"),
        is_forced=_is(stream, "forced"),
    )


def _start(stream: JsonObject, begin: float) -> float:
    # ffmpeg counts from the earliest of the tracks; what a hostile file says of a later one may be anything.
    late = (_number(stream.get("start_time")) or begin) - begin
    return round(late, 6) if 0 < late <= _LONGEST_S else 0.0


def _known(text: str | None) -> str | None:
    return None if text in (None, "unknown", "reserved") else text


def _is(stream: JsonObject, disposition: str) -> bool:
    return bool(stream.get("disposition", {}).get(disposition))


def _is_cover(stream: JsonObject) -> bool:
    return stream.get("codec_type") == "video" and _is(stream, "attached_pic")


def _rotation(frame: JsonObject, stream: JsonObject) -> Literal[0, 90, 180, 270]:
    # The display matrix counts anticlockwise; the tag `rotate`, which ffmpeg before 5 wrote, counts clockwise. ffmpeg
    # turns each frame by the matrix of the frame, if it has one.
    data = (*frame.get("side_data_list", []), *stream.get("side_data_list", []))
    matrices = (_number(each.get("rotation")) for each in data)
    turns = [-degrees for degrees in matrices if degrees is not None]
    tag = _number(stream.get("tags", {}).get("rotate"))
    turns += [] if tag is None else [tag]
    quarters = round(turns[0] / 90) % 4 if turns else 0
    return (0, 90, 180, 270)[quarters]


def _aspect(text: str | None) -> tuple[int, int]:
    width, _, height = (text or "").partition(":")
    # 0:1 is ffprobe's way to say that it is not known: pixels are square then.
    return (int(width), int(height)) if width.isdigit() and height.isdigit() and int(width) and int(height) else (1, 1)


def _rates(stream: JsonObject) -> tuple[float | None, float | None]:
    """Average and base frame rate."""
    average, base = _rate(stream.get("avg_frame_rate")), _rate(stream.get("r_frame_rate"))
    if average and average > _FASTEST:  # what ffprobe reckons of some DV files
        average = None
    # The base rate of MPEG may be that of its fields.
    return average, average if average and base == 2 * average else base


def _rate(text: str | None) -> float | None:
    """Frames a second from `30000/1001`; None from `0/0`."""
    numerator, _, denominator = (text or "").partition("/")
    if not (numerator.isdigit() and denominator.isdigit() and int(numerator) and int(denominator)):
        return None
    return int(numerator) / int(denominator)


def _stream_duration(stream: JsonObject) -> float | None:
    # Matroska tells it in a tag: 00:00:03.000000000.
    return _seconds(stream.get("duration")) or _seconds(stream.get("tags", {}).get("DURATION"))


def _seconds(text: str | None) -> float | None:
    """Seconds from `3.5` or `00:00:03.5`; None from anything else."""
    if not text or text == "N/A":
        return None
    parts = [_number(part) for part in text.split(":")]
    if None in parts or len(parts) > _CLOCK_PARTS:
        return None
    seconds = sum((part or 0.0) * 60**power for power, part in enumerate(reversed(parts)))
    return seconds if 0 < seconds <= _LONGEST_S else None


def _timecode(parts: Sequence[JsonObject]) -> str | None:
    """The first time code among the tags; QuickTime has it in a track of its own, MXF in the header."""
    codes = (str(part.get("tags", {}).get("timecode", "")) for part in parts)
    return next((code for code in codes if _TIMECODE.fullmatch(code)), None)


def _number(value: object) -> float | None:
    """A finite number; tags hold whatever their writer put there."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _kbps(part: JsonObject) -> float | None:
    text = str(part.get("bit_rate", ""))
    return int(text) / 1000 if text.isdigit() else None
