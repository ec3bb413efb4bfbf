"""What one command may take of its machine, reckoned from its input.

A file of a few kilobytes can declare hours of media, or pictures as large as a wall. So the time that a command gets
follows both the size and the length of its input, and its memory follows the pictures that it decodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mediajobs_dagster.models import MediaInfo, VideoStream

_MIB = 1 << 20
_S_PER_KIB = 4.0
"""Seconds for each KiB of the input: a recording of a still screen has a few hundred bytes a second."""
_S_PER_MEDIA_SECOND = 60.0
"""Seconds for each second of media: the heaviest codecs decode a second of 8K in about as long on two cores."""

# Measured with ffmpeg 8.1: H.264 (16 references), HEVC of 10 bit, VP9, JPEG and GIF of 1080p to 8000x8000 with 1, 2 and
# 16 threads, into thumbnails and proxies. What is reckoned is 1.8 times of what was taken, or more.
_PROGRAM_BYTES = 192 * _MIB
_THREAD_BYTES = 32 * _MIB
"""Stacks and buffers of a thread of the decoder, the filters and the encoder."""
_KEPT_PICTURES = 24
"""Pictures that a decoder keeps to refer to (16 at most), and that wait between decoder, filters and encoder."""
_PICTURES_OF_A_THREAD = 3
_ENCODER_THREADS = 32
"""So many threads of an encoder double what a render takes: each works on pictures of its own."""
_WITHOUT_REFERENCES = frozenset(
    {"gif", "mjpeg", "png", "webp", "bmp", "tiff", "prores", "dnxhd", "huffyuv", "rawvideo"}
)
"""Codecs whose pictures stand for themselves."""
_WAITING_PICTURES = 8
"""Pictures that wait between decoder, filters and encoder."""
_PROBED_PICTURES = 10
"""Pictures that a probe decodes at most, on one thread."""
_BYTES_OF_A_PACKET = 64
"""What the demuxer keeps of each packet in the file's index. A file of a few bytes has no long index."""
_INDEX_SHARE = 16
_PACKETS_OF_SOUND = 50
"""Packets in a second of sound."""
_LARGEST_PIXEL = 4
_DEEP = re.compile(r"(1[0-6]|48|64|f32)(le|be)?$")
_PIXEL_BYTES = ((r"^yuv[j]?4[12][01]p$|^nv12$", 1.5), (r"^(yuv420p|p0?)1[0-6]", 3), (r"^yuv[j]?4(22|4\d)p$", 3))
"""Bytes of a pixel by the pixel format; of any other, `_LARGEST_PIXEL`, or twice that if its samples are deep."""


@dataclass(frozen=True)
class Allowance:
    """What each command of an attempt may take."""

    base_s: float
    """The time that every input is given, seconds."""
    sources: tuple[MediaInfo, ...] = ()
    """The input."""
    work_s: float | None = None
    """The time on top, seconds; None: what size and length of the sources allow."""
    memory_bytes: int | None = None
    """The most memory on one thread, bytes; None: what decoding the sources takes."""
    share: float = 1.0
    """Share that a command gets of the base, and of what its sources allow."""

    @property
    def least_s(self) -> float:
        """How long a command may take whatever its input is, seconds."""
        return self.share * self.base_s

    @property
    def seconds(self) -> float | None:
        """How long a command may take; None without sources: as long as any command may."""
        if self.work_s is None and not self.sources:
            return None
        if self.work_s is not None:
            return self.least_s + self.work_s
        return self.share * (self.base_s + sum(map(_work_of, self.sources)))

    def memory(self, threads: int) -> int | None:
        """The most memory that a command may take with so many threads, bytes; None: as much as any command may."""
        if self.memory_bytes is not None:
            return round(self.memory_bytes * (1 + threads / _ENCODER_THREADS)) + threads * _THREAD_BYTES
        return memory_of(self.sources, threads) if self.sources else None


def _work_of(info: MediaInfo) -> float:
    by_size = info.bytes / 1024 * _S_PER_KIB
    # A streamed recording does not declare its length.
    return min(by_size, info.duration_seconds * _S_PER_MEDIA_SECOND) if info.duration_seconds else by_size


def memory_of(infos: Iterable[MediaInfo], threads: int) -> int:
    """The most memory that decoding these inputs side by side takes with `threads` threads each, bytes."""
    return _PROGRAM_BYTES + threads * _THREAD_BYTES + sum(_memory_of(info, threads) for info in infos)


def memory_of_probe(max_pixels: int) -> int:
    """The most memory that probing a file takes, of which nothing is known yet, bytes."""
    return _PROGRAM_BYTES + _PROBED_PICTURES * _LARGEST_PIXEL * max_pixels


def _memory_of(info: MediaInfo, threads: int) -> int:
    track = info.main_video
    packets = info.duration_seconds * (
        len(info.audio) * _PACKETS_OF_SOUND + sum(each.fps or 0.0 for each in info.video)
    )
    index = min(packets * _BYTES_OF_A_PACKET, info.bytes * _INDEX_SHARE)
    return round(index) + (_pictures(track.codec, threads) * _picture_bytes(track) if track else 0)


def _pictures(codec: str, threads: int) -> int:
    if codec in _WITHOUT_REFERENCES:
        return _WAITING_PICTURES + threads
    return _KEPT_PICTURES + _PICTURES_OF_A_THREAD * threads


def _picture_bytes(track: VideoStream) -> int:
    pixel_format = track.pixel_format or ""
    known = (size for pattern, size in _PIXEL_BYTES if re.match(pattern, pixel_format))
    deep = 2 if _DEEP.search(pixel_format) else 1
    return round(track.width * track.height * next(known, deep * _LARGEST_PIXEL))
