"""Ranks sentences: TF-IDF, TextRank and MMR on numpy.

TextRank is from Mihalcea and Tarau, "TextRank: Bringing Order into Texts" (2004); MMR, maximal marginal relevance, from
Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking …" (1998). Memory is bounded: no more than _AT_ONCE
sentences are compared with each other.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mediajobs_dagster.study.definitions import defined_in
from mediajobs_dagster.study.talk import Passage
from mediajobs_dagster.study.words import is_unspaced

Vectors = NDArray[np.float32]

_AT_ONCE = 256
_FEW = 20
"""Sentences below which a word that is said once counts too."""
_DEFINES = 1.5
"""How much more a sentence counts that says what something is."""
_DAMPING = 0.85
_ROUNDS = 30
_MOST_FEATURES = 4096
"""Columns of the matrix of one stretch; of more words, those that occur in one sentence only are left out first."""


@dataclass(frozen=True)
class Ranking:
    """How much each sentence of a talk tells of what the talk is about."""

    passages: Sequence[Passage]
    language: str | None = None
    """A tag of BCP 47."""

    @cached_property
    def common(self) -> frozenset[str]:
        """Words that say nothing because nearly every sentence has them; English has a list of its own for that."""
        count = len(self.passages)
        if count < _FEW or (self.language or "").casefold().startswith("en"):
            return frozenset()
        having = Counter(word for passage in self.passages for word in set(passage.stems))
        return frozenset(
            word
            for word, found in having.items()
            if not is_unspaced(word) and found > (0.12 if len(word) <= 4 else 0.4) * count
        )

    @cached_property
    def weights(self) -> dict[str, float]:
        """How much each word tells: rare words that are said again and again tell most.

        `(1 + log tf) * log(1 + n / df)` over blocks of ten sentences; a word that every block has tells nothing.
        """
        blocks = max(1, math.ceil(len(self.passages) / 10))
        counts: Counter[str] = Counter()
        spread: dict[str, set[int]] = {}
        for number, passage in enumerate(self.passages):
            for word in passage.stems:
                counts[word] += 1
                spread.setdefault(word, set()).add(number // 10)
        return {
            word: (1 + math.log(count)) * math.log(1 + blocks / len(spread[word]))
            for word, count in counts.items()
            if (count > 1 or len(self.passages) < _FEW) and word not in self.common
        }

    def vectors(self, numbers: Sequence[int]) -> Vectors:
        """Unit vectors of some sentences, a row each; a sentence without telling words has zeros."""
        rows = [Counter(word for word in self.passages[number].stems if word in self.weights) for number in numbers]
        seen = Counter(word for row in rows for word in row)
        columns = {word: at for at, (word, _) in enumerate(seen.most_common(_MOST_FEATURES))}
        matrix = np.zeros((len(rows), max(1, len(columns))), dtype=np.float32)
        for at, row in enumerate(rows):
            for word, count in row.items():
                if word in columns:
                    matrix[at, columns[word]] = (1 + math.log(count)) * self.weights[word]
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The score of each sentence, 0 to 1 within each stretch of _AT_ONCE sentences."""
        found = np.zeros(len(self.passages))
        for begin in range(0, len(self.passages), _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, len(self.passages)))
            ranked = text_rank(self.vectors(numbers)) * np.array([self._fitness(self.passages[at]) for at in numbers])
            best = float(ranked.max()) if len(ranked) else 0.0
            found[begin : begin + len(numbers)] = ranked / best if best else ranked
        return found

    def _fitness(self, passage: Passage) -> float:
        """How well a sentence stands alone, and how much its words tell of the whole talk."""
        told = sum(sorted((self.weights.get(word, 0.0) for word in set(passage.stems)), reverse=True)[:6])
        defines = _DEFINES if defined_in(passage.text) else 1.0
        return told * defines * length_factor(passage.length) * opening_factor(passage.text)

    def chosen(self, numbers: Sequence[int], count: int, *, diversity: float = 0.35) -> list[int]:
        """The `count` best of some sentences, each unlike those before it (MMR), best first."""
        if len(numbers) > 2 * _AT_ONCE:  # the best of many
            numbers = sorted(sorted(numbers, key=lambda at: -self.scores[at])[: 2 * _AT_ONCE])
        if not numbers or count <= 0:
            return []
        likeness = (unit := self.vectors(numbers)) @ unit.T
        scores = self.scores[list(numbers)]
        nearest = np.zeros(len(numbers))
        left = np.ones(len(numbers), dtype=bool)
        found: list[int] = []
        for _ in range(min(count, len(numbers))):
            values = np.where(left, (1 - diversity) * scores - diversity * nearest, -np.inf)
            best = int(values.argmax())
            found.append(numbers[best])
            left[best] = False
            nearest = np.maximum(nearest, likeness[best])
        return found


def text_rank(vectors: Vectors) -> NDArray[np.float64]:
    """The TextRank of sentences, by their unit vectors: the stationary share of a walk along their likenesses."""
    count = len(vectors)
    if count == 0:
        return np.zeros(0)
    likeness = (vectors @ vectors.T).astype(np.float64)
    np.fill_diagonal(likeness, 0)
    sums = likeness.sum(axis=1, keepdims=True)
    steps = np.divide(likeness, sums, out=np.full_like(likeness, 1 / count), where=sums > 0)
    rank = np.full(count, 1 / count)
    for _ in range(_ROUNDS):
        rank = (1 - _DAMPING) / count + _DAMPING * (rank @ steps)
    return rank


def length_factor(words: int) -> float:
    """Sentences of 8 to 30 words read best alone."""
    if words < 8:
        return max(0.05, words / 8) ** 2
    return 1.0 if words <= 30 else max(0.3, 30 / words)


_LEANING = (
    *("and", "but", "so", "because", "then", "or", "that", "this", "these", "those", "it", "it's", "he", "she", "they"),
    *("which", "also", "however", "therefore", "thus", "its", "their", "such", "here", "there", "yes", "no", "now"),
)
"""Sentences that begin so lean on the one before them."""
_CHATTER = (
    *("thank", "thanks", "welcome", "hello", "hi", "okay", "ok", "subscribe", "please", "let's", "i", "i'm", "i'll"),
    *("well", "um", "uh", "good", "today", "my"),
)


_PERSONAL = re.compile(r"\b(?:I|me|my|I'm|I've|I'll|I'd)\b")
"""Who speaks of himself seldom speaks of the matter."""


def opening_factor(text: str) -> float:
    """Less than 1 for sentences that lean on another one, that ask, or that are about the talk itself."""
    opening = text.split(maxsplit=1)[0].strip(",.'\"").casefold() if text else ""
    factor = 0.55 if opening in _LEANING else 0.4 if opening in _CHATTER else 1.0
    if _PERSONAL.search(text):
        factor *= 0.6
    return factor * (0.35 if text.rstrip().endswith(("?", "？", "؟")) else 1.0)
