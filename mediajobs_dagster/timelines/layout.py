"""The layout of a timeline: the canvas in pixels, and each item of the base track in frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from mediajobs_dagster.models import MediaInfo, VideoStream
from mediajobs_dagster.timelines.model import (
    PRESETS,
    Canvas,
    Clip,
    Crop,
    Dissolve,
    FadeThrough,
    Gap,
    Narration,
    Picture,
    Still,
    Timeline,
    TrackItem,
    VideoLayer,
)
from mediajobs_dagster.timelines.times import exact, samples_at, snap

_LONG_EDGE = 1920
_DEFAULT_SIZE = (1920, 1080)
_DEFAULT_FPS = Fraction(30)
_SLOWEST, _FASTEST = Fraction(24000, 1001), 60
_USUAL_RATES = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 60)) + tuple(
    map(Fraction, (24, 25, 30, 48, 50, 60))
)
_NEARLY = Fraction(1, 100)
"""Phones record at rates such as 29.94. A rate within this share of a usual one counts as the usual one."""

Media = Mapping[str, MediaInfo]
"""The media info of each upload, by the timeline's reference to it."""


@dataclass(frozen=True)
class Fade:
    """A fade to or from a colour, and its length in frames."""

    frames: int
    color: str


@dataclass(frozen=True)
class Segment:
    """One item of the base track, in frames of the canvas."""

    path: str
    """Its JSON path in the timeline, such as `$.track[2]`."""
    item: TrackItem | None
    """None: a gap, because the next item starts later."""
    first: int
    end: int
    """The frame after its last one; frames that a dissolve shares with the next item are included."""
    dissolve: int = 0
    """How many of its first frames are shared with the item before."""
    fade_in: Fade | None = None
    fade_out: Fade | None = None
    held: int = 0
    """How many of its last frames repeat its last picture."""
    source_in: Fraction = Fraction(0)
    source_out: Fraction = Fraction(0)
    """The part of the source that is read, seconds."""

    @property
    def frames(self) -> int:
        """Its length."""
        return self.end - self.first


@dataclass(frozen=True)
class Layout:
    """The canvas, and the base track on it."""

    width: int
    height: int
    fps: Fraction
    segments: tuple[Segment, ...]

    @property
    def frames(self) -> int:
        """Length of the export."""
        return self.segments[-1].end

    @property
    def seconds(self) -> Fraction:
        """Length of the export."""
        return self.frames / self.fps

    @property
    def samples(self) -> int:
        """Length of the sound, samples per channel."""
        return samples_at(self.frames, self.fps)

    def frame_at(self, seconds: Fraction) -> int:
        """The frame at a time, limited to the frames of the export."""
        return min(max(snap(seconds, self.fps), 0), self.frames)

    def span(self, start: Fraction, length: Fraction | None) -> tuple[int, int]:
        """First frame and number of frames from `start` on for `length` seconds; None: to the end."""
        first = self.frame_at(start)
        end = self.frames if length is None else self.frame_at(start + length)
        return first, end - first

    def samples_of(self, first: int, frames: int) -> int:
        """How many samples sound with these frames."""
        return samples_at(first + frames, self.fps) - samples_at(first, self.fps)


@dataclass(frozen=True)
class ItemTimes:
    """Start and length of an item of the base track, in exact seconds, before they are snapped to frames."""

    start: Fraction
    length: Fraction
    default_start: Fraction
    """Where it starts if its start is not given."""


def lay_out(timeline: Timeline, media: Media) -> Layout:
    """The layout of a timeline in which `faults` found nothing."""
    width, height = canvas_size(timeline, media)
    fps = canvas_fps(timeline, media)
    segments: list[Segment] = []
    for index, (item, times) in enumerate(zip(timeline.track, item_times(timeline, media), strict=True)):
        first, end = snap(times.start, fps), snap(times.start + times.length, fps)
        before = segments[-1].end if segments else 0
        dissolves = isinstance(item.transition, Dissolve) and bool(segments)
        if first > before and not dissolves:
            segments.append(Segment(f"$.track[{index}].start", None, before, first))
            before = first
        shared = max(0, before - first) if dissolves else 0
        first = before - shared
        source_in, source_out = source_range(item, media)
        held = end - snap(times.start + times.length - item.hold, fps) if isinstance(item, Clip) else 0
        segments.append(
            Segment(
                f"$.track[{index}]",
                item,
                first,
                max(end, first + 1),
                dissolve=shared,
                held=min(held, max(end, first + 1) - first - 1),  # one frame must be left to hold
                source_in=source_in,
                source_out=source_out,
            )
        )
    return Layout(width, height, fps, tuple(_with_fades(segments, fps)))


def _with_fades(segments: list[Segment], fps: Fraction) -> Iterator[Segment]:
    def fade_into(segment: Segment | None, within: Segment) -> Fade | None:
        transition = segment.item.transition if segment and segment.item else None
        if not isinstance(transition, FadeThrough):
            return None
        # Snapped separately, half the transition may be a frame longer than the item.
        frames = min(max(1, snap(transition.duration / 2, fps)), within.frames)
        return Fade(frames, transition.color)

    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        fade_in = fade_into(segment, segment) if segment is not segments[0] else None
        yield replace(segment, fade_in=fade_in, fade_out=fade_into(following, segment))


def item_times(timeline: Timeline, media: Media) -> Iterator[ItemTimes]:
    """Start and length of each item of the base track, in order."""
    end = Fraction(0)
    for index, item in enumerate(timeline.track):
        overlap = item.transition.duration if isinstance(item.transition, Dissolve) and index else Fraction(0)
        default_start = max(Fraction(0), end - overlap)
        start = default_start if item.start is None else item.start
        length = length_of(item, media)
        yield ItemTimes(start, length, default_start)
        end = start + length


def length_of(item: TrackItem, media: Media) -> Fraction:
    """How long an item lasts, seconds."""
    if not isinstance(item, Clip):
        return item.duration
    start, end = source_range(item, media)
    return (end - start) / exact(item.speed) + item.hold


def used_part(item: Clip | VideoLayer | Narration, info: MediaInfo) -> tuple[Fraction, Fraction]:
    """Start and end of the part of its source that an item uses, for sound and picture, seconds.

    A clip ends with its source, a layer with the picture of its source, if they do not say where. An end past the end
    of the source by less than a frame is clamped.
    """
    length = sound_end(info) if isinstance(item, Narration) else source_length(info)
    end = item.out
    if end is None:
        end = picture_end(info) if isinstance(item, VideoLayer) else length
    return item.in_, min(end, length) if length else end


def source_range(item: TrackItem, media: Media) -> tuple[Fraction, Fraction]:
    """Start and end of the part of its source that an item of the base track shows, seconds."""
    match item:
        case Clip():
            return used_part(item, media[item.source])
        case Still():
            return item.at, item.at
        case Picture() | Gap():
            return Fraction(0), Fraction(0)


def source_length(info: MediaInfo) -> Fraction:
    """How long a source with a picture lasts, from its beginning to the end of the longer track, seconds; 0 if unknown.

    Sound that goes on for less than a frame after the picture does not count: there is no frame to show with it.
    """
    picture, sound = picture_end(info), sound_end(info) if info.main_audio else Fraction(0)
    # A picture that seldom changes, such as slides, is shown in frames all the same.
    frame = 1 / max(exact(info.main_video.fps or 30.0), _SLOWEST) if info.main_video else Fraction(0)
    return sound if sound - picture >= frame else picture


def picture_end(info: MediaInfo) -> Fraction:
    """When the picture of a source ends, counted from the beginning of the source, seconds; 0 if unknown."""
    video = info.main_video
    return exact((video and video.end_seconds) or info.duration_seconds)


def sound_end(info: MediaInfo) -> Fraction:
    """When the sound of a source ends, counted from the beginning of the source, seconds; 0 if unknown."""
    audio = info.main_audio
    return exact((audio and audio.end_seconds) or info.duration_seconds)


# --- the canvas ------------------------------------------------------------------------------------------------------


def canvas_size(timeline: Timeline, media: Media) -> tuple[int, int]:
    """Width and height of the canvas, pixels, both even."""
    canvas = timeline.canvas
    if canvas.preset:
        return PRESETS[canvas.preset]
    if canvas.width and canvas.height:
        return canvas.width, canvas.height
    first = _first_picture(timeline, media)
    width, height = first.display_size if first else _DEFAULT_SIZE
    scale = min(1.0, _LONG_EDGE / max(width, height, 1))
    return even(width * scale), even(height * scale)


def canvas_fps(timeline: Timeline, media: Media) -> Fraction:
    """Frames a second of the canvas, exactly."""
    asked = _asked_fps(timeline.canvas)
    if asked:
        return asked
    first = next((media[item.source].main_video for item in timeline.track if isinstance(item, Clip)), None)
    if first is None or not first.fps or first.variable_frame_rate:
        return _DEFAULT_FPS
    return _usual(true_rate(first.fps))


def _usual(rate: Fraction) -> Fraction:
    """The canvas rate for a source's rate: within the allowed range, and a usual rate if it is close to one."""
    if rate < _SLOWEST * (1 - _NEARLY):
        rate = min(rate * math.ceil(_SLOWEST * (1 - _NEARLY) / rate), Fraction(_FASTEST))
    else:
        rate /= math.ceil(rate / (_FASTEST * (1 + _NEARLY)))
    nearest = min(_USUAL_RATES, key=lambda usual: abs(usual - rate))
    return nearest if abs(nearest - rate) <= _NEARLY * nearest else rate


def true_rate(fps: float) -> Fraction:
    """The frame rate that `fps` stands for: 29.97 is 30000/1001."""
    whole = round(fps)
    ntsc = Fraction(whole * 1000, 1001)
    if whole and abs(fps - whole) < 0.005:
        return Fraction(whole)
    if whole and abs(fps - ntsc) < 0.01:
        return ntsc
    return Fraction(fps).limit_denominator(1001) or Fraction(fps)  # even one frame in many minutes is a rate


def _asked_fps(canvas: Canvas) -> Fraction | None:
    return true_rate(float(canvas.fps)) if canvas.fps else None


def _first_picture(timeline: Timeline, media: Media) -> VideoStream | None:
    pictured = (item for item in timeline.track if isinstance(item, Clip | Still | Picture))
    return next((media[item.source].main_video for item in pictured), None)


def even(value: float) -> int:
    """The nearest even number of pixels, two at least."""
    return max(2, round(value / 2) * 2)


def fitted(width: float, height: float, box: tuple[int, int], *, cover: bool) -> tuple[int, int]:
    """The even size, pixels, at which a picture exactly fits into `box`, or covers it."""
    scales = box[0] / width, box[1] / height
    scale = max(scales) if cover else min(scales)
    return even(width * scale), even(height * scale)


def cropped(size: tuple[float, float], crop: Crop | None) -> tuple[float, float]:
    """Width and height of a picture after the crop."""
    return (size[0] * crop.width, size[1] * crop.height) if crop else size
