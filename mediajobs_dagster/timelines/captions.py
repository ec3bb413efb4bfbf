"""Captions: reads SubRip and WebVTT into cues, and makes slides of the cues, and pictures of one size of the slides.

Both formats are parsed here, line by line, so that exactly the written text is shown. Subtitle libraries take a last
line such as "42" for the number of the next cue, a WebVTT note for speech, and a backslash for an escape.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal

from PIL import Image

from mediajobs_dagster.printable import counted
from mediajobs_dagster.timelines.model import MAX_TEXT, Captions
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

MAX_AT_ONCE: Final = 20
"""The most captions at one time. More are not real captions, and would take too much memory."""

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
"""Start and end of a cue. WebVTT settings after them are ignored: all captions of a layer have one position."""
_LIKE_TIMES = re.compile(r"\s*[\d:.,]+\s*-->")
_COUNTER = re.compile(r"\s*\d+\s*")
# A tag is <i>, </font>, <c.yellow>, <v Ada> or <00:01.000>; "a < b" and "<3" are none. Neither part may hold what opens
# a tag, so that a text full of them is still read in linear time.
_TAG = re.compile(r"</?(?:[a-zA-Z]|\d+:)[^<>]*>|\{\\[^{}]*\}")
_ENTITY = re.compile(r"&#?\w{1,32};")


class CaptionsError(ValueError):
    """The captions cannot be read."""


@dataclass(frozen=True)
class Cue:
    """A text, and when it is shown, in seconds from the start of the captions; `end` is later than `start`."""

    start: Fraction
    end: Fraction
    text: str


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


# --- reading ---------------------------------------------------------------------------------------------------------


def decode_captions(data: bytes) -> str:
    """The text of a caption file: UTF-8, or UTF-16 with a byte order mark. Raises CaptionsError."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CaptionsError(
            f"The captions are not in UTF-8 (line {line} is the first that cannot be read): save it as UTF-8."
        ) from None
    if "\0" in text:
        raise CaptionsError("The captions contain zero bytes, so the file is not UTF-8 text: save it as UTF-8.")
    return text


def read_captions(text: str, format: Literal["srt", "vtt"]) -> tuple[Cue, ...]:
    """The cues in order of time, their texts without tags.

    Cues that have no text, or that end before they begin, are left out. Raises CaptionsError, with the line if known.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    cues = [cue for cue in _cues(lines, format) if cue.text and cue.end > cue.start]
    if not cues:
        raise CaptionsError(
            f"No caption was found in {counted(len(lines), 'line')}. A caption is a line such as"
            f" '00:00:01{'.' if format == 'vtt' else ','}000 --> 00:00:02{'.' if format == 'vtt' else ','}500',"
            " and its text in the lines after it."
        )
    return tuple(sorted(cues, key=lambda cue: (cue.start, cue.end)))


def _cues(lines: Sequence[str], kind: Literal["srt", "vtt"]) -> Iterator[Cue]:
    heads = [number for number, line in enumerate(lines) if _LIKE_TIMES.match(line)]
    for number, following in pairwise([*heads, len(lines)]):
        start, end = _times(lines[number], number)
        text = _plain(_text_lines(lines[number + 1 : following], kind, last=following == len(lines)))
        if len(text) > MAX_TEXT:
            raise CaptionsError(
                f"The caption at line {number + 1} has {len(text)} characters; {MAX_TEXT} are the most for one."
            )
        yield Cue(start, end, text)


def _times(line: str, number: int) -> tuple[Fraction, Fraction]:
    match = _TIMES.fullmatch(line)
    if match is None:
        raise CaptionsError(f"Line {number + 1} of the captions has no times that can be read: {line.strip()[:60]!r}")
    return _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])


def _seconds(hours: str | None, minutes: str, seconds: str, decimals: str | None) -> Fraction:
    return int(hours or 0) * 3600 + int(minutes) * 60 + Fraction(f"{seconds}.{decimals or 0}")


def _text_lines(lines: Sequence[str], kind: Literal["srt", "vtt"], *, last: bool) -> Iterable[str]:
    """The lines of a cue's text. `lines` are those up to the times of the next cue."""
    if kind == "vtt":  # an empty line ends a cue; notes, styles and the next cue's name follow it
        return lines[: next((i for i, line in enumerate(lines) if not line.strip()), len(lines))]
    if not last and lines and _COUNTER.fullmatch(lines[-1]):
        return lines[:-1]
    return lines


def _plain(lines: Iterable[str]) -> str:
    text = _TAG.sub("", "\n".join(lines))
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())


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
