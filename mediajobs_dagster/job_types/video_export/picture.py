"""The base track's picture: a chain for each segment, and the joints between them.

Every segment becomes exactly its frames, in one form: the canvas's size and rate, square pixels, 4:2:0 in BT.709.
Frame k of a clip shows what its source shows half a frame after `in + k * speed / fps`: the middle of the frame's time,
so that a source of the same rate is shown frame by frame, and rounding cannot tip over to a neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mediajobs_dagster.errors import HdrUnsupportedError
from mediajobs_dagster.job_types.colours import BT709_VIDEO, TAGGED_709, converted
from mediajobs_dagster.job_types.geometry import last_frame_kept, whole_and_upright
from mediajobs_dagster.job_types.material import Source, ToneMapping
from mediajobs_dagster.job_types.video_export.drawings import Drawings
from mediajobs_dagster.job_types.video_export.graph import Graph, decimal, hexadecimal, rate
from mediajobs_dagster.job_types.video_export.reading import SegmentInputs
from mediajobs_dagster.models import VideoStream
from mediajobs_dagster.timelines.layout import Fade, Layout, Segment, cropped, fitted
from mediajobs_dagster.timelines.model import (
    BlurBackground,
    Clip,
    ColourBackground,
    Crop,
    Gap,
    ImageBackground,
    Picture,
    Still,
    Timeline,
)

_SPARE = 4
"""Extra pixels of a source that are scaled too, so that after rounding the picture still covers the canvas."""
_BLUR_SHARE = 8  # blurring at an eighth of the size looks the same and costs a sixty-fourth

TRANSPARENT_709 = ("scale=out_color_matrix=bt709:out_range=tv", "format=yuva420p")
"""Converts the RGB of a drawing to the form that overlays need."""


@dataclass(frozen=True)
class Scaling:
    """How pictures are scaled and converted to BT.709."""

    flags: Literal["fast_bilinear", "bicubic", "lanczos"]
    tone_mapping: ToneMapping | None
    """How this ffmpeg tone-maps HDR; None: it cannot."""
    allow_untonemapped: bool


@dataclass(frozen=True)
class PictureTrack:
    """Builds the base track of a timeline into a graph."""

    graph: Graph
    layout: Layout
    timeline: Timeline
    segment_inputs: SegmentInputs
    drawings: Drawings
    scaling: Scaling

    def build(self) -> str:
        """The pad of the whole base track."""
        joined = ""
        cuts: list[str] = []
        for number, segment in enumerate(self.layout.segments):
            pad = self._segment(number, segment)
            if segment.dissolve and number:
                joined = self._concatenated(number, cuts)
                cuts = [self._dissolved(number, segment, joined, pad)]
            else:
                cuts.append(pad)
        return self._concatenated(len(self.layout.segments), cuts)

    def _concatenated(self, number: int, pads: Sequence[str]) -> str:
        if len(pads) == 1:
            return pads[0]
        # concat counts in microseconds. From here on one tick is a frame again, so that xfade and overlay are exact.
        ticks = f"settb=1/({rate(self.layout.fps)})"
        return self.graph.add(f"track{number}", [f"concat=n={len(pads)}:v=1:a=0", ticks], *pads)

    def _dissolved(self, number: int, segment: Segment, before: str, pad: str) -> str:
        fps = self.layout.fps
        length, offset = decimal(segment.dissolve / fps), decimal(segment.first / fps)
        return self.graph.add(
            f"dissolve{number}", [f"xfade=transition=fade:duration={length}:offset={offset}"], before, pad
        )

    # --- segments ----------------------------------------------------------------------------------------------------

    def _segment(self, number: int, segment: Segment) -> str:
        match segment.item:
            case Clip() as clip:
                source = self.segment_inputs.source(clip.source)
                pad, video = self.segment_inputs.picture(number), video_of(source)
                moving = (
                    *whole_and_upright(video),
                    *last_frame_kept(video),
                    *self.segment_inputs.picture_times(number, clip.speed),
                    *self._on_canvas_rate(segment.frames - segment.held),
                )
                filled = self._filled(f"base{number}", pad, moving, video, clip.fit, clip.crop)
            case Still() as still:
                source = self.segment_inputs.source(still.source)
                pad, video = self.segment_inputs.picture(number), video_of(source)
                timing = (
                    *whole_and_upright(video),
                    *self.segment_inputs.picture_times(number, 1),
                    *self._on_canvas_rate(1),
                )
                filled = self._filled(f"base{number}", pad, timing, video, still.fit, still.crop)
            case Picture() as picture:
                filled = self._image(number, picture)
            case Gap() | None:
                filled = self._background(f"base{number}")
        return self.graph.add(f"segment{number}", [*self._stretched(segment), *self._fades(segment)], filled)

    def _on_canvas_rate(self, frames: int) -> tuple[str, ...]:
        return on_canvas_rate(self.layout.fps, frames)

    def _stretched(self, segment: Segment) -> tuple[str, ...]:
        # The last picture is repeated where frames are missing: for `hold`, or if a source is shorter than it declares.
        return ("tpad=stop=-1:stop_mode=clone", f"trim=end_frame={segment.frames}")

    def _fades(self, segment: Segment) -> Iterator[str]:
        for kind, fade, start in (
            ("in", segment.fade_in, 0),
            ("out", segment.fade_out, segment.frames - (segment.fade_out.frames if segment.fade_out else 0)),
        ):
            if fade:
                yield _fade(kind, fade, start)

    def _image(self, number: int, item: Picture) -> str:
        name = self.drawings.image(item.source, self.layout, item.fit, item.crop)
        x, y = middle((self.layout.width, self.layout.height), self.drawings.size_of(name))
        # The background shows where the image is transparent, and where it does not reach.
        filters = (*self._on_canvas_rate(1), *TRANSPARENT_709)
        drawn = self.graph.add(f"image{number}", filters, f"{self.graph.open(name)}:0")
        behind = self._background(f"base{number}_behind")
        return self.graph.add(f"base{number}", [f"overlay={x}:{y}:format=yuv420"], behind, drawn)

    def _still_of_drawing(self, pad: str, number: int) -> str:
        filters = (*self._on_canvas_rate(1), *_drawing_to_709())
        return self.graph.add(pad, filters, f"{number}:0")

    # --- filling the canvas ------------------------------------------------------------------------------------------

    def _filled(
        self,
        pad: str,
        taken: str,
        timing: Sequence[str],
        video: VideoStream,
        fit: Literal["contain", "cover"],
        crop: Crop | None,
    ) -> str:
        """A picture on the canvas: cropped, scaled, in BT.709, with the background where it does not reach."""
        canvas = self.layout.width, self.layout.height
        used = covering(video, crop, canvas) if fit == "cover" else crop
        shown = cropped(video.display_size, used)
        size = fitted(*shown, canvas, cover=fit == "cover")
        filters = [*timing, *crop_filter(used), *scaled(video, size, self.scaling)]
        if fit == "cover" and size != canvas:
            filters.append(f"crop={canvas[0]}:{canvas[1]}")
            size = canvas
        filters.append(TAGGED_709)
        if size == canvas:
            return self.graph.add(pad, filters, taken)
        fitting = self.graph.add(f"{pad}_fit", filters, taken)
        match self.timeline.canvas.background:
            case BlurBackground():
                return self._on_blur(pad, fitting, shown, size)
            case ColourBackground(color=color):
                x, y = middle(canvas, size)
                return self.graph.add(pad, [f"pad={canvas[0]}:{canvas[1]}:{x}:{y}:{hexadecimal(color[:7])}"], fitting)
            case ImageBackground():
                return self._on_image(pad, fitting, size)

    def _on_image(self, pad: str, picture: str, size: tuple[int, int]) -> str:
        x, y = middle((self.layout.width, self.layout.height), size)
        behind = self._background(f"{pad}_behind")
        endless = self.graph.add(f"{pad}_endless", ["tpad=stop=-1:stop_mode=clone"], behind)
        return self.graph.add(pad, [f"overlay={x}:{y}:shortest=1:format=yuv420"], endless, picture)

    def _on_blur(self, pad: str, picture: str, shown: tuple[float, float], size: tuple[int, int]) -> str:
        canvas = self.layout.width, self.layout.height
        sharp, spread = self.graph.fan_out((f"{pad}_sharp", f"{pad}_spread"), ["split"], picture)
        small = max(2, canvas[0] // _BLUR_SHARE // 2 * 2), max(2, canvas[1] // _BLUR_SHARE // 2 * 2)
        covering = fitted(*shown, small, cover=True)
        blurred = self.graph.add(
            f"{pad}_blurred",
            [
                f"scale={covering[0]}:{covering[1]}:flags=bilinear",
                f"crop={small[0]}:{small[1]}",
                "gblur=sigma=6",
                f"scale={canvas[0]}:{canvas[1]}:flags=bilinear",
                "setsar=1",
            ],
            spread,
        )
        x, y = middle(canvas, size)
        return self.graph.add(pad, [f"overlay={x}:{y}:format=yuv420"], blurred, sharp)

    def _background(self, pad: str) -> str:
        """One frame of nothing but the background."""
        background = self.timeline.canvas.background
        if isinstance(background, ImageBackground):
            name = self.drawings.image(background.source, self.layout, "cover", None)
            return self._still_of_drawing(pad, self.graph.open(name))
        color = background.color if isinstance(background, ColourBackground) else "#000000"
        size = f"{self.layout.width}x{self.layout.height}"
        drawn = f"color=c={hexadecimal(color[:7])}:s={size}:r={rate(self.layout.fps)}"
        # Through RGB, because the filter `color` uses the matrix of BT.601.
        return self.graph.add(pad, [drawn, "trim=end_frame=1", "format=gbrp", *_drawing_to_709()])


def on_canvas_rate(fps: Fraction, frames: int) -> tuple[str, ...]:
    """Filters that make exactly `frames` frames of a moving picture, from its time 0 on."""
    ticks = f"fps={rate(fps)}"
    return (
        # After the end of the source its last picture stays: the in point may lie within or after the last frame.
        *(ticks, "tpad=stop=-1:stop_mode=clone"),
        # start_time=0 drops what was decoded before the in point, except the frame that is shown at it.
        *(f"{ticks}:start_time=0", f"trim=end_frame={frames}"),
    )


def video_of(source: Source) -> VideoStream:
    """The picture of a source that `faults` found to have one."""
    assert source.info.main_video is not None
    return source.info.main_video


def scaled(video: VideoStream, size: tuple[int, int], scaling: Scaling) -> tuple[str, ...]:
    """Filters that bring a source's picture to `size`, pixels, and into 4:2:0 of BT.709.

    Raises HdrUnsupportedError for a source that would have to be tone-mapped and cannot be.
    """
    if video.is_hdr and scaling.tone_mapping is None and not scaling.allow_untonemapped:
        raise HdrUnsupportedError(
            f"A source is HDR ({video.transfer}), and this ffmpeg cannot tone-map it. Use ffmpeg 8 or newer, or "
            "one with zscale, or accept washed-out colours (--allow-untonemapped)."
        )
    return converted(video, size, BT709_VIDEO, flags=scaling.flags, tone_mapping=scaling.tone_mapping)


def covering(video: VideoStream, crop: Crop | None, canvas: tuple[int, int]) -> Crop | None:
    """The part of a picture, after `crop`, that covers the canvas.

    It is cut out before scaling, with some spare pixels, so that the scaled picture is never much larger than the
    canvas, whatever its shape. The exact cut follows after scaling.
    """
    width, height = cropped(video.display_size, crop)
    wanted = canvas[0] / canvas[1]
    whole = crop or Crop()
    stored = video.upright_size
    if width > height * wanted:
        share = _kept(stored[0] * whole.width, height * wanted / width)
        left = whole.x + whole.width * (1 - share) / 2
        narrowed = whole.model_copy(update={"x": left, "width": whole.width * share})
    else:
        share = _kept(stored[1] * whole.height, width / wanted / height)
        top = whole.y + whole.height * (1 - share) / 2
        narrowed = whole.model_copy(update={"y": top, "height": whole.height * share})
    return crop if share == 1 else narrowed


def _kept(pixels: float, share: float) -> float:
    """The share of a picture's width or height, in pixels, to keep when `share` of it is needed.

    The same number of pixels is cut from both sides. It is even, because `crop` would move odd offsets where colour
    planes are halved.
    """
    gone = 4 * math.floor((pixels * (1 - share) - _SPARE) / 4)
    return 1 - gone / pixels if gone > 0 else 1


def crop_filter(crop: Crop | None) -> tuple[str, ...]:
    """The filter that crops a picture, which ffmpeg has already turned upright."""
    if crop is None:
        return ()
    parts = (
        f"{kind}*{decimal(share)}"
        for kind, share in (("iw", crop.width), ("ih", crop.height), ("iw", crop.x), ("ih", crop.y))
    )
    return (f"crop={':'.join(parts)}",)


def middle(canvas: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Left and top, even, of something in the middle of the canvas."""
    return (canvas[0] - size[0]) // 4 * 2, (canvas[1] - size[1]) // 4 * 2


def _drawing_to_709() -> tuple[str, ...]:
    return ("scale=out_color_matrix=bt709:out_range=tv", "setsar=1", "format=yuv420p", TAGGED_709)


def _fade(kind: str, fade: Fade, start: int) -> str:
    return f"fade=t={kind}:s={start}:n={fade.frames}:color={hexadecimal(fade.color[:7])}"


def shifted(first: int, fps: Fraction) -> str:
    """The filter that makes a stream that starts at 0 begin at frame `first`."""
    # Rounded, because setpts truncates, and a microsecond less would be the frame before.
    return f"setpts=round(PTS+{decimal(first / fps)}/TB)"
