"""How values are written on pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from mediajobs_dagster.models import HostFacts, MediaInfo

_CODECS = {
    "h264": "H.264",
    "hevc": "H.265",
    "av1": "AV1",
    "vp8": "VP8",
    "vp9": "VP9",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4",
    "prores": "ProRes",
    "aac": "AAC",
    "mp3": "MP3",
    "opus": "Opus",
    "vorbis": "Vorbis",
    "flac": "FLAC",
    "ac3": "AC-3",
    "eac3": "E-AC-3",
    "alac": "ALAC",
    "mjpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SHORT = 8


def as_json(value: object) -> str:
    """A value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


def duration(milliseconds: float | None) -> str:
    """How long something took: `340 ms`, `4.7 s`, `3 min 05 s`, `2 h 10 min`, `3 days`."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} days"


def clock(seconds: float) -> str:
    """A length of media: `0:03`, `2:30`, `1:02:05`."""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{minutes}:{whole % 60:02}"


def size(count: float | None) -> str:
    """A number of bytes: `813 B`, `1.2 MiB`."""
    if count is None:
        return "–"
    unit = 0
    while abs(count) >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} B" if unit == 0 else f"{count:,.1f} {_UNITS[unit]}"


def rtf(value: float) -> str:
    """A real-time factor: `RTF 1.3x` is 1.3 times as fast as real time."""
    return f"RTF {value:.2f}x" if value < 0.1 else f"RTF {value:.1f}x"


def percent(share: float) -> str:
    """A share from 0 to 1: `97 %`; never rounded up to all."""
    shown = int(share * 1000) / 10
    return f"{shown:.0f} %" if shown in (0, 100) or share < 0.995 else f"{shown:.1f} %"


def moment(at: datetime) -> str:
    """A moment in UTC, which a script turns into the reader's zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine_moment(at: datetime) -> str:
    """A moment for the attribute `datetime`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short(identifier: str) -> str:
    """The end of an id: ids that were made at one time begin alike."""
    return identifier if len(identifier) <= _SHORT else f"…{identifier[-_SHORT:]}"


def count(number: int, noun: str) -> str:
    """A number of things: `1 job`, `2,041 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def codec(name: str) -> str:
    """A codec as people write it."""
    return _CODECS.get(name, name)


def media(
    *, size: tuple[int | None, int | None], codecs: Sequence[str | None], seconds: float | None, is_image: bool = False
) -> str | None:
    """What a file holds: `1080x1920 H.264 AAC, 2:30`; None: nothing is known."""
    width, height = size
    picture = [f"{width}x{height}"] if width and height else []
    about = " ".join((*picture, *(codec(each) for each in codecs if each)))
    length = [clock(seconds)] if seconds and not is_image else []
    return ", ".join(filter(None, (about, *length))) or None


def media_info(info: MediaInfo) -> str | None:
    """The same of what ffprobe found."""
    video, audio = info.main_video, info.main_audio
    return media(
        size=(video.width, video.height) if video else (None, None),
        codecs=(video.codec if video else None, audio.codec if audio else None),
        seconds=info.duration_seconds,
        is_image=info.is_image,
    )


def host(facts: HostFacts) -> str:
    """A machine: `c7i.large, 2 cores, 4 GB`; its name where its type is not known."""
    cores = f"{facts.cpu_cores:g} core{'' if facts.cpu_cores == 1 else 's'}" if facts.cpu_cores else None
    memory = f"{facts.mem_gb:.0f} GB" if facts.mem_gb else None
    return ", ".join(filter(None, (facts.instance_type or facts.hostname, cores, memory)))
