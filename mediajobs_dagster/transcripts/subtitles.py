"""Reads SubRip and WebVTT into cues.

Both formats are parsed here, line by line, so that exactly the written text is shown. Subtitle libraries take a last
line such as "42" for the number of the next cue, a WebVTT note for speech, and a backslash for an escape.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal

from mediajobs_dagster.printable import counted

Format = Literal["srt", "vtt"]
MAX_TEXT: Final = 2_000
"""The most characters of one cue."""

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


def read_captions(text: str, format: Format) -> tuple[Cue, ...]:
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


def _cues(lines: Sequence[str], kind: Format) -> Iterator[Cue]:
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


def _text_lines(lines: Sequence[str], kind: Format, *, last: bool) -> Iterable[str]:
    """The lines of a cue's text. `lines` are those up to the times of the next cue."""
    if (
        kind == "vtt"
    ):  # an empty line ends a cue; notes, styles and the next cue's name follow it; one of a blank does not
        return lines[: next((i for i, line in enumerate(lines) if not line), len(lines))]
    if not last and lines and _COUNTER.fullmatch(lines[-1]):
        return lines[:-1]
    return lines


def _plain(lines: Iterable[str]) -> str:
    text = _TAG.sub("", "\n".join(lines))
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())
