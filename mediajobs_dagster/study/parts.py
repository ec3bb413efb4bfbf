"""Parts of a talk: its chapters, or stretches that belong together by their words."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from mediajobs_dagster.study.ranking import Ranking
from mediajobs_dagster.study.talk import Talk

_PART_WORDS = 260
"""About two minutes of speech."""
_MOST_PARTS = 24
_WINDOW = 6
"""How many sentences on each side are compared at a border."""


@dataclass(frozen=True)
class Part:
    """A stretch of a talk; sentences `first` to `last`, without `last` itself."""

    first: int
    last: int
    title: str | None = None
    """Of a chapter; None: the talk names none."""

    @property
    def numbers(self) -> range:
        """The numbers of its sentences."""
        return range(self.first, self.last)


def parts_of(talk: Talk, ranking: Ranking) -> list[Part]:
    """The parts of a talk that says something, in their order; none is empty."""
    if talk.chapters:
        return _chapters(talk)
    count = len(talk.passages)
    wanted = max(1, min(_MOST_PARTS, round(talk.words / _PART_WORDS), count // 4 or 1))
    borders = [0, *_borders(talk, ranking, wanted), count]
    return [Part(first, last) for first, last in pairwise(borders) if last > first]


def _chapters(talk: Talk) -> list[Part]:
    starts = [passage.start for passage in talk.passages]
    firsts = [bisect_left(starts, chapter.start) for chapter in talk.chapters]
    lasts = [*firsts[1:], len(starts)]
    parts = [
        Part(first, last, chapter.title)
        for chapter, first, last in zip(talk.chapters, firsts, lasts, strict=True)
        if last > first
    ]
    before = parts[0].first if parts else len(starts)
    return [*([Part(0, before)] if before else []), *parts]


def _borders(talk: Talk, ranking: Ranking, wanted: int) -> list[int]:
    """Where the words change most, near where parts of equal length would begin (after Hearst's TextTiling, 1997)."""
    lengths = list(accumulate(passage.length for passage in talk.passages))
    found: list[int] = []
    for number in range(1, wanted):
        middle = bisect_left(lengths, lengths[-1] * number / wanted)
        reach = max(1, len(talk.passages) // (wanted * 3))
        least = found[-1] + 2 if found else 2
        candidates = [
            at for at in range(middle - min(reach, 12), middle + min(reach, 12) + 1) if least <= at < len(lengths) - 1
        ]
        if candidates:
            found.append(min(candidates, key=lambda at: (_cohesion(ranking, at), abs(at - middle))))
    return found


def _cohesion(ranking: Ranking, at: int) -> float:
    before, after = range(max(0, at - _WINDOW), at), range(at, min(len(ranking.passages), at + _WINDOW))
    return _likeness(ranking, [*before], [*after])


def _likeness(ranking: Ranking, before: Sequence[int], after: Sequence[int]) -> float:
    vectors = ranking.vectors([*before, *after])
    left, right = vectors[: len(before)].sum(axis=0), vectors[len(before) :].sum(axis=0)
    scale = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / scale if scale else 0.0
