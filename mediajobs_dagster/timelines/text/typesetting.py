"""Sets text in lines: chooses the fonts, breaks lines, and orders the pieces of a line."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from PIL import Image, ImageDraw
from PIL.ImageFont import FreeTypeFont

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.timelines.text import bidi
from mediajobs_dagster.timelines.text.font_files import Face
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.graphemes import breaks, clean, graphemes, is_space, needs_shaping

_ABOVE, _BELOW = 0.95, 0.27
"""Space above and below the base line of every line, in ems: lines are evenly spaced, whatever their letters."""
_ON_BASE_LINE = "ls"
_NARROWEST = 0.1
"""A lower bound of the average width of graphemes, in ems. It limits the search for the end of a line."""


@dataclass(frozen=True)
class Letters:
    """The font, size and outline of letters."""

    family: str
    weight: int
    italic: bool
    size: float
    """Pixels per em."""
    outline: int = 0
    """Width of the outline, pixels."""


@dataclass(frozen=True)
class Piece:
    """A part of a line, drawn with one font in one direction; `x` is its start on the line, pixels."""

    text: str
    font: FreeTypeFont
    direction: str | None
    """"ltr" or "rtl"; None: the text is in visual order already."""
    x: float


@dataclass(frozen=True)
class Line:
    """A line, ready to draw. Its edges are in pixels from the start of its base line, outlines included."""

    text: str
    pieces: tuple[Piece, ...]
    outline: int
    left: int
    right: int
    above: int
    below: int

    @property
    def width(self) -> int:
        """Width of everything that is drawn, pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height of the line, pixels: the usual height, or more if its letters need it."""
        return self.above + self.below

    def mask(self, outline: int, margin: int = 0) -> Image.Image:
        """How much of each pixel the letters and an outline of `outline` pixels cover (mode L)."""
        mask = Image.new("L", (self.width + 2 * margin, self.height + 2 * margin))
        draw = ImageDraw.Draw(mask)
        for piece in self.pieces:
            draw.text(
                (margin + piece.x - self.left, margin + self.above),
                piece.text,
                fill=255,
                font=piece.font,
                anchor=_ON_BASE_LINE,
                direction=piece.direction,
                stroke_width=outline,
            )
        return mask


def set_text(text: str, letters: Letters, room: float, fonts: Fonts) -> list[Line]:
    """The lines of a text, none wider than `room` pixels, except for a single grapheme that is wider.

    A text of spaces has no lines. Raises UnknownFontError, and SettingsError if this machine cannot draw the text.
    """
    paragraphs = [paragraph.strip() for paragraph in clean(text).strip().split("\n")]
    if not any(paragraphs):
        return []
    return [line for paragraph in paragraphs for line in _Paragraph(paragraph, letters, fonts).lines(room)]


@dataclass(frozen=True)
class _Part:
    """One grapheme, its face, and its embedding level."""

    text: str
    face: Face
    level: int


class _Paragraph:
    def __init__(self, text: str, letters: Letters, fonts: Fonts) -> None:
        self._letters, self._fonts = letters, fonts
        if not fonts.shapes and needs_shaping(text):
            raise SettingsError(
                f"This machine cannot draw {text[:40]!r}: Pillow does not find FriBidi, without which it does not join"
                " letters. Install it (Debian: libfribidi0, Homebrew: fribidi)."
            )
        base = bidi.base_level(text)
        parts = graphemes("".join(character for character in text if not bidi.is_explicit(character)))
        levels = bidi.levels("".join(parts), base)
        starts = accumulate((len(part) for part in parts), initial=0)
        look = (letters.family, letters.weight, letters.italic)
        self._parts = [
            _Part(part, fonts.face_for(part, *look), levels[start]) for part, start in zip(parts, starts, strict=False)
        ]

    def lines(self, room: float) -> list[Line]:
        """The lines; each takes as much as fits (greedy)."""
        ends = breaks([part.text for part in self._parts])
        if not ends:
            return [self._line(0, 0)]  # an empty line
        lines: list[Line] = []
        start = 0
        while start < len(self._parts):
            end, line = self._longest(start, ends[bisect_right(ends, start) :], room)
            lines.append(line)
            start = end
            while start < len(self._parts) and is_space(self._parts[start].text):
                start += 1
        return lines

    def _longest(self, start: int, ends: Sequence[int], room: float) -> tuple[int, Line]:
        """The end of the longest line from `start` that fits, and the line. It ends at one of `ends`, or anywhere if
        none of them fits."""
        reach = start + self._most(room)
        near = ends[: max(1, bisect_right(ends, reach))]
        for candidates in (near, range(start + 1, min(near[0], reach) + 1)):
            number = bisect_right(candidates, room, key=lambda end: self._line(start, end).width)
            for end in reversed(candidates[:number]):
                line = _inked(self._line(start, end))
                if line.width <= room:
                    return end, line
        return start + 1, _inked(self._line(start, start + 1))

    def _most(self, room: float) -> int:
        return max(int(room / (self._letters.size * _NARROWEST)), 1)

    def _line(self, start: int, end: int) -> Line:
        parts = self._parts[start:end]
        while parts and is_space(parts[-1].text):
            parts.pop()
        runs = [
            (face, level, "".join(part.text for part in run))
            for (face, level), run in groupby(parts, key=lambda part: (part.face, part.level))
        ]
        pieces: list[Piece] = []
        x = 0.0
        for face, level, text in (runs[i] for i in bidi.visual_order([level for _, level, _ in runs])):
            font = self._fonts.load(face, self._letters.weight, self._letters.size)
            pieces.append(self._piece(text, font, x, backwards=level % 2 == 1))
            x += font.getlength(pieces[-1].text, direction=pieces[-1].direction)
        return _line("".join(part.text for part in parts), pieces, self._letters)

    def _piece(self, text: str, font: FreeTypeFont, x: float, *, backwards: bool) -> Piece:
        if self._fonts.shapes:
            return Piece(text, font, "rtl" if backwards else "ltr", x)
        return Piece(bidi.turned(graphemes(text)) if backwards else text, font, None, x)


def _line(text: str, pieces: Sequence[Piece], letters: Letters) -> Line:
    boxes = [
        (
            piece.x,
            piece.font.getbbox(
                piece.text, direction=piece.direction, stroke_width=letters.outline, anchor=_ON_BASE_LINE
            ),
        )
        for piece in pieces
    ]
    return Line(
        text,
        tuple(pieces),
        letters.outline,
        left=math.floor(min((x + box[0] for x, box in boxes), default=0)),
        right=math.ceil(max((x + box[2] for x, box in boxes), default=0)),
        above=math.ceil(max([_ABOVE * letters.size, *(-box[1] for _, box in boxes)])),
        below=math.ceil(max([_BELOW * letters.size, *(box[3] for _, box in boxes)])),
    )


def _inked(line: Line) -> Line:
    """The line with the width of its ink: font metrics count spacing, but not every mark that sticks out."""
    margin = line.height
    extent = line.mask(line.outline, margin).getbbox()
    if extent is None:
        return line
    left, top, right, bottom = extent
    return replace(
        line,
        left=line.left + left - margin,
        right=line.left + right - margin,
        above=max(line.above, line.above + margin - top),
        below=max(line.below, bottom - margin - line.above),
    )
