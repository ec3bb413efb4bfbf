"""The pictures that we draw ourselves: titles, captions, images of users, masks and borders.

They become PAM files in scratch, which ffmpeg reads as inputs. Images of users are opened by Pillow alone, within the
attempt's folder, once they are fetched; whatever they hold, ffmpeg meets nothing but the pixels we wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image, ImageChops, ImageOps

from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Call
from mediajobs_dagster.job_types.video_export.pam import pam
from mediajobs_dagster.job_types.video_export.texts import PaintedText
from mediajobs_dagster.media.command import Drawing
from mediajobs_dagster.media.images import open_image
from mediajobs_dagster.timelines.layout import Layout, even, fitted
from mediajobs_dagster.timelines.model import Crop
from mediajobs_dagster.timelines.shapes import rounded

_WEIGHT = 0.02
"""Of drawing, in the time of a render."""


@dataclass(frozen=True)
class Frame:
    """What goes around a picture: rounded corners, a border, opacity."""

    radius: float = 0.0
    """Share of the shorter edge."""
    line: int = 0
    """Width of a line inside the edge, pixels."""
    color: str = "#FFFFFF"
    """Of the line."""
    opacity: float = 1.0


class Drawings:
    """Collects what is to be drawn, each once."""

    def __init__(self, sources: Mapping[str, Source], max_pixels: int) -> None:
        self._sources, self._max_pixels = sources, max_pixels
        self._files: dict[str, Callable[[Path], bytes]] = {}
        self._names: dict[object, str] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    @property
    def step(self) -> Call:
        """The step that writes the files which the commands need."""
        files = dict(self._files)  # as they are now

        def write(bench: Bench) -> None:
            for number, (name, content) in enumerate(files.items()):
                bench.progress(number / len(files))
                (bench.folder / name).write_bytes(content(bench.folder))

        return Call("prepare", write, weight=_WEIGHT)

    @property
    def bytes(self) -> int:
        """What all drawings take on disk."""
        return sum(4 * width * height for width, height in self._sizes.values())

    def size_of(self, drawing: Drawing) -> tuple[int, int]:
        """Width and height, pixels."""
        return self._sizes[drawing.source]

    def text(self, name: str, text: PaintedText) -> Drawing:
        """A text that was painted already."""
        return self._drawing(f"{name}.pam", text.size, lambda _: text.content())

    def slide(self, name: str, size: tuple[int, int], picture: Callable[[], Image.Image]) -> Drawing:
        """A picture that is drawn when its file is written: of slides there are hundreds."""
        return self._drawing(f"{name}.pam", size, lambda _: pam(picture()))

    def file(self, name: str, content: Callable[[Path], bytes]) -> str:
        """Any other file; its name."""
        self._files[name] = content
        return name

    def image(self, reference: str, layout: Layout, fit: Literal["contain", "cover"], crop: Crop | None) -> Drawing:
        """An image of a user, scaled so that it fits on the canvas, or covers it."""
        canvas = layout.width, layout.height
        width, height = self._size(reference)
        shown = (width * crop.width, height * crop.height) if crop else (width, height)
        size = canvas if fit == "cover" else fitted(*shown, canvas, cover=False)
        return self._image(reference, size, crop, Frame())

    def framed_image(self, reference: str, width: int, frame: Frame) -> Drawing:
        """An image of a user, so many pixels wide, with what goes around it."""
        source_width, source_height = self._size(reference)
        return self._image(reference, (width, even(width * source_height / source_width)), None, frame)

    def mask(self, size: tuple[int, int], frame: Frame) -> Drawing:
        """How opaque each point of a picture is, in the alpha of the drawing."""

        def draw() -> Image.Image:
            drawn = Image.new("RGBA", size)
            drawn.putalpha(mask_of(size, frame))
            return drawn

        return self._once(("mask", size, frame), "mask", size, draw)

    def border(self, size: tuple[int, int], frame: Frame) -> Drawing:
        """The line around a picture of that size."""
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

    def _drawing(self, name: str, size: tuple[int, int], content: Callable[[Path], bytes]) -> Drawing:
        self._files[name], self._sizes[name] = content, size
        return Drawing(name)


def mask_of(size: tuple[int, int], frame: Frame) -> Image.Image:
    """A mask of that size: white within the rounded corners, as grey as the opacity."""
    white = rounded(size, round(frame.radius * min(size)))
    return white if frame.opacity == 1 else white.point([round(value * frame.opacity) for value in range(256)])


def line_around(size: tuple[int, int], frame: Frame) -> Image.Image:
    """The line inside the edge of a picture of that size, on nothing."""
    drawn = Image.new("RGBA", size, frame.color)
    radius = round(frame.radius * min(size))
    inner = Image.new("L", size)
    inner_size = max(1, size[0] - 2 * frame.line), max(1, size[1] - 2 * frame.line)
    inner.paste(rounded(inner_size, max(0, radius - frame.line)), (frame.line, frame.line))
    ring = ImageChops.subtract(rounded(size, radius), inner)
    drawn.putalpha(ImageChops.multiply(drawn.getchannel("A"), ring))
    return drawn


def _drawn_image(
    source: str, size: tuple[int, int], crop: Crop | None, frame: Frame, max_pixels: int, folder: Path
) -> bytes:
    image = open_image(folder / source, max_pixels)
    if crop:
        left, top = crop.x * image.width, crop.y * image.height
        image = image.crop(
            (round(left), round(top), round(left + crop.width * image.width), round(top + crop.height * image.height))
        )
    # Covers `size`, cut in the middle; where the sizes agree, that is plain scaling.
    image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    image.alpha_composite(line_around(size, frame))
    image.putalpha(ImageChops.multiply(image.getchannel("A"), mask_of(size, frame)))
    return pam(image)
