"""Puts words together to sentences, and cues of subtitles too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from mediajobs_dagster.transcripts.model import Sentence, Word
from mediajobs_dagster.transcripts.subtitles import Cue

PAUSE_S = 2.0
"""A pause as long as this ends a sentence, whatever its last word looks like."""
_BREATH_S = 0.4
_LONG, _LONGEST = 40, 80
"""Words after which a sentence ends at the next comma or breath, and at the latest. Models may leave out full stops."""
_CLOSED = re.compile(r"[.!?…。！？।؟][\"'”’»)\]]*$")
_PAUSED = re.compile(r"[,;:、，；：–—-]$")
_SHORT = re.compile(
    # Titles, single letters, and letters with points between them: Dr., J., e.g.
    r"[\"'“‘«(\[]*(?:Mrs?|Ms|Drs?|Prof|Sr|Jr|St|vs|etc|No|Fig|approx|z\.B|bzw|ca|\w|(?:\w\.)+\w)\.$",
    re.IGNORECASE,
)
_PUNCTUATED = 0.1
"""The least share of cues that end like sentences; subtitles with fewer have no punctuation to go by."""
_UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
_DASHES = "-–>"
_NOT_SAID = re.compile(r"\[[^\]]*\]|\([^)]*\)|[♪♫#\s]*")
"""All of a line such as [Applause], (door slams) or ♪: it tells of sounds. Blanks and dashes around it are taken off
first: a pattern of them all would try each way to share out a run of blanks, which takes hours."""
_SUNG = re.compile(r"[♪♫]")
_BLINK_S = 0.05
"""Cues of rolling captions that only move lines up last 10 ms."""


def is_spaced(language: str | None) -> bool:
    """Whether a language, a tag of BCP 47, writes spaces between its words. One that is not known is taken to do so."""
    return (language or "").lower().split("-")[0] not in _UNSPACED


def sentences_of(words: Iterable[Word], *, spaced: bool = True) -> tuple[Sentence, ...]:
    """The sentences that words, in their order, make; `spaced` as `is_spaced` says of their language."""
    between = " " if spaced else ""
    return tuple(
        Sentence(
            text=between.join(word.text for word in group),
            start=group[0].start,
            end=max(word.end for word in group),
            words=group,
        )
        for group in _groups(words)
    )


def sentences_of_cues(cues: Sequence[Cue], *, spaced: bool = True) -> tuple[Sentence, ...]:
    """What cues, in their order, say: in sentences where they have full stops, else each cue as it is.

    Times within a cue are worked out from the number of letters. What only tells of sounds, and what rolling captions
    show again, is left out. The sentences have no words: cues do not time them.
    """
    said = list(_said(cues))
    closed = sum(1 for cue in said if _CLOSED.search(cue.text))
    if closed < _PUNCTUATED * len(said):
        return tuple(Sentence(text=cue.text, start=float(cue.start), end=float(cue.end)) for cue in said)
    found = sentences_of((word for cue in said for word in _words(cue, spaced=spaced)), spaced=spaced)
    return tuple(sentence.model_copy(update={"words": ()}) for sentence in found)


def _groups(words: Iterable[Word]) -> Iterator[tuple[Word, ...]]:
    group: list[Word] = []
    for word, following in pairwise([*words, None]):
        assert word is not None  # only the last of all has none after it
        group.append(word)
        if following is None or _ends(word, following, len(group)):
            yield tuple(group)
            group = []


def _ends(word: Word, following: Word, count: int) -> bool:
    pause = following.start - word.end
    if pause >= PAUSE_S or count >= _LONGEST:
        return True
    if count >= _LONG and (pause >= _BREATH_S or _PAUSED.search(word.text)):
        return True
    return bool(_CLOSED.search(word.text)) and not _SHORT.match(word.text) and not following.text[:1].islower()


def _said(cues: Sequence[Cue]) -> Iterator[Cue]:
    before: list[str] = []
    for cue in cues:
        lines = [_SUNG.sub("", line).strip() for line in cue.text.split("\n") if not _tells_of_sounds(line)]
        new = _without_repeated(lines, before)
        before = lines if cue.end - cue.start > _BLINK_S or lines else before
        if new:
            yield Cue(cue.start, cue.end, " ".join(new))


def _tells_of_sounds(line: str) -> bool:
    bare = line.strip()
    rest = bare.lstrip(_DASHES).strip()
    return _NOT_SAID.fullmatch(rest) is not None and (bool(rest) or not bare)


def _without_repeated(lines: list[str], before: list[str]) -> list[str]:
    """The lines without those at their head that the cue before ended with: captions that roll show them again."""
    for count in range(min(len(lines), len(before)), 0, -1):
        if lines[:count] == before[-count:]:
            return lines[count:]
    return lines


def _words(cue: Cue, *, spaced: bool) -> Iterator[Word]:
    texts = cue.text.split() if spaced else [part for part in re.split(r"(?<=[。！？])", cue.text) if part]
    start, seconds = float(cue.start), float(cue.end - cue.start)
    whole, done = sum(map(len, texts)), 0
    for text in texts:
        begin, done = done, done + len(text)
        yield Word(text=text, start=start + seconds * begin / whole, end=start + seconds * done / whole)
