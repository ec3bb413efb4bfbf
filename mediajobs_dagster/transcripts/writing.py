"""Writes a transcript: as JSON, and as subtitles in WebVTT and SubRip."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

from mediajobs_dagster.transcripts.model import Sentence, Transcript, Word
from mediajobs_dagster.transcripts.subtitles import Cue

_LINE = 42
"""Characters of a line, and two lines of a cue, as the guidelines of broadcasters have it."""
_MOST = 2 * _LINE
_LONGEST_S = 7.0
_READABLE_S = 1.0
"""A cue is shown at least so long, where the next one lets it."""
_SMALLEST_S = 0.001


def json_of(transcript: Transcript) -> bytes:
    """The document `transcript.json`."""
    return transcript.model_dump_json(by_alias=True).encode() + b"\n"


def vtt_of(cues: Iterable[Cue]) -> str:
    """Cues as WebVTT. Format: https://www.w3.org/TR/webvtt1/."""
    blocks = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{html.escape(cue.text, quote=False)}" for cue in cues
    )
    return "\n\n".join(("WEBVTT", *blocks)) + "\n"


def srt_of(cues: Iterable[Cue]) -> str:
    """Cues as SubRip, which has no specification: numbered from 1, commas before the milliseconds."""
    blocks = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    )
    return "\n".join(blocks)


def cues_of(sentences: Iterable[Sentence]) -> tuple[Cue, ...]:
    """Sentences as cues to be read at ease: two lines of 42 characters and seven seconds at most."""
    cues = [cue for sentence in sentences for cue in _pieces(sentence)]
    return tuple(_readable(cue, following) for cue, following in pairwise([*cues, None]) if cue)


def _readable(cue: Cue, following: Cue | None) -> Cue:
    wanted = cue.start + Fraction(_READABLE_S)
    end = max(cue.end, min(wanted, following.start) if following else wanted)
    return Cue(cue.start, end, _in_lines(cue.text))


def _in_lines(text: str) -> str:
    if len(text) <= _LINE:
        return text
    # Two lines of about the same length are read faster than a full one and a short one.
    width = next(width for width in range(len(text) // 2, len(text) + 1) if len(textwrap.wrap(text, width)) <= 2)
    return "\n".join(textwrap.wrap(text, width))


def _pieces(sentence: Sentence) -> Iterator[Cue]:
    words = list(_timed(sentence))
    seconds, letters = sentence.end - sentence.start, len(sentence.text)
    count = max(1, math.ceil(letters / _MOST), math.ceil(seconds / _LONGEST_S))
    between = " " if " " in sentence.text else ""
    piece: list[Word] = []
    for word, following in pairwise([*words, None]):
        assert word is not None  # only the last of all has none after it
        piece.append(word)
        text = between.join(each.text for each in piece)
        is_full = following is not None and len(text) + 1 + len(following.text) > _MOST
        if following is None or is_full or len(text) >= letters / count:
            yield _cue(piece, text)
            piece = []


def _cue(words: list[Word], text: str) -> Cue:
    start, end = words[0].start, max(word.end for word in words)
    return Cue(_milliseconds(start), _milliseconds(max(end, start + _SMALLEST_S)), text)


def _timed(sentence: Sentence) -> Iterator[Word]:
    """The words of a sentence with their times, worked out from the number of letters where they are not known."""
    if sentence.words and max(len(word.text) for word in sentence.words) <= _LINE:
        yield from sentence.words
        return
    texts = [part for text in sentence.text.split() for part in re.findall(f".{{1,{_LINE}}}", text)]
    whole, done = sum(map(len, texts)) or 1, 0
    for text in texts:
        begin, done = done, done + len(text)
        times = (sentence.start + (sentence.end - sentence.start) * part / whole for part in (begin, done))
        yield Word(text=text, start=next(times), end=next(times))


def _milliseconds(seconds: float) -> Fraction:
    return Fraction(max(0, round(seconds * 1000)), 1000)


def _clock(seconds: Fraction, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"
