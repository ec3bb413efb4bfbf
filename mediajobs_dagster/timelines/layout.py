"""Where everything stands: the canvas in pixels, and each item of the base track in frames."""

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
"""Phones record at rates such as 29.94: what is off by no more than this share was meant to be the usual one."""

Media = Mapping[str, MediaInfo]
"""What is known of each upload, by the reference that a timeline makes to it."""


@dataclass(frozen=True)
class Fade:
    """A fade to, or out of, a colour: so many frames."""

    frames: int
    color: str


@dataclass(frozen=True)
class Segment:
    """One item of the base track, in frames of the canvas."""

    path: str
    """Where it stands in the timeline, such as `$.track[2]`."""
    item: TrackItem | None
    """None: a gap that follows from the start of the next item."""
    first: int
    end: int
    """One past its last frame; the frames that a dissolve shares with the next item included."""
    dissolve: int = 0
    """How many of its first frames are shared with the item before."""
    fade_in: Fade | None = None
    fade_out: Fade | None = None
    held: int = 0
    """How many of its last frames are its last picture standing still."""
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
        """Length of its sound, samples of one channel."""
        return samples_at(self.frames, self.fps)

    def frame_at(self, seconds: Fraction) -> int:
        """The frame at a time, within the export."""
        return min(max(snap(seconds, self.fps), 0), self.frames)

    def span(self, start: Fraction, length: Fraction | None) -> tuple[int, int]:
        """First frame and number of frames of what starts at `start` and lasts `length`; None: to the end."""
        first = self.frame_at(start)
        end = self.frames if length is None else self.frame_at(start + length)
        return first, end - first

    def samples_of(self, first: int, frames: int) -> int:
        """How many samples sound with these frames."""
        return samples_at(first + frames, self.fps) - samples_at(first, self.fps)


@dataclass(frozen=True)
class Place:
    """Where an item of the base track would lie, in exact seconds, before anything is snapped."""

    start: Fraction
    length: Fraction
    natural: Fraction
    """Where it starts if it names no start of its own."""


def lay_out(timeline: Timeline, media: Media) -> Layout:
    """The layout of a timeline in which `faults` found nothing."""
    width, height = canvas_size(timeline, media)
    fps = canvas_fps(timeline, media)
    segments: list[Segment] = []
    for index, (item, place) in enumerate(zip(timeline.track, places(timeline, media), strict=True)):
        first, end = snap(place.start, fps), snap(place.start + place.length, fps)
        before = segments[-1].end if segments else 0
        dissolves = isinstance(item.transition, Dissolve) and bool(segments)
        if first > before and not dissolves:
            segments.append(Segment(f"$.track[{index}].start", None, before, first))
            before = first
        shared = max(0, before - first) if dissolves else 0
        first = before - shared
        source_in, source_out = source_range(item, media)
        held = end - snap(place.start + place.length - item.hold, fps) if isinstance(item, Clip) else 0
        segments.append(
            Segment(
                f"$.track[{index}]",
                item,
                first,
                max(end, first + 1),
                dissolve=shared,
                held=min(held, max(end, first + 1) - first - 1),  # there has to be a picture to hold
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
        # Snapped by itself, half of it may come out a frame longer than the item.
        frames = min(max(1, snap(transition.duration / 2, fps)), within.frames)
        return Fade(frames, transition.color)

    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        fade_in = fade_into(segment, segment) if segment is not segments[0] else None
        yield replace(segment, fade_in=fade_in, fade_out=fade_into(following, segment))


def places(timeline: Timeline, media: Media) -> Iterator[Place]:
    """Where each item of the base track lies."""
    end = Fraction(0)
    for index, item in enumerate(timeline.track):
        overlap = item.transition.duration if isinstance(item.transition, Dissolve) and index else Fraction(0)
        natural = max(Fraction(0), end - overlap)
        start = natural if item.start is None else item.start
        length = length_of(item, media)
        yield Place(start, length, natural)
        end = start + length


def length_of(item: TrackItem, media: Media) -> Fraction:
    """How long an item lasts, seconds."""
    if not isinstance(item, Clip):
        return item.duration
    start, end = source_range(item, media)
    return (end - start) / exact(item.speed) + item.hold


def used_part(item: Clip | VideoLayer | Narration, info: MediaInfo) -> tuple[Fraction, Fraction]:
    """The part of its source that an item uses, of sound and picture alike, seconds.

    What has a picture ends with it, and not with its sound. Ends past the source's by less than a frame are clamped.
    """
    length = sound_length(info) if isinstance(item, Narration) else picture_length(info)
    end = item.out if item.out is not None else length
    return item.in_, min(end, length) if length else end


def source_range(item: TrackItem, media: Media) -> tuple[Fraction, Fraction]:
    """The part of its source that an item of the base track shows, seconds."""
    match item:
        case Clip():
            return used_part(item, media[item.source])
        case Still():
            return item.at, item.at
        case Picture() | Gap():
            return Fraction(0), Fraction(0)


def picture_length(info: MediaInfo) -> Fraction:
    """How long the picture of a source lasts, seconds; 0 where it does not tell."""
    video = info.main_video
    return exact((video and video.duration_seconds) or info.duration_seconds)


def sound_length(info: MediaInfo) -> Fraction:
    """How long the sound of a source lasts, seconds; 0 where it does not tell."""
    audio = info.main_audio
    return exact((audio and audio.duration_seconds) or info.duration_seconds)


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
    """A rate of sources as one of canvases: brought into their range, and the usual one where it is nearly that."""
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
    return Fraction(fps).limit_denominator(1001) or Fraction(fps)  # a frame in many minutes is a rate, too


def _asked_fps(canvas: Canvas) -> Fraction | None:
    return true_rate(float(canvas.fps)) if canvas.fps else None


def _first_picture(timeline: Timeline, media: Media) -> VideoStream | None:
    pictured = (item for item in timeline.track if isinstance(item, Clip | Still | Picture))
    return next((media[item.source].main_video for item in pictured), None)


def even(value: float) -> int:
    """The nearest even number of pixels, two at least."""
    return max(2, round(value / 2) * 2)


def fitted(width: float, height: float, box: tuple[int, int], *, cover: bool) -> tuple[int, int]:
    """The even size, pixels, at which a picture just fits into `box`, or just covers it."""
    scales = box[0] / width, box[1] / height
    scale = max(scales) if cover else min(scales)
    return even(width * scale), even(height * scale)


def cropped(size: tuple[float, float], crop: Crop | None) -> tuple[float, float]:
    """Width and height of what is left of a picture."""
    return (size[0] * crop.width, size[1] * crop.height) if crop else size
