"""The terms of a talk: words, or two or three together, that tell what it is about."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mediajobs_dagster.study.definitions import defined_in, is_weak
from mediajobs_dagster.study.ranking import Ranking, length_factor, opening_factor
from mediajobs_dagster.study.talk import Passage
from mediajobs_dagster.study.words import is_unspaced, spans, stem

_MOST_WORDS = 3
_MOST_CANDIDATES = 400
_SAID_ONCE = 1.2
"""The weight of a word that is said once, in a talk in which others are said more often."""
_DEFINED = 1.8
"""How much more a term counts that the talk defines."""
_CHARACTERS = (2, 3, 4)
"""Lengths of terms in unspaced scripts."""


@dataclass(frozen=True)
class Found:
    """A term, and where it is said."""

    name: str
    """As the talk says it most often."""
    key: tuple[str, ...]
    """The stems of its words."""
    score: float
    places: tuple[int, ...]
    """The numbers of the sentences that have it."""
    defined_at: int | None = None
    """The number of a sentence that says what it is."""


def terms_of(ranking: Ranking, most: int) -> list[Found]:
    """The `most` terms that tell most, best first. A term inside of a better one is left out."""
    forms: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, passage in enumerate(ranking.passages):
        for key, form in candidates(passage):
            forms[key][form] += 1
            if not places[key] or places[key][-1] != number:
                places[key].append(number)
    defined = {key: number for number, passage in enumerate(ranking.passages) if (key := defined_in(passage.text))}
    least = 1 if len(ranking.passages) < 8 else 2
    scored = [
        Found(
            _shown(forms[key]),
            key,
            _score(key, len(at), ranking) * (_DEFINED if key in defined else 1.0),
            tuple(at),
            defined.get(key),
        )
        for key, at in places.items()
        if (len(at) >= least or key in defined) and not ranking.common.intersection(key)
    ]
    scored.sort(key=lambda each: (-each.score, each.key))
    return _distinct(scored[:_MOST_CANDIDATES], most)


def candidates(passage: Passage) -> Iterator[tuple[tuple[str, ...], str]]:
    """What may be a term in a sentence: the stems of its words, and how it is written."""
    text, found = passage.text, spans(passage.text)
    stems = [_stem_of(text[begin:end]) for begin, end in found]
    for first, (begin, end) in enumerate(found):
        if is_unspaced(text[begin]):
            yield from _of_run(text[begin:end])
        for last in range(first, min(first + _MOST_WORDS, len(found))):
            # Words of one term follow each other without a comma or the like.
            if not stems[last] or (last > first and not text[found[last - 1][1] : found[last][0]].isspace()):
                break
            if last > first or not text[begin:end].endswith("ed"):  # mostly what was done, and seldom a thing
                yield tuple(stems[first : last + 1]), text[begin : found[last][1]]


def _stem_of(word: str) -> str:
    """The stem of a word that may be part of a term; else an empty text."""
    folded = word.casefold().replace("’", "'")
    return "" if is_unspaced(word[0]) or is_weak(folded) else stem(folded)


def meaning_of(term: Found, ranking: Ranking) -> int:
    """The number of the sentence that tells most of what a term is: a definition, or else a good sentence with it."""
    if term.defined_at is not None:
        return term.defined_at

    def value(number: int) -> float:
        passage = ranking.passages[number]
        alone = length_factor(passage.length) * opening_factor(passage.text)
        return alone * (0.3 + float(ranking.scores[number]))

    return max(term.places[:200], key=lambda number: (value(number), -number))


def _of_run(run: str) -> Iterator[tuple[tuple[str, ...], str]]:
    for size in _CHARACTERS:
        for at in range(len(run) - size + 1):
            yield (run[at : at + size],), run[at : at + size]


def _shown(forms: Counter[str]) -> str:
    """As it is written most often; where it is as often with a small letter, so."""
    best = max(forms.values())
    return min((form for form, count in forms.items() if count == best), key=lambda form: (form[0].isupper(), form))


def _score(key: tuple[str, ...], count: int, ranking: Ranking) -> float:
    if is_unspaced(key[0]):
        # Longer is better: of two that occur as often, the shorter one is a part of the longer.
        return count * math.log(1 + len(key[0])) * (1.0 if len(key[0]) > 1 else 0.1)
    weights = [ranking.weights.get(word, _SAID_ONCE) for word in key]
    # As in the C-value of Frantzi and others (2000): longer terms are rarer and tell more.
    return (1 + math.log(count)) * (sum(weights) / len(weights)) * (1 + 0.6 * math.log2(len(key)))


def _distinct(scored: Sequence[Found], most: int) -> list[Found]:
    kept: list[Found] = []
    for each in scored:
        if len(kept) == most:
            break
        if not any(_overlap(each, other) for other in kept):
            kept.append(each)
    return kept


def _overlap(one: Found, other: Found) -> bool:
    if is_unspaced(one.name) or is_unspaced(other.name):
        return one.name in other.name or other.name in one.name or _share_end(one.name, other.name)
    return bool(set(one.key) & set(other.key))


def _share_end(one: str, other: str) -> bool:
    """Whether two pieces of an unspaced script are cut from one place, shifted by a character."""
    return one[1:] == other[: len(one) - 1] or other[1:] == one[: len(other) - 1]
