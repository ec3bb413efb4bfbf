"""Captions: SubRip and WebVTT read into cues, cues into slides, slides into pictures of one size.

Both formats are read here, line by line: what is shown must be what was written. Libraries for subtitles take a last
line such as "42" for the next cue's number, a WebVTT note for speech, and a backslash for an escape.
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
"""More captions at the same time are no captions, but an attack on our memory."""

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
"""Beginning and end; what follows are settings of WebVTT, which place the cue. Ours all stand at one place."""
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
    """A text and when it is shown, seconds after the captions begin; `end` is later than `start`."""

    start: Fraction
    end: Fraction
    text: str


@dataclass(frozen=True)
class Slide:
    """What is shown from `start` to `end`, seconds: the earlier cue above; nothing between cues."""

    start: Fraction
    end: Fraction
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """Where all slides are shown: one place and size for all, pixels. Even slides that show nothing have a picture."""

    left: int
    top: int
    width: int
    height: int
    _room: int
    """The widest slide; the band may begin a column further left."""
    _down: float
    """How far down in the band a slide stands that is lower than it; 1: at its bottom."""
    _opacity: float
    _blocks: Mapping[tuple[str, ...], Block]

    def picture(self, slide: Slide) -> Image.Image:
        """A slide (RGBA, straight alpha), drawn when asked for: hundreds of them would fill the memory."""
        block = self._blocks[slide.texts]
        picture = Image.new("RGBA", (self.width, self.height), block.ground)
        if block.lines:
            free = self._room - block.width
            left = self.width - self._room + int(free * ACROSS[block.style.align])
            picture.paste(block.paint(), (left, int((self.height - block.height) * self._down)))
        return faint(picture, self._opacity)


# --- reading ---------------------------------------------------------------------------------------------------------


def decode_captions(data: bytes) -> str:
    """A file's text: UTF-8, or UTF-16 with a byte order mark. Raises CaptionsError."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CaptionsError(
            f"The captions are not in UTF-8 (line {line} is the first that cannot be read): save it as UTF-8."
        ) from None
    if "\0" in text:
        raise CaptionsError("The captions hold zero bytes, so they are no text in UTF-8: save it as UTF-8.")
    return text


def read_captions(text: str, format: Literal["srt", "vtt"]) -> tuple[Cue, ...]:
    """The cues in order of time, their texts without tags. Cues without text, or that end before they begin, are left
    out. Raises CaptionsError, with the line where that is known.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    cues = [cue for cue in _cues(lines, format) if cue.text and cue.end > cue.start]
    if not cues:
        raise CaptionsError(
            f"No caption was found in {len(lines)} lines. A caption is a line such as"
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
    """A cue's own lines, of those up to the next cue's times."""
    if kind == "vtt":  # an empty line ends a cue; notes, styles and the next cue's name come after it
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
    """What is shown from 0 to `until` (seconds), without gaps. Raises CaptionsError if too many cues overlap."""
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
    """The band that all slides fit into, at its place; the slides are drawn when they are asked for."""
    blocks = {slide.texts: blocks[slide.texts] for slide in shown}
    area = safe_area(canvas, captions.safe_area)
    width = max((block.width for block in blocks.values() if block.lines), default=1)
    height = max((block.height for block in blocks.values() if block.lines), default=1)
    down = DOWN["middle" if captions.position else captions.place]
    if captions.position:
        left, top = centred((width, height), captions.position, canvas)
    else:
        left, top = placed((width, height), area, ACROSS[captions.style.align], down)
    # The band begins at even pixels: with halved colour planes, `overlay` would move odd ones.
    return Band(left & ~1, top & ~1, width + left % 2, height + top % 2, width, down, captions.opacity, blocks)
