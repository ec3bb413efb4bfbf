"""Draws titles, lower thirds and captions as pictures, and computes their position on the canvas.

ffmpeg's text filter is not in every build, needs escaping, and has neither fallback fonts nor line breaks. So text is
drawn here, once, and overlaid. The overlay does opacity and motion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageColor

from mediajobs_dagster.timelines.model import Captions, LowerThird, Position, TextStyle, Title
from mediajobs_dagster.timelines.shapes import rounded
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.typesetting import Letters, Line, set_text

_LOWER_THIRD_AREA = 0.9
_ROLE_SIZE = 0.75
"""Size of the letters of a lower third's role, relative to those of the name."""
ACROSS: Final = {"left": 0.0, "center": 0.5, "right": 1.0}
"""The share of the free width to the left of an aligned block."""

DOWN: Final = {"top": 0.0, "middle": 0.5, "bottom": 1.0}
"""The share of the free height above a block."""

Size = tuple[int, int]
"""Width and height, pixels."""


class TextTooLongError(ValueError):
    """A text does not fit into its part of the canvas."""


@dataclass(frozen=True)
class Lettering:
    """A drawn text, cropped to its pixels, with the position of its upper left corner on the canvas, pixels.

    `left` and `top` are even, because with halved colour planes `overlay` would move odd ones.
    """

    picture: Image.Image
    """RGBA, straight alpha."""
    left: int
    top: int


@dataclass(frozen=True)
class Area:
    """A part of the canvas, pixels; `right` and `bottom` are excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def safe_area(canvas: Size, share: float) -> Area:
    """The middle of the canvas: `share` of its width and height."""
    left, top = (math.ceil(length * (1 - share) / 2) for length in canvas)
    return Area(left, top, canvas[0] - left, canvas[1] - top)


def draw_title(title: Title, canvas: Size, fonts: Fonts) -> Lettering:
    """Draw a title. Raises TextTooLongError, UnknownFontError."""
    area = safe_area(canvas, title.safe_area)
    em = title.style.size * canvas[1]
    block = set_block(((title.text, letters(title.style, em)),), title.style, em, area, fonts)
    require_fit(block, area, "title")
    size = block.width, block.height
    if title.position is not None:
        return _drawn(block, *centred(size, title.position, canvas))
    return _drawn(block, *placed(size, area, ACROSS[title.style.align], DOWN[title.place]))


def draw_lower_third(layer: LowerThird, canvas: Size, fonts: Fonts) -> Lettering:
    """Draw name and role, by default at the bottom left. Raises TextTooLongError, UnknownFontError."""
    area = safe_area(canvas, _LOWER_THIRD_AREA)
    em = layer.style.size * canvas[1]
    name = letters(layer.style.model_copy(update={"weight": max(layer.style.weight, 700)}), em)
    texts = ((layer.name, name), (layer.role, letters(layer.style, em * _ROLE_SIZE)))
    block = set_block(texts, layer.style, em, area, fonts)
    require_fit(block, area, "lower third")
    size = block.width, block.height
    if layer.position is not None:
        return _drawn(block, *centred(size, layer.position, canvas))
    return _drawn(block, *placed(size, area, ACROSS[layer.side], DOWN["bottom"]))


def caption_block(texts: Sequence[str], captions: Captions, canvas: Size, fonts: Fonts) -> Block:
    """The block of captions that are shown at once, one above the other. Raises TextTooLongError, UnknownFontError."""
    area = safe_area(canvas, captions.safe_area)
    em = captions.style.size * canvas[1]
    style = letters(captions.style, em)
    block = set_block([(text, style) for text in texts], captions.style, em, area, fonts)
    require_fit(block, area, "caption")
    return block


# --- blocks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Lines below each other, with an optional box behind them."""

    lines: tuple[Line, ...]
    style: TextStyle
    padding: int
    """Space between the lines and the edge of the box, pixels."""
    radius: int
    """Of the box's corners, pixels."""

    @property
    def width(self) -> int:
        """Pixels, with the box."""
        return max((line.width for line in self.lines), default=0) + 2 * self.padding

    @property
    def height(self) -> int:
        """Pixels, with the box."""
        return sum(line.height for line in self.lines) + 2 * self.padding

    @property
    def ground(self) -> tuple[int, int, int, int]:
        """The transparent ground, in the colour at the edge of the drawing: halved colour planes mix both."""
        outermost = self.style.box or self.style.outline or self.style
        red, green, blue, _ = _rgba(outermost.color)
        return red, green, blue, 0

    def paint(self) -> Image.Image:
        """The block as a picture (RGBA)."""
        picture = Image.new("RGBA", (self.width, self.height), self.ground)
        inner, outer = self._masks()
        if self.style.box:
            _lay(picture, rounded(picture.size, self.radius), self.style.box.color)
        if self.style.outline:
            _lay(picture, outer, self.style.outline.color)
        _lay(picture, inner, self.style.color)
        return picture

    def _masks(self) -> tuple[Image.Image, Image.Image]:
        """Two masks: what the letters cover, and what they cover with their outlines."""
        inner = Image.new("L", (self.width, self.height))
        outer = inner.copy() if self.style.outline else inner
        top = self.padding
        for line in self.lines:
            free = self.width - 2 * self.padding - line.width
            place = (self.padding + int(free * ACROSS[self.style.align]), top)
            outer.paste(255, place, line.mask(line.outline))
            if self.style.outline:
                inner.paste(255, place, line.mask(0))
            top += line.height
        return inner, outer


def letters(style: TextStyle, em: float) -> Letters:
    """The letters of a style, with `em` pixels per em."""
    outline = max(1, round(style.outline.width * em)) if style.outline else 0
    return Letters(style.font, style.weight, style.italic, em, outline)


def set_block(texts: Sequence[tuple[str, Letters]], style: TextStyle, em: float, area: Area, fonts: Fonts) -> Block:
    """The block of all texts, which with its box is no wider than `area`."""
    padding, radius = (round(style.box.padding * em), round(style.box.radius * em)) if style.box else (0, 0)
    lines = tuple(line for text, kind in texts for line in set_text(text, kind, area.width - 2 * padding, fonts))
    return Block(lines, style, padding, radius)


def require_fit(block: Block, area: Area, what: str) -> None:
    """Raise TextTooLongError, which says how much fits, unless the block fits. Nothing is cut off silently."""
    if block.width <= area.width and block.height <= area.height:
        return
    if block.width > area.width:
        raise TextTooLongError(
            f"A {what} is too large: one letter with its box is {block.width} pixels wide, and the safe area is"
            f" {area.width} pixels wide. Use a smaller size or less padding."
        )
    fitting: list[Line] = []
    height = 2 * block.padding
    for line in block.lines:
        height += line.height
        if height > area.height:
            break
        fitting.append(line)
    raise TextTooLongError(
        f"A {what} is too long: it takes {len(block.lines)} lines, and {len(fitting)} of them"
        f" ({sum(len(line.text) for line in fitting)} characters) fit into the safe area of"
        f" {area.width}×{area.height} pixels. Shorten it or use a smaller size: {block.lines[0].text[:40]!r}"
    )


def placed(size: Size, area: Area, across: float, down: float) -> tuple[int, int]:
    """Left and top of a block in an area. `across` and `down` from 0 (left, top) to 1 (right, bottom)."""
    return area.left + int((area.width - size[0]) * across), area.top + int((area.height - size[1]) * down)


def centred(size: Size, position: Position, canvas: Size) -> tuple[int, int]:
    """Left and top of a block whose middle is at a position."""
    return round(position.x * canvas[0] - size[0] / 2), round(position.y * canvas[1] - size[1] / 2)


# --- painting --------------------------------------------------------------------------------------------------------


def _lay(picture: Image.Image, mask: Image.Image, colour: str) -> None:
    """Paint a colour over the picture, through the mask."""
    red, green, blue, alpha = _rgba(colour)
    layer = Image.new("RGBA", picture.size, (red, green, blue))
    layer.putalpha(mask.point([value * alpha // 255 for value in range(256)]))
    picture.alpha_composite(layer)


def _rgba(colour: str) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (*ImageColor.getrgb(colour), 255)[:4]
    return red, green, blue, alpha


def _drawn(block: Block, left: int, top: int) -> Lettering:
    if not block.lines:
        return Lettering(Image.new("RGBA", (1, 1)), left & ~1, top & ~1)
    painted = block.paint()
    extent = painted.getchannel("A").getbbox() or (0, 0, 1, 1)  # a text may be fully transparent
    x, y = left + extent[0] & ~1, top + extent[1] & ~1
    size = (left + extent[2] - x, top + extent[3] - y)
    picture = Image.new("RGBA", size, block.ground)
    picture.paste(painted, (left - x, top - y))
    return Lettering(picture, x, y)
