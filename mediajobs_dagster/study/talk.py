"""A talk as writers read it: whole sentences with their times, and the parts that they belong to."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from mediajobs_dagster.study.model import Chapter
from mediajobs_dagster.study.words import STOP_WORDS, spans, stem, words_of
from mediajobs_dagster.transcripts.model import Sentence, Transcript

MOST_PASSAGES = 60_000
"""More is left out at the end: some hundred hours of speech."""
_LONGEST_WORDS = 60
"""What has no full stop for so long is cut."""
_PAUSE_S = 3.0
"""A pause that ends a sentence."""
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？।؟۔።]+[」』”)]*)\s*")
_ABBREVIATED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|Fig|No|[A-Z])\.)\s*$")


@dataclass(frozen=True)
class Passage:
    """One sentence that is said."""

    text: str
    start: float
    """When the caption or sentence of the transcript begins that it begins in, seconds."""
    end: float

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """The words that tell what it is about, compared by their stems."""
        return tuple(stem(word) for word in words_of(self.text) if word not in STOP_WORDS and not word.isdecimal())

    @cached_property
    def length(self) -> int:
        """Its length in words; an unspaced script counts two characters as one."""
        return len(words_of(self.text))


@dataclass(frozen=True)
class Talk:
    """What was said, sentence by sentence."""

    title: str
    passages: tuple[Passage, ...]
    duration_seconds: float
    language: str | None = None
    chapters: tuple[Chapter, ...] = ()

    @classmethod
    def of(cls, transcript: Transcript, title: str, chapters: Sequence[Chapter] = ()) -> Talk:
        """The talk that a transcript is of. What is said twice in a row, as in rolling captions, counts once."""
        passages: list[Passage] = []
        for passage in _passages(transcript.sentences):
            if not passages or passages[-1].text != passage.text:
                passages.append(passage)
            if len(passages) == MOST_PASSAGES:
                break
        end = max([transcript.duration_seconds, *(each.end for each in passages)], default=0.0)
        ordered = tuple(sorted((each for each in chapters if each.start < end), key=lambda each: each.start))
        return cls(title, tuple(passages), max(0.0, end), transcript.language, ordered)

    @property
    def words(self) -> int:
        """How many words are said."""
        return sum(passage.length for passage in self.passages)

    @cached_property
    def _starts(self) -> list[float]:
        return [passage.start for passage in self.passages]

    def at(self, seconds: float) -> int:
        """The number of the passage that is said at a moment, or last before it."""
        return max(0, bisect_right(self._starts, seconds) - 1)


def _passages(sentences: Iterable[Sentence]) -> Iterator[Passage]:
    """Whole sentences of what a transcript has in whatever pieces."""
    text, start, end = "", 0.0, 0.0
    for piece in sentences:
        said = " ".join(piece.text.split())
        if not said:
            continue
        piece_start, piece_end = max(0.0, piece.start), max(0.0, piece.start, piece.end)
        if text and piece_start - end > _PAUSE_S:
            yield Passage(text, start, end)
            text = ""
        parts = list(_split(said))
        for number, part in enumerate(parts):
            if not text:
                start = piece_start
            text, end = f"{text} {part}".strip(), piece_end
            is_whole = number < len(parts) - 1 or _ends(part) or len(spans(text)) >= _LONGEST_WORDS
            if is_whole:
                yield Passage(text, start, end)
                text = ""
    if text:
        yield Passage(text, start, end)


def _split(text: str) -> Iterator[str]:
    begin = 0
    for match in _END.finditer(text):
        if _ABBREVIATED.search(text, max(begin, match.start() - 8), match.end()):
            continue
        yield from _bounded(text[begin : match.end()].strip())
        begin = match.end()
    if rest := text[begin:].strip():
        yield from _bounded(rest)


def _bounded(text: str) -> Iterator[str]:
    """A sentence, cut where it has far more words than one has."""
    found = spans(text)
    cuts = [0, *(found[at][0] for at in range(_LONGEST_WORDS, len(found), _LONGEST_WORDS)), len(text)]
    if not found or len(cuts) == 2:
        # A run of an unspaced script is one span, however long.
        yield from (text[at : at + 600] for at in range(0, len(text), 600))
        return
    for begin, end in pairwise(cuts):
        yield text[begin:end].strip()


def _ends(text: str) -> bool:
    return any(match.end() == len(text) for match in _END.finditer(text)) and not _ABBREVIATED.search(text)
