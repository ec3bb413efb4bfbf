"""Notes without a language model: sentences of the talk itself, chosen by rank, and spread over its parts.

Nothing is put into other words, so nothing can be wrong that the talk has right; but what the talk says badly, or says
in pictures, stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mediajobs_dagster.study.model import Asked, KeyPoint, Notes, Section, Term
from mediajobs_dagster.study.parts import Part, parts_of
from mediajobs_dagster.study.ranking import Ranking
from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.study.terms import Found, meaning_of, terms_of

_WORDS_A_POINT = 75
_FEWEST_POINTS, _MOST_POINTS = 5, 48
_MOST_KEY_POINTS = 15
_MOST_TERMS = 14
_TITLE_TERMS = 2
_POOL = 60


def write_notes(talk: Talk, asked: Asked, check: Callable[[], None] = lambda: None) -> Notes:
    """The notes of a talk. `check` is called now and then; what it raises ends the work."""
    ranking = Ranking(talk.passages, talk.language)
    if not talk.passages:
        return _empty(talk, asked)
    _ = ranking.scores
    check()
    parts = parts_of(talk, ranking)
    check()
    points = choose_points(talk, ranking, parts)
    check()
    terms = terms_of(ranking, _POOL)
    return Notes(
        title=talk.title,
        subject=asked.subject,
        language=talk.language,
        duration_seconds=talk.duration_seconds,
        summary=tuple(talk.passages[at].text for at in _summary(ranking, points)),
        key_points=tuple(_point(talk, at) for at in best_points(ranking, points)),
        terms=tuple(_term(talk, each, ranking) for each in terms[:_MOST_TERMS]),
        outline=_outline(talk, parts, points, terms),
    )


def choose_points(talk: Talk, ranking: Ranking, parts: Sequence[Part]) -> list[int]:
    """The numbers of the sentences to note, in their order: each part has its share."""
    wanted = max(_FEWEST_POINTS, min(_MOST_POINTS, round(talk.words / _WORDS_A_POINT)))
    lengths = [sum(talk.passages[at].length for at in part.numbers) for part in parts]
    found: list[int] = []
    for part, words in zip(parts, lengths, strict=True):
        share = max(1, round(wanted * words / max(1, sum(lengths))))
        found += ranking.chosen(list(part.numbers), share)
    return sorted(_unlike(found, talk))


def best_points(ranking: Ranking, points: Sequence[int]) -> list[int]:
    """The points that tell most of the whole talk, in their order: all of a few, about half of many."""
    count = max(_FEWEST_POINTS, min(_MOST_KEY_POINTS, round(len(points) * 0.6)))
    return sorted(ranking.chosen(list(points), count))


def _unlike(numbers: Sequence[int], talk: Talk) -> list[int]:
    """Without sentences that say the same as one before them."""
    kept: dict[frozenset[str], int] = {}
    for number in numbers:
        kept.setdefault(frozenset(talk.passages[number].stems), number)
    return list(kept.values())


def _summary(ranking: Ranking, points: Sequence[int]) -> list[int]:
    count = 3 if len(points) < 10 else 4 if len(points) < 20 else 6
    return sorted(ranking.chosen(list(points), min(count, len(points)), diversity=0.45))


def _point(talk: Talk, number: int) -> KeyPoint:
    passage = talk.passages[number]
    return KeyPoint(text=passage.text, seconds=passage.start)


def _term(talk: Talk, term: Found, ranking: Ranking) -> Term:
    passage = talk.passages[meaning_of(term, ranking)]
    return Term(term=term.name, meaning=passage.text, seconds=passage.start)


def _outline(talk: Talk, parts: Sequence[Part], points: Sequence[int], terms: Sequence[Found]) -> tuple[Section, ...]:
    sections: list[Section] = []
    used: set[str] = set()
    for number, part in enumerate(parts):
        end = talk.passages[parts[number + 1].first].start if number + 1 < len(parts) else talk.duration_seconds
        start = talk.passages[part.first].start
        title = part.title or _title(part, terms, used) or f"Part {number + 1}"
        own = tuple(_point(talk, at) for at in points if at in part.numbers)
        sections.append(Section(title=title, start=start, end=max(start, end), points=own))
    return tuple(sections)


def _title(part: Part, terms: Sequence[Found], used: set[str]) -> str:
    """What this part, more than others, is about; terms that name an earlier part come last."""

    def value(term: Found) -> float:
        here = sum(1 for at in term.places if at in part.numbers)
        return term.score * here * here / len(term.places) * (0.3 if term.name in used else 1.0)

    best = sorted((term for term in terms if value(term) > 0), key=lambda term: -value(term))[:_TITLE_TERMS]
    used.update(term.name for term in best)
    title = ", ".join(term.name for term in best)
    return title[:1].upper() + title[1:]


def _empty(talk: Talk, asked: Asked) -> Notes:
    return Notes(
        title=talk.title,
        subject=asked.subject,
        language=talk.language,
        duration_seconds=talk.duration_seconds,
        summary=(),
        key_points=(),
        terms=(),
        outline=(),
    )
