"""Finds all faults of a timeline at once, each with its path in the document."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from mediajobs_dagster.models import MediaInfo, VideoStream
from mediajobs_dagster.timelines.layout import (
    ItemTimes,
    Media,
    canvas_fps,
    canvas_size,
    cropped,
    even,
    item_times,
    sound_end,
    source_length,
    true_rate,
    used_part,
)
from mediajobs_dagster.timelines.model import (
    MAX_CLIPS,
    MAX_ITEMS,
    MAX_SECONDS,
    Captions,
    Clip,
    Crop,
    Dissolve,
    FadeThrough,
    Gap,
    ImageLayer,
    Layer,
    Logo,
    LowerThird,
    Music,
    Narration,
    Picture,
    Still,
    Timeline,
    Title,
    TrackItem,
    VideoLayer,
    Visualiser,
)
from mediajobs_dagster.timelines.parsing import Fault, Parsed
from mediajobs_dagster.timelines.references import image_references_of, references_of
from mediajobs_dagster.timelines.text.fonts import Fonts, UnknownFontError
from mediajobs_dagster.timelines.text.lettering import Lettering, Size, TextTooLongError
from mediajobs_dagster.timelines.texts import CaptionBlocks, set_text_of
from mediajobs_dagster.timelines.times import snap
from mediajobs_dagster.transcripts.subtitles import CaptionsError

_NO_SIZE = "has a picture of unknown size; its beginning may be missing"
_UNKNOWN = MediaInfo(container="", duration_seconds=0, bytes=0)


_LEAST_PIXELS = 4
"""The least width and height of a crop, pixels. Smaller ones vanish in halved colour planes."""
_MOST_HEIGHTS = 4
"""The most heights of the canvas that a layer may have. All of it is drawn, even outside the canvas."""


OnText = Callable[[Timeline, int, Lettering | CaptionBlocks], None]
"""Called with each typeset text, the timeline, and the number of its layer."""


def faults_of(
    parsed: Parsed, media: Media, fonts: Fonts, on_text: OnText = lambda _timeline, _number, _text: None
) -> list[Fault]:
    """The faults of a parsed timeline, given the media info of the uploads it refers to.

    Faults of form are those of `parsed`; unknown references are reported by the caller, so references that `media` does
    not have are skipped. Texts are typeset with `fonts`, and `on_text` gets each of them. A finding that could
    disappear when other faults are fixed is not reported.
    """
    timeline = parsed.timeline
    if timeline is None:
        return []
    found = [*_limits(timeline, parsed.holes), *_canvas(timeline, parsed), *_sources(timeline, media)]
    unsure = parsed.holes | {
        int(number) for fault in found for number in re.findall(r"^\$\.track\[(\d+)\]", fault.path)
    }
    everything = {reference: media.get(reference, _UNKNOWN) for _, reference in references_of(timeline)}
    track = _Track(timeline, everything, unsure | set(_endless(timeline, media)))
    found += track.faults()
    if track.end is not None:
        found += _beyond(timeline, track.end, track.fps)
    canvas = canvas_size(timeline, everything)
    is_sized = not parsed.has_fault("$.canvas") and _is_sized(timeline, media)
    if is_sized:
        found += _heights(timeline, media, canvas)
    if not parsed.has_fault("$.canvas.fps") and _has_rate(timeline, media):
        found += _lengths(timeline, media, track.fps)
    found += _texts(timeline, canvas, fonts, on_text, is_sized=is_sized)
    return [Fault(parsed.original(fault.path), fault.message) for fault in found]


def _endless(timeline: Timeline, media: Media) -> Iterator[int]:
    """The items whose length is unknown."""
    for index, item in enumerate(timeline.track):
        if isinstance(item, Clip) and item.out is None and item.source not in media:
            yield index


def _is_sized(timeline: Timeline, media: Media) -> bool:
    canvas = timeline.canvas
    first = next((item.source for item in timeline.track if not isinstance(item, Gap)), None)
    return bool(canvas.preset or canvas.width) or first is None or (first in media and _has_picture(media[first]))


def _has_rate(timeline: Timeline, media: Media) -> bool:
    first = next((item.source for item in timeline.track if isinstance(item, Clip)), None)
    return bool(timeline.canvas.fps) or first is None or first in media


def _has_picture(info: MediaInfo) -> bool:
    """Whether there is a picture with a size. A stream whose beginning is missing does not declare one."""
    return info.main_video is not None and min(info.main_video.display_size) >= 1


def _limits(timeline: Timeline, holes: frozenset[int]) -> Iterator[Fault]:
    clips = sum(isinstance(item, Clip) for item in timeline.track)
    if clips > MAX_CLIPS:
        yield Fault("$.track", f"has {clips} clips; {MAX_CLIPS} are the most")
    read = [item for index, item in enumerate(timeline.track) if index not in holes]
    for name, items in (("track", read), ("layers", timeline.layers)):
        counts: dict[str, int] = {}
        for item in items:
            counts[item.kind] = counts.get(item.kind, 0) + 1
        for kind, count in counts.items():
            if kind != "clip" and count > MAX_ITEMS:
                yield Fault(f"$.{name}", f"has {count} items of kind {kind}; {MAX_ITEMS} are the most")


def _canvas(timeline: Timeline, parsed: Parsed) -> Iterator[Fault]:
    canvas = timeline.canvas
    could_be_read = not (parsed.has_fault("$.canvas.width") or parsed.has_fault("$.canvas.height"))
    if could_be_read and (canvas.width is None) != (canvas.height is None):
        yield Fault("$.canvas", "has only one of width and height; give both, or a preset")
    if canvas.preset and (canvas.width or canvas.height):
        yield Fault("$.canvas", "has a preset and a size; give one of them")


# --- sources ---------------------------------------------------------------------------------------------------------


def _sources(timeline: Timeline, media: Media) -> Iterator[Fault]:
    images = {path for path, _ in image_references_of(timeline)}
    for path, reference in references_of(timeline):
        if reference in media and (path in images) != media[reference].is_image:
            is_image = media[reference].is_image
            has_images = path.startswith(("$.track", "$.layers"))
            advice = "; use an item of kind image" if has_images else " and has no sound"
            yield Fault(path, f"is an image{advice}" if is_image else "is not an image")
    for index, item in enumerate(timeline.track):
        if not isinstance(item, Gap):
            yield from _crop(f"$.track[{index}]", item.crop, media.get(item.source))
        if not isinstance(item, Gap) and not (item.source in media and media[item.source].is_image):
            yield from _track_item(f"$.track[{index}]", item, media.get(item.source))
    for index, layer in enumerate(timeline.layers):
        if isinstance(layer, VideoLayer):
            yield from _crop(f"$.layers[{index}]", layer.crop, media.get(layer.source))
        if isinstance(layer, VideoLayer) and not (layer.source in media and media[layer.source].is_image):
            yield from _moving(f"$.layers[{index}]", layer, media.get(layer.source))
    for name, items in (("narration", timeline.narration), ("music", timeline.music)):
        for index, item in enumerate(items):
            if not (item.source in media and media[item.source].is_image):
                yield from _sounding(f"$.{name}[{index}]", item, media.get(item.source))
    yield from _narration_ids(timeline)


def _crop(path: str, crop: Crop | None, info: MediaInfo | None) -> Iterator[Fault]:
    if crop is None:
        return
    if crop.x + crop.width > 1 + 1e-6 or crop.y + crop.height > 1 + 1e-6:
        yield Fault(f"{path}.crop", "reaches beyond the edge of the picture")
    elif info is not None and _has_picture(info):
        assert info.main_video is not None
        width, height = cropped(info.main_video.upright_size, crop)
        if width < _LEAST_PIXELS or height < _LEAST_PIXELS:
            left = f"leaves {width:g}x{height:g} pixels of the picture"
            yield Fault(f"{path}.crop", f"{left}; the least is {_LEAST_PIXELS}x{_LEAST_PIXELS}. Make it larger")


def _track_item(path: str, item: Clip | Still | Picture, info: MediaInfo | None) -> Iterator[Fault]:
    if isinstance(item, Clip):
        yield from _moving(path, item, info)
    elif info is None or isinstance(item, Picture):
        return
    elif info.main_video is None:
        yield Fault(f"{path}.source", "has no picture")
    elif not _has_picture(info):
        yield Fault(f"{path}.source", _NO_SIZE)
    elif not info.main_video.is_decodable:
        yield Fault(f"{path}.source", _undecodable(info.main_video))
    else:
        length = source_length(info)
        if length and item.at >= length:
            yield Fault(f"{path}.at", f"is {_s(item.at)}, beyond the end of the source at {_s(length)}")


def _moving(path: str, item: Clip | VideoLayer, info: MediaInfo | None) -> Iterator[Fault]:
    if info is None:
        yield from _backwards(path, item)
        return
    video = info.main_video
    if video is None:
        yield Fault(f"{path}.source", "has no picture; use it as narration or music")
        return
    if not _has_picture(info):
        yield Fault(f"{path}.source", _NO_SIZE)
        return
    if not video.is_decodable:
        yield Fault(f"{path}.source", _undecodable(video))
        return
    if not item.mute and info.main_audio is None and info.audio:
        codecs = ", ".join(each.codec for each in info.audio)
        yield Fault(f"{path}.source", f"has sound in {codecs}, which ffmpeg cannot decode here. Mute it, or convert it")
    frame = Fraction(1) / true_rate(video.fps or 30.0)
    yield from _range(path, item, source_length(info), frame)


def _sounding(path: str, item: Narration | Music, info: MediaInfo | None) -> Iterator[Fault]:
    if info is None:
        yield from _backwards(path, item) if isinstance(item, Narration) else ()
        return
    if info.main_audio is None:
        codecs = ", ".join(each.codec for each in info.audio)
        only = f" that ffmpeg can decode here, only {codecs}" if codecs else ""
        yield Fault(f"{path}.source", f"has no sound{only}")
        return
    length = sound_end(info)
    if isinstance(item, Narration):
        yield from _range(path, item, length, Fraction(1, 10))
    elif length and item.in_ >= length:
        yield Fault(f"{path}.in", f"is {_s(item.in_)}, beyond the end of the source at {_s(length)}")


def _range(path: str, item: Clip | VideoLayer | Narration, length: Fraction, frame: Fraction) -> Iterator[Fault]:
    if item.out is None and not length:
        yield Fault(f"{path}.out", "is missing, and the length of the source is not known")
    elif item.out is not None and item.out <= item.in_:
        yield from _backwards(path, item)
    elif length and item.out is not None and item.out >= length + frame:
        yield Fault(f"{path}.out", f"is {_s(item.out)}, beyond the end of the source at {_s(length)}")
    elif length and item.in_ >= length:
        yield Fault(f"{path}.in", f"is {_s(item.in_)}, beyond the end of the source at {_s(length)}")


def _undecodable(video: VideoStream) -> str:
    return f"has a picture in {video.codec}, which ffmpeg cannot decode here. Convert it to H.264, and add that"


def _backwards(path: str, item: Clip | VideoLayer | Narration) -> Iterator[Fault]:
    if item.out is not None and item.out <= item.in_:
        yield Fault(f"{path}.out", f"is {_s(item.out)}, which is not after in, {_s(item.in_)}")


def _narration_ids(timeline: Timeline) -> Iterator[Fault]:
    ids: set[str] = set()
    for index, voice in enumerate(timeline.narration):
        if voice.id in ids:
            yield Fault(f"$.narration[{index}].id", f"{voice.id!r} is given twice")
        ids |= {voice.id} if voice.id else set()
    for index, layer in enumerate(timeline.layers):
        if isinstance(layer, Visualiser) and layer.narration not in ids:
            yield Fault(f"$.layers[{index}].narration", f"there is no narration with the id {layer.narration!r}")


# --- the base track --------------------------------------------------------------------------------------------------


@dataclass
class _Track:
    """Checks the base track. Items of unknown length count as too short rather than too long."""

    timeline: Timeline
    media: Media
    unsure: frozenset[int]
    """Items whose length is not certain."""
    end: Fraction | None = None
    """Where the track ends, seconds; None if unknown."""

    @property
    def fps(self) -> Fraction:
        return canvas_fps(self.timeline, self.media)

    def faults(self) -> Iterator[Fault]:
        known, end = True, Fraction(0)
        for index, (item, times) in enumerate(
            zip(self.timeline.track, item_times(self.timeline, self.media), strict=True)
        ):
            yield from self._start(index, item, times, known=known)
            known = index not in self.unsure and (known or item.start is not None)
            if index not in self.unsure:
                yield from self._length(index, times.length)
            end = max(end, times.start + times.length)
        if end > MAX_SECONDS:
            yield Fault("$.track", f"lasts {_s(end)}; {_s(MAX_SECONDS)} are the most")
        self.end = end if known else None

    def _start(self, index: int, item: TrackItem, times: ItemTimes, *, known: bool) -> Iterator[Fault]:
        path = f"$.track[{index}]"
        if item.start is not None and item.start < times.default_start - 1 / (2 * self.fps):
            by = _s(times.default_start - item.start)
            yield Fault(f"{path}.start", f"is {_s(item.start)}: this item overlaps the one before by {by}")
        if item.transition and not index:
            yield Fault(f"{path}.transition", "the first item has no item before it; leave out the transition")
        elif item.transition and known and item.start is not None and item.start > times.default_start:
            yield Fault(f"{path}.transition", "there is a gap before this item; leave out its start")

    def _length(self, index: int, length: Fraction) -> Iterator[Fault]:
        path, around = f"$.track[{index}]", self.timeline.track[index : index + 2]
        needed = sum((_part_of(item) for item in around[0 if index else 1 :]), Fraction(0))
        if needed > length:
            lasts = f"lasts {_s(length)}, and the transitions into and out of it need {_s(needed)}"
            yield Fault(path, f"{lasts}; shorten them")
        if length < 1 / self.fps:
            yield Fault(path, f"lasts {_s(length)}, less than a frame")


def _part_of(item: TrackItem) -> Fraction:
    """How much of each neighbouring item the transition into `item` takes, seconds."""
    match item.transition:
        case Dissolve(duration=duration):
            return duration
        case FadeThrough(duration=duration):
            return duration / 2
        case None:
            return Fraction(0)


def _beyond(timeline: Timeline, end: Fraction, fps: Fraction) -> Iterator[Fault]:
    for name, items in (("layers", timeline.layers), ("narration", timeline.narration), ("music", timeline.music)):
        for index, item in enumerate(items):
            if snap(item.start, fps) >= snap(end, fps):
                path = f"$.{name}[{index}].start"
                yield Fault(path, f"is {_s(item.start)}, beyond the end of the timeline at {_s(end)}")


def _heights(timeline: Timeline, media: Media, canvas: Size) -> Iterator[Fault]:
    """Layers that are too high, because their picture is narrow."""
    for index, layer in enumerate(timeline.layers):
        if not isinstance(layer, VideoLayer | ImageLayer | Logo) or layer.source not in media:
            continue
        video = media[layer.source].main_video
        if video is None or min(video.display_size) < 1:
            continue
        crop = layer.crop if isinstance(layer, VideoLayer) else None
        if any(_crop("", crop, media[layer.source])):
            continue
        shown = cropped(video.display_size, crop)
        width = even(layer.scale * canvas[0])
        height = even(width * shown[1] / shown[0])
        if height > _MOST_HEIGHTS * canvas[1]:
            most = math.floor(1000 * layer.scale * _MOST_HEIGHTS * canvas[1] / height) / 1000
            size = f"makes it {width}x{height} pixels; its height may be {_MOST_HEIGHTS * canvas[1]} at most"
            smaller = f"a scale of {most:g} at most" if most else "a picture of another shape"
            yield Fault(f"$.layers[{index}].scale", f"{size}; use {smaller}")


def _lengths(timeline: Timeline, media: Media, fps: Fraction) -> Iterator[Fault]:
    """Layers and narrations that are shorter than a frame."""
    for name, items in (("layers", timeline.layers), ("narration", timeline.narration)):
        for index, item in enumerate(items):
            length = _length_above(item, media)
            if length > 0 and snap(item.start, fps) == snap(item.start + length, fps):
                yield Fault(f"$.{name}[{index}]", f"lasts {_s(length)}, less than a frame")


def _length_above(item: Layer | Narration, media: Media) -> Fraction:
    """The length in seconds; 0 if unknown, or if it lasts to the end of the timeline."""
    match item:
        case ImageLayer() | Logo() | Title() | LowerThird():
            return item.duration or Fraction(0)
        case VideoLayer() | Narration():
            begin, end = used_part(item, media.get(item.source, _UNKNOWN))
            return max(Fraction(0), end - begin)
        case Captions() | Visualiser():
            return Fraction(0)


def _texts(timeline: Timeline, canvas: Size, fonts: Fonts, on_text: OnText, *, is_sized: bool) -> Iterator[Fault]:
    for index, layer in enumerate(timeline.layers):
        path = f"$.layers[{index}]"
        try:
            text = set_text_of(layer, canvas, fonts)
        except UnknownFontError as error:
            yield Fault(f"{path}.style.font", str(error))
        except TextTooLongError as error:
            if is_sized:  # while the canvas is unknown, the text may still fit
                yield Fault(f"{path}.{'name' if isinstance(layer, LowerThird) else 'text'}", str(error))
        except CaptionsError as error:
            yield Fault(f"{path}.text", str(error))
        else:
            if text is not None:
                on_text(timeline, index, text)


# --- words -----------------------------------------------------------------------------------------------------------


def _s(seconds: Fraction) -> str:
    return f"{float(seconds):.3f}".rstrip("0").rstrip(".") + " s"
