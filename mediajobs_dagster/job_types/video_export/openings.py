"""Where the sources of an export are opened, so that decoding shows what is on show at a given time.

ffmpeg seeks to a key frame at or before a time, if the container knows where that is. Not all do. MP4 sorts its frames
by the time at which they are decoded, which is earlier than when they are shown if frames are reordered; so such a
source is opened earlier by as many frames. Where frames last for different times, or where the container has no list of
key frames, the place is looked for before the render is planned (`media.seeking`). So it is where a picture has no key
frames but is refreshed part by part, as encoders for calls and games do: no container tells that, so one place in each
file that may be such a one is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from mediajobs_dagster.job_types.material import Machine, Source
from mediajobs_dagster.job_types.video_export.graph import decimal
from mediajobs_dagster.models import MediaInfo, VideoStream
from mediajobs_dagster.timelines.times import exact


@dataclass(frozen=True)
class Opening:
    """How an input is opened."""

    options: tuple[str, ...]
    """The options before its `-i`."""
    origin: Fraction
    """The time of the source that is time 0 of the input, seconds."""


@dataclass(frozen=True)
class Openings:
    """Where sources are opened."""

    found: Mapping[tuple[str, Fraction], Fraction] = field(default_factory=dict[tuple[str, Fraction], Fraction])
    """The place, seconds, for the name of a source and a time of its picture, where it had to be looked for."""

    @classmethod
    def find(cls, machine: Machine, starts: Iterable[tuple[Source, Fraction]]) -> Openings:
        """Look for the places from which pictures at `starts` can be decoded, as far as that is necessary."""
        wanted: dict[str, tuple[Source, set[Fraction]]] = {}
        for source, start in starts:
            if start:
                wanted.setdefault(source.name, (source, set()))[1].add(start)
        found: dict[tuple[str, Fraction], Fraction] = {}
        for name, (source, times) in wanted.items():
            # The latest one: before the second refresh, ffmpeg decodes from the beginning of the file by itself.
            if not _is_reliable(source.info) or _is_refreshed_in_parts(machine, source, max(times)):
                found |= {(name, start): machine.entry(source, start) for start in times}
        return cls(found)

    def of(self, source: Source, start: Fraction, *, picture: bool, sound: bool) -> Opening:
        """How to open a source from which picture, sound or both are needed from `start` on, seconds."""
        info = source.info
        place = self._place(source, start) if picture else start if info.has_times else Fraction(0)
        video, audio = info.main_video if picture else None, info.main_audio if sound else None
        begin = info.origin(float(place), [track for track in (video, audio) if track is not None])
        options = ("-noaccurate_seek", "-ss", decimal(place)) if place else ()
        return Opening(options, place if begin == float(place) else exact(begin))

    def is_sought(self, source: Source) -> bool:
        """Whether the places in a source had to be looked for, because ffmpeg does not find them."""
        return not _is_reliable(source.info) or any(name == source.name for name, _ in self.found)

    def _place(self, source: Source, start: Fraction) -> Fraction:
        if self.is_sought(source):
            return self.found.get((source.name, start), start)
        return max(Fraction(0), start - _reordering(source.info.main_video))


def _is_reliable(info: MediaInfo) -> bool:
    """Whether ffmpeg finds the frames of a time in such a file by itself."""
    return info.main_video is None or info.is_indexed


def _is_refreshed_in_parts(machine: Machine, source: Source, at: Fraction) -> bool:
    """Whether the picture has no key frames where its container says so, by what comes after a seek to `at`."""
    video = source.info.main_video
    # What has no key frames is meant to arrive at once, so it does not reorder frames either.
    may_be = video is not None and video.codec in ("h264", "hevc") and not video.reordered_frames
    return may_be and machine.entry(source, at) < at


def _reordering(video: VideoStream | None) -> Fraction:
    """How much earlier than it is shown a key frame may be decoded, seconds."""
    if video is None or not video.reordered_frames:
        return Fraction(0)
    return (video.reordered_frames + 1) / exact(video.fps or 30.0)
