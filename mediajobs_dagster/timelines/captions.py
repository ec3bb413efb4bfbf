"""Captions: makes slides of cues, and pictures of one size of the slides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from PIL import Image

from mediajobs_dagster.timelines.model import Captions
from mediajobs_dagster.timelines.shapes import faint
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.lettering import (
    ACROSS,
    DOWN,
    Block,
    Size,
    TextTooLongError,
    caption_block,
    centred,
    placed,
    safe_area,
)
from mediajobs_dagster.transcripts.subtitles import CaptionsError, Cue

MAX_AT_ONCE: Final = 20
"""The most captions at one time. More are not real captions, and would take too much memory."""


@dataclass(frozen=True)
class Slide:
    """The texts shown from `start` to `end`, seconds: an earlier cue comes first; between cues there are none."""

    start: Fraction
    end: Fraction
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """The area of all slides, pixels. All have the same position and size; slides without text have a picture too."""

    left: int
    top: int
    width: int
    height: int
    _room: int
    """Width of the widest slide; the band may begin one column further left."""
    _down: float
    """Vertical position in the band of a slide that is less high: 0 at the top, 1 at the bottom."""
    _opacity: float
    _blocks: Mapping[tuple[str, ...], Block]

    def picture(self, slide: Slide) -> Image.Image:
        """A slide (RGBA, straight alpha). It is drawn on demand, because hundreds of slides would fill the memory."""
        block = self._blocks[slide.texts]
        picture = Image.new("RGBA", (self.width, self.height), block.ground)
        if block.lines:
            free = self._room - block.width
            left = self.width - self._room + int(free * ACROSS[block.style.align])
            picture.paste(block.paint(), (left, int((self.height - block.height) * self._down)))
        return faint(picture, self._opacity)


# --- slides ----------------------------------------------------------------------------------------------------------


def slides(cues: Iterable[Cue], until: Fraction) -> tuple[Slide, ...]:
    """The slides from 0 to `until` (seconds), without gaps. Raises CaptionsError if too many cues overlap."""
    shown = sorted((cue for cue in cues if cue.start < until), key=lambda cue: cue.start)
    moments = sorted({Fraction(0), until, *(min(moment, until) for cue in shown for moment in (cue.start, cue.end))})
    found: list[Slide] = []
    current: list[Cue] = []
    coming = 0
    for start, end in pairwise(moments):
        current = [cue for cue in current if cue.end > start]
        while coming < len(shown) and shown[coming].start <= start:
            current.append(shown[coming])
            coming += 1
        if len(current) > MAX_AT_ONCE:
            raise CaptionsError(
                f"{len(current)} captions are shown at the same time, {float(start):.3f} s;"
                f" {MAX_AT_ONCE} are the most. Give them times of their own."
            )
        texts = tuple(cue.text for cue in current)
        if found and found[-1].texts == texts:
            start = found.pop().start
        found.append(Slide(start, end, texts))
    return tuple(found)


def set_captions(
    shown: Iterable[Slide], captions: Captions, canvas: Size, fonts: Fonts
) -> dict[tuple[str, ...], Block]:
    """The block of each slide's texts. Raises TextTooLongError (with the time), UnknownFontError."""
    blocks: dict[tuple[str, ...], Block] = {}
    for slide in shown:
        if slide.texts not in blocks:
            try:
                blocks[slide.texts] = caption_block(slide.texts, captions, canvas, fonts)
            except TextTooLongError as error:
                raise TextTooLongError(f"At {float(slide.start):.3f} s of the captions: {error}") from None
    return blocks


def band_of(shown: Iterable[Slide], blocks: Mapping[tuple[str, ...], Block], captions: Captions, canvas: Size) -> Band:
    """The band that all slides fit into. The slides are drawn on demand."""
    blocks = {slide.texts: blocks[slide.texts] for slide in shown}
    area = safe_area(canvas, captions.safe_area)
    width = max((block.width for block in blocks.values() if block.lines), default=1)
    height = max((block.height for block in blocks.values() if block.lines), default=1)
    down = DOWN["middle" if captions.position else captions.place]
    if captions.position:
        left, top = centred((width, height), captions.position, canvas)
    else:
        left, top = placed((width, height), area, ACROSS[captions.style.align], down)
    # The band begins at even pixels, because with halved colour planes, `overlay` would move odd ones.
    return Band(left & ~1, top & ~1, width + left % 2, height + top % 2, width, down, captions.opacity, blocks)
