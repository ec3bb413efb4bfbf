"""The layers above the base track: each is an overlay, in the order of the timeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from mediajobs_dagster.job_types.colours import TAGGED_709
from mediajobs_dagster.job_types.geometry import last_frame_kept, whole_and_upright
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.video_export.drawings import Drawings, Frame
from mediajobs_dagster.job_types.video_export.graph import Graph, decimal, hexadecimal, rate
from mediajobs_dagster.job_types.video_export.openings import Openings
from mediajobs_dagster.job_types.video_export.picture import (
    TRANSPARENT_709,
    Scaling,
    crop_filter,
    on_canvas_rate,
    scaled,
    shifted,
    video_of,
)
from mediajobs_dagster.job_types.video_export.reading import Opened, begun
from mediajobs_dagster.job_types.video_export.sound import part_of
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.media.command import Drawing, Input, Slideshow
from mediajobs_dagster.timelines.captions import Slide, band_of, slides
from mediajobs_dagster.timelines.layout import Layout, cropped, even, used_part
from mediajobs_dagster.timelines.model import (
    Captions,
    ImageLayer,
    Layer,
    Logo,
    LowerThird,
    Motion,
    Position,
    Timeline,
    Title,
    VideoLayer,
    Visualiser,
)
from mediajobs_dagster.transcripts.subtitles import read_captions

_MARGIN = 0.05  # share of the canvas that televisions and the bars of players may cover
_STEPS_PER_S = 25
"""ffmpeg's time steps in a slideshow: it reads drawings at 25 frames a second."""


@dataclass(frozen=True)
class Placed:
    """A layer's picture, ready for the overlay: its pad, position and size in pixels, and its frames."""

    pad: str
    left: int
    top: int
    width: int
    height: int
    first: int
    frames: int


@dataclass(frozen=True)
class Covered:
    """A part of the canvas that a layer may hide, pixels (`right` and `bottom` excluded), and in which frames."""

    left: int
    top: int
    right: int
    bottom: int
    first: int
    end: int


@dataclass(frozen=True)
class Layers:
    """Builds the layers of a timeline over its base track."""

    graph: Graph
    layout: Layout
    timeline: Timeline
    sources: Mapping[str, Source]
    openings: Openings
    opened: Opened
    drawings: Drawings
    texts: Texts
    scaling: Scaling

    def build(self, base: str) -> tuple[str, tuple[Covered, ...]]:
        """The pad of base track and layers together, and the areas that the layers may hide."""
        covered: list[Covered] = []
        for number, layer in enumerate(self.timeline.layers):
            if placed := self._placed(number, layer):
                base = self._over(base, number, layer, placed)
                covered.append(self._covered(layer, placed))
        return base, tuple(covered)

    def _placed(self, number: int, layer: Layer) -> Placed | None:
        match layer:
            case VideoLayer():
                return self._video(number, layer)
            case ImageLayer():
                drawing = self._framed(layer.source, layer.scale, self._frame(layer))
                return self._drawn(number, drawing, layer, layer.duration, self._centred(drawing, layer.position))
            case Logo():
                drawing = self._framed(layer.source, layer.scale, Frame(opacity=layer.opacity))
                place = self._centred(drawing, layer.position) if layer.position else self._in_corner(drawing, layer)
                return self._drawn(number, drawing, layer, layer.duration, place)
            case Title() | LowerThird():
                text = self.texts.painted[number]
                drawing = self.drawings.text(f"text{number}", text)
                return self._drawn(number, drawing, layer, layer.duration, (text.left, text.top))
            case Captions():
                return self._captions(number, layer)
            case Visualiser():
                return self._visualiser(number, layer)

    # --- one layer over the rest -------------------------------------------------------------------------------------

    def _over(self, base: str, number: int, layer: Layer, placed: Placed) -> str:
        fading = self.graph.add(
            f"layer{number}",
            [*self._fades(layer, placed.frames), shifted(placed.first, self.layout.fps)],
            placed.pad,
        )
        x, y = self._moving(layer, placed)
        return self.graph.add(f"over{number}", [f"overlay=x={x}:y={y}:eof_action=pass:format=yuv420"], base, fading)

    def _covered(self, layer: Layer, placed: Placed) -> Covered:
        """The area of the layer, including the path of a slide."""
        slides = {motion.side for motion in (layer.enter, layer.exit) if motion and motion.kind == "slide"}
        return Covered(
            left=0 if "left" in slides else placed.left,
            top=0 if "top" in slides else placed.top,
            right=self.layout.width if "right" in slides else placed.left + placed.width,
            bottom=self.layout.height if "bottom" in slides else placed.top + placed.height,
            first=placed.first,
            end=placed.first + placed.frames,
        )

    def _fades(self, layer: Layer, frames: int) -> Iterator[str]:
        if layer.enter and layer.enter.kind == "fade":
            yield f"fade=t=in:s=0:n={self._frames(layer.enter)}:alpha=1"
        if layer.exit and layer.exit.kind == "fade":
            count = self._frames(layer.exit)
            yield f"fade=t=out:s={max(0, frames - count)}:n={count}:alpha=1"

    def _moving(self, layer: Layer, placed: Placed) -> tuple[str, str]:
        """Left and top as expressions of time: a slide enters from, or leaves to, outside the canvas."""
        x, y = str(placed.left), str(placed.top)
        frame = f"t*{rate(self.layout.fps)}"  # not `n`: overlay counts frames it has read, not shown
        for motion, gone in (
            (layer.enter, f"max(0,1-({frame}-{placed.first})/{{count}})"),
            (layer.exit, f"max(0,1-({placed.first + placed.frames}-{frame})/{{count}})"),
        ):
            if motion is None or motion.kind != "slide":
                continue
            share = gone.format(count=self._frames(motion))
            match motion.side:
                case "left":
                    x += f"-{placed.left + placed.width}*{share}"
                case "right":
                    x += f"+{self.layout.width - placed.left}*{share}"
                case "top":
                    y += f"-{placed.top + placed.height}*{share}"
                case "bottom":
                    y += f"+{self.layout.height - placed.top}*{share}"
        return _quoted(x), _quoted(y)

    def _frames(self, motion: Motion) -> int:
        return max(1, self.layout.span(Fraction(0), motion.duration)[1])

    # --- videos ------------------------------------------------------------------------------------------------------

    def _video(self, number: int, layer: VideoLayer) -> Placed:
        source = self.sources[layer.source]
        video = video_of(source)
        begin, end = used_part(layer, source.info)
        first, frames = self.layout.span(layer.start, end - begin)
        shown = cropped(video.display_size, layer.crop)
        width = even(layer.scale * self.layout.width)
        height = even(width * shown[1] / shown[0])
        filters = [
            *whole_and_upright(video),
            *last_frame_kept(video),
            *begun(self.opened.offset[number]),
            *on_canvas_rate(self.layout.fps, frames),
            *crop_filter(layer.crop),
            *scaled(video, (width, height), self.scaling),
            TAGGED_709,
        ]
        pad = self.graph.add(f"video{number}", filters, self.opened.picture[number])
        pad = self._around(number, pad, (width, height), layer)
        left, top = self._middle_at(layer.position, width, height)
        return Placed(pad, left, top, width, height, first, frames)

    def _around(self, number: int, pad: str, size: tuple[int, int], layer: VideoLayer) -> str:
        frame = self._frame(layer)
        if frame.line:
            line = self._still(f"border{number}", self.drawings.border(size, frame))
            pad = self.graph.add(f"bordered{number}", ["overlay=0:0:format=yuv420"], pad, line)
        if frame.radius or frame.opacity < 1:
            mask = self.graph.open(self.drawings.mask(size, frame))
            alpha = self.graph.add(f"mask{number}", ["alphaextract"], f"{mask}:0")
            return self.graph.add(f"masked{number}", ["alphamerge"], pad, alpha)
        return self.graph.add(f"opaque{number}", ["format=yuva420p"], pad) if layer.enter or layer.exit else pad

    # --- drawings ----------------------------------------------------------------------------------------------------

    def _framed(self, reference: str, scale: float, frame: Frame) -> Drawing:
        return self.drawings.framed_image(reference, even(scale * self.layout.width), frame)

    def _frame(self, layer: VideoLayer | ImageLayer) -> Frame:
        if layer.border is None:
            return Frame(layer.radius, opacity=layer.opacity)
        line = max(1, round(layer.border.width * self.layout.height))
        return Frame(layer.radius, line, layer.border.color, layer.opacity)

    def _drawn(
        self, number: int, drawing: Drawing, layer: Layer, duration: Fraction | None, place: tuple[int, int]
    ) -> Placed:
        first, frames = self.layout.span(layer.start, duration)
        still = self._still(f"drawn{number}", drawing)
        lasting = ["tpad=stop=-1:stop_mode=clone", f"trim=end_frame={frames}"]
        pad = self.graph.add(f"lasting{number}", lasting, still)
        return Placed(pad, *place, *self.drawings.size_of(drawing), first, frames)

    def _still(self, pad: str, drawing: Drawing) -> str:
        """One frame of a drawing, in the form that overlays need."""
        filters = (f"fps={rate(self.layout.fps)}:start_time=0", "trim=end_frame=1", *TRANSPARENT_709)
        return self.graph.add(pad, filters, f"{self.graph.open(drawing)}:0")

    def _centred(self, drawing: Drawing, position: Position) -> tuple[int, int]:
        return self._middle_at(position, *self.drawings.size_of(drawing))

    def _middle_at(self, position: Position, width: int, height: int) -> tuple[int, int]:
        # Even, because colour in 4:2:0 has half the resolution.
        left, top = position.x * self.layout.width - width / 2, position.y * self.layout.height - height / 2
        return round(left / 2) * 2, round(top / 2) * 2

    def _in_corner(self, drawing: Drawing, logo: Logo) -> tuple[int, int]:
        corner = logo.corner
        width, height = self.drawings.size_of(drawing)
        margins = self.layout.width * _MARGIN, self.layout.height * _MARGIN
        left = margins[0] if corner.endswith("left") else self.layout.width - margins[0] - width
        top = margins[1] if corner.startswith("top") else self.layout.height - margins[1] - height
        return round(left / 2) * 2, round(top / 2) * 2

    # --- captions and sound ------------------------------------------------------------------------------------------

    def _captions(self, number: int, layer: Captions) -> Placed | None:
        shown = list(self._slides(layer))
        if not shown:
            return None
        first = shown[0][1]
        canvas = (self.layout.width, self.layout.height)
        band = band_of((slide for slide, _, _ in shown), self.texts.captions[number], layer, canvas)
        names: dict[tuple[str, ...], str] = {}
        lines = ["ffconcat version 1.0"]
        for slide, start, end in shown:
            if slide.texts not in names:
                name = f"caption{number}_{len(names)}"
                drawn = partial(band.picture, slide)
                names[slide.texts] = self.drawings.slide(name, (band.width, band.height), drawn).source
            lines += [f"file {names[slide.texts]}", f"duration {decimal(Fraction(end - start, _STEPS_PER_S))}"]
        # The last slide is repeated: ffmpeg shows a slide for its duration only if another one follows.
        listing = "\n".join([*lines, f"file {names[shown[-1][0].texts]}", ""]).encode()
        stream = self.graph.open(Slideshow(self.drawings.file(f"captions{number}.ffconcat", lambda _: listing)))
        # One time step of the slideshow is one frame of the canvas.
        fps = self.layout.fps
        moved = ("settb=AVTB", f"setpts=PTS*{decimal(_STEPS_PER_S / fps)}", f"settb=1/({rate(fps)})")
        # `fade` counts frames, and a slide is a single frame.
        fades = any(motion and motion.kind == "fade" for motion in (layer.enter, layer.exit))
        even_rate = (f"fps={rate(fps)}:start_time=0",) if fades else ()
        pad = self.graph.add(f"captions{number}", [*TRANSPARENT_709, *moved, *even_rate], f"{stream}:0")
        last = max(end for slide, _, end in shown if slide.texts)
        return Placed(pad, band.left, band.top, band.width, band.height, first, last - first)

    def _slides(self, layer: Captions) -> Iterator[tuple[Slide, int, int]]:
        """The slides from the first visible caption on, each with its first frame and the frame after its last."""
        cues = read_captions(layer.text, layer.format)
        at = self.layout.frame_at(layer.start)
        has_begun = False
        for slide in slides(cues, max(self.layout.seconds - layer.start, Fraction(0))):
            end = self.layout.frame_at(layer.start + slide.end)
            if end > at and (slide.texts or has_begun):
                has_begun = True
                yield slide, at, end
            at = max(end, at)

    def _visualiser(self, number: int, layer: Visualiser) -> Placed:
        voice = next(each for each in self.timeline.narration if each.id == layer.narration)
        source = self.sources[voice.source]
        audio = source.info.main_audio
        assert audio is not None
        opening = self.openings.of(source, voice.in_, picture=False, sound=True)
        stream = self.graph.open(Input(source.name, ("-vn", *opening.options)))
        begin, end = used_part(voice, source.info)
        first, frames = self.layout.span(voice.start, end - begin)
        width, height = even(layer.scale * self.layout.width), even(layer.height * self.layout.height)
        color = hexadecimal(layer.color[:7])
        drawn = f"s={width}x{height}:rate={rate(self.layout.fps)}:colors={color}"
        # draw=full: by default, the opacity of a column depends on its samples, and wide columns are hardly visible.
        waves = f"showwaves=mode=cline:draw=full:scale=sqrt:{drawn}"
        kind = waves if layer.style == "waveform" else f"showfreqs=mode=bar:{drawn}"
        # One channel, because only the first has the colour. And showwaves is a frame late at the beginning.
        heard = (*part_of(source, begin - opening.origin, end - begin), "aformat=channel_layouts=mono")
        filters = [*heard, kind, "setpts=PTS-STARTPTS", *on_canvas_rate(self.layout.fps, frames), *TRANSPARENT_709]
        if layer.opacity < 1:
            filters.append(f"colorchannelmixer=aa={layer.opacity:g}")
        pad = self.graph.add(f"visualiser{number}", filters, f"{stream}:{audio.index}")
        left, top = self._middle_at(layer.position, width, height)
        return Placed(pad, left, top, width, height, first, frames)


def _quoted(expression: str) -> str:
    # Unquoted commas separate filters.
    return f"'{expression}'" if "," in expression else expression
