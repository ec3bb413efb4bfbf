"""Where the sources of an export are opened, so that decoding shows what is on show at a given time.

ffmpeg seeks to a key frame at or before a time, if the container knows where that is. Not all do. MP4 sorts its frames
by the time at which they are decoded, which is earlier than when they are shown if frames are reordered; so such a
source is opened earlier by as many frames. Where frames last for different times, or where the container has no list of
key frames, the place is looked for before the render is planned (`media.seeking`).
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
        wanted = {(source.name, start): source for source, start in starts if start and not is_reliable(source.info)}
        return cls({(name, start): machine.entry(source, start) for (name, start), source in wanted.items()})

    def of(self, source: Source, start: Fraction, *, picture: bool, sound: bool) -> Opening:
        """How to open a source from which picture, sound or both are needed from `start` on, seconds."""
        info = source.info
        place = self._place(source, start) if picture else start if info.has_times else Fraction(0)
        video, audio = info.main_video if picture else None, info.main_audio if sound else None
        begin = info.origin(float(place), [track for track in (video, audio) if track is not None])
        options = ("-noaccurate_seek", "-ss", decimal(place)) if place else ()
        return Opening(options, place if begin == float(place) else exact(begin))

    def _place(self, source: Source, start: Fraction) -> Fraction:
        if not is_reliable(source.info):
            return self.found.get((source.name, start), start)
        return max(Fraction(0), start - _reordering(source.info.main_video))


def is_reliable(info: MediaInfo) -> bool:
    """Whether ffmpeg finds the frames of a time in such a file by itself."""
    return info.main_video is None or info.is_indexed


def _reordering(video: VideoStream | None) -> Fraction:
    """How much earlier than it is shown a key frame may be decoded, seconds."""
    if video is None or not video.reordered_frames:
        return Fraction(0)
    return (video.reordered_frames + 1) / exact(video.fps or 30.0)
