"""The pictures that we draw ourselves: titles, captions, images of users, masks and borders.

They become PAM files in scratch, which ffmpeg reads as inputs. Only Pillow opens images of users, after they are
fetched into the attempt's folder, in a process of its own; ffmpeg sees nothing but the pixels we wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from PIL import Image, ImageChops

from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Call
from mediajobs_dagster.job_types.video_export.pam import pam
from mediajobs_dagster.job_types.video_export.texts import PaintedText
from mediajobs_dagster.media.command import Drawing
from mediajobs_dagster.media.images import fitted_image
from mediajobs_dagster.timelines.layout import Layout, even, fitted
from mediajobs_dagster.timelines.model import Crop
from mediajobs_dagster.timelines.shapes import rounded

_WEIGHT = 0.02
"""Time of drawing, relative to the render."""


@dataclass(frozen=True)
class Frame:
    """Rounded corners, border and opacity of a picture."""

    radius: float = 0.0
    """Of the corners, share of the shorter edge."""
    line: int = 0
    """Width of the border, which lies inside the edge, pixels."""
    color: str = "#FFFFFF"
    """Of the border."""
    opacity: float = 1.0


class Drawings:
    """Collects what has to be drawn; the same drawing is made once."""

    def __init__(self, sources: Mapping[str, Source], max_pixels: int) -> None:
        self._sources, self._max_pixels = sources, max_pixels
        self._files: dict[str, Callable[[Bench], bytes]] = {}
        self._names: dict[object, str] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    @property
    def step(self) -> Call:
        """The step that writes the files for the commands."""
        files = dict(self._files)  # a copy: more may be added later

        def write(bench: Bench) -> None:
            for number, (name, content) in enumerate(files.items()):
                bench.progress(number / len(files))
                (bench.folder / name).write_bytes(content(bench))

        return Call("prepare", write, weight=_WEIGHT)

    @property
    def bytes(self) -> int:
        """Size of all drawings on disk."""
        return sum(4 * width * height for width, height in self._sizes.values())

    def size_of(self, drawing: Drawing) -> tuple[int, int]:
        """Width and height, pixels."""
        return self._sizes[drawing.source]

    def text(self, name: str, text: PaintedText) -> Drawing:
        """A text that is painted already."""
        return self._drawing(f"{name}.pam", text.size, lambda _: text.content())

    def slide(self, name: str, size: tuple[int, int], picture: Callable[[], Image.Image]) -> Drawing:
        """A picture that is drawn when its file is written, because there may be hundreds of slides."""
        return self._drawing(f"{name}.pam", size, lambda _: pam(picture()))

    def file(self, name: str, content: Callable[[Bench], bytes]) -> str:
        """Any other file; returns its name."""
        self._files[name] = content
        return name

    def image(self, reference: str, layout: Layout, fit: Literal["contain", "cover"], crop: Crop | None) -> Drawing:
        """An image of a user, scaled to fit on the canvas, or to cover it."""
        canvas = layout.width, layout.height
        width, height = self._size(reference)
        shown = (width * crop.width, height * crop.height) if crop else (width, height)
        size = canvas if fit == "cover" else fitted(*shown, canvas, cover=False)
        return self._image(reference, size, crop, Frame())

    def framed_image(self, reference: str, width: int, frame: Frame) -> Drawing:
        """An image of a user, `width` pixels wide, with its frame."""
        source_width, source_height = self._size(reference)
        return self._image(reference, (width, even(width * source_height / source_width)), None, frame)

    def mask(self, size: tuple[int, int], frame: Frame) -> Drawing:
        """A drawing whose alpha is the opacity of each pixel of a picture."""

        def draw() -> Image.Image:
            drawn = Image.new("RGBA", size)
            drawn.putalpha(mask_of(size, frame))
            return drawn

        return self._once(("mask", size, frame), "mask", size, draw)

    def border(self, size: tuple[int, int], frame: Frame) -> Drawing:
        """The border of a picture of that size."""
        return self._once(("border", size, frame), "border", size, lambda: line_around(size, frame))

    def _size(self, reference: str) -> tuple[float, float]:
        video = self._sources[reference].info.main_video
        assert video is not None
        return video.display_size

    def _image(self, reference: str, size: tuple[int, int], crop: Crop | None, frame: Frame) -> Drawing:
        key = (reference, size, crop, frame)
        if key not in self._names:
            self._names[key] = f"image{len(self._names)}.pam"
        source = self._sources[reference].name
        content = partial(_drawn_image, source, size, crop, frame, self._max_pixels)
        return self._drawing(self._names[key], size, content)

    def _once(self, key: object, name: str, size: tuple[int, int], picture: Callable[[], Image.Image]) -> Drawing:
        if key not in self._names:
            self._names[key] = f"{name}{len(self._names)}"
        return self.slide(self._names[key], size, picture)

    def _drawing(self, name: str, size: tuple[int, int], content: Callable[[Bench], bytes]) -> Drawing:
        self._files[name], self._sizes[name] = content, size
        return Drawing(name)


def mask_of(size: tuple[int, int], frame: Frame) -> Image.Image:
    """A mask (mode L) of that size: the opacity within the rounded corners, 0 outside."""
    white = rounded(size, round(frame.radius * min(size)))
    return white if frame.opacity == 1 else white.point([round(value * frame.opacity) for value in range(256)])


def line_around(size: tuple[int, int], frame: Frame) -> Image.Image:
    """The border of a picture of that size, on a transparent ground."""
    drawn = Image.new("RGBA", size, frame.color)
    radius = round(frame.radius * min(size))
    inner = Image.new("L", size)
    inner_size = max(1, size[0] - 2 * frame.line), max(1, size[1] - 2 * frame.line)
    inner.paste(rounded(inner_size, max(0, radius - frame.line)), (frame.line, frame.line))
    ring = ImageChops.subtract(rounded(size, radius), inner)
    drawn.putalpha(ImageChops.multiply(drawn.getchannel("A"), ring))
    return drawn


def _drawn_image(
    source: str, size: tuple[int, int], crop: Crop | None, frame: Frame, max_pixels: int, bench: Bench
) -> bytes:
    box = (crop.x, crop.y, crop.width, crop.height) if crop else None
    image = fitted_image(bench.folder / source, max_pixels, size, box, bench.cancellation)
    image.alpha_composite(line_around(size, frame))
    image.putalpha(ImageChops.multiply(image.getchannel("A"), mask_of(size, frame)))
    return pam(image)
