"""Questions without a language model: from sentences of the talk, with terms of the talk left out or exchanged."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle

from mediajobs_dagster.study.extractive import choose_points
from mediajobs_dagster.study.model import Asked, Assessment, Difficulty, Notes, Question, QuestionKind
from mediajobs_dagster.study.parts import parts_of
from mediajobs_dagster.study.ranking import Ranking
from mediajobs_dagster.study.talk import Passage, Talk
from mediajobs_dagster.study.terms import Found, candidates, meaning_of, terms_of

GAP = "_____"
_POOL = 80
_WORTH_EXPLAINING = 14
"""How many of the terms one may be asked to explain."""
_OPTIONS = 4
_KINDS: dict[Difficulty, tuple[QuestionKind, ...]] = {
    Difficulty.EASY: (QuestionKind.CHOICE, QuestionKind.TRUE_FALSE, QuestionKind.CHOICE, QuestionKind.CLOZE),
    Difficulty.MEDIUM: (
        *(QuestionKind.CLOZE, QuestionKind.CHOICE, QuestionKind.TRUE_FALSE),
        *(QuestionKind.CLOZE, QuestionKind.SHORT_ANSWER),
    ),
    Difficulty.HARD: (QuestionKind.CLOZE, QuestionKind.SHORT_ANSWER, QuestionKind.CLOZE, QuestionKind.CHOICE),
}
"""Which kinds follow each other."""


def write_assessment(talk: Talk, notes: Notes, asked: Asked, check: Callable[[], None] = lambda: None) -> Assessment:
    """Questions about a talk; fewer than asked for where it says too little. The same talk has the same questions."""
    ranking = Ranking(talk.passages, talk.language)
    terms = terms_of(ranking, _POOL)
    check()
    makers = _Makers(talk, ranking, terms, asked.difficulty, random.Random(f"{talk.title} {talk.words}"))
    questions: list[Question] = []
    kinds = cycle(_KINDS[asked.difficulty])
    for number in makers.numbers(asked.questions, notes):
        check()
        if len(questions) == asked.questions:
            break
        kind = next(kinds)
        made = makers.make(kind, number) or makers.make(QuestionKind.CLOZE, number)
        if made and all(made.prompt != other.prompt for other in questions):
            makers.note(made)
            questions.append(made)
    questions.sort(key=lambda question: question.seconds)
    return Assessment(title=talk.title, subject=asked.subject, difficulty=asked.difficulty, questions=tuple(questions))


@dataclass(frozen=True)
class _Makers:
    talk: Talk
    ranking: Ranking
    terms: Sequence[Found]
    difficulty: Difficulty
    chance: random.Random
    asked: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    """The terms that were asked for; others come first."""

    def note(self, made: Question) -> None:
        """A question is part of the assessment."""
        text = made.prompt if made.kind is QuestionKind.SHORT_ANSWER else made.answer
        self.asked.update(term.key for term in self.terms if term.name.casefold() in text.casefold())

    def numbers(self, wanted: int, notes: Notes) -> Iterator[int]:
        """The sentences to ask about: the key points, then others by their rank, spread over the talk."""
        if not self.talk.passages:
            return
        points = choose_points(self.talk, self.ranking, parts_of(self.talk, self.ranking))
        told = {point.text for point in notes.key_points}
        first = sorted(points, key=lambda at: (self.talk.passages[at].text not in told, -self.ranking.scores[at]))
        yield from _spread(first, wanted)
        rest = [at for at in range(len(self.talk.passages)) if at not in set(points)]
        yield from self.ranking.chosen(rest, 3 * wanted)

    def make(self, kind: QuestionKind, number: int) -> Question | None:
        """A question of a kind about a sentence; None if that sentence has nothing to ask for."""
        passage = self.talk.passages[number]
        inside = self._terms_in(passage)
        if not inside:
            return None
        # The best known terms are easy to guess, the rarer ones are not.
        ordered = inside[::-1] if self.difficulty is Difficulty.HARD else inside
        term = next((each for each in ordered if each[0].key not in self.asked), ordered[0])
        if kind is QuestionKind.CLOZE:
            return self._cloze(passage, term)
        if kind is QuestionKind.CHOICE:
            return self._choice(passage, term)
        if kind is QuestionKind.TRUE_FALSE:
            return self._true_false(passage, term)
        return self._short_answer(term[0]) if self._rank[term[0].key] < _WORTH_EXPLAINING else None

    def _terms_in(self, passage: Passage) -> list[tuple[Found, str]]:
        """The terms that a sentence has, best first, and how they are written there."""
        written: dict[tuple[str, ...], str] = {}
        for key, form in candidates(passage):
            written.setdefault(key, form)
        return [(term, written[term.key]) for term in self.terms if term.key in written]

    def _cloze(self, passage: Passage, term: tuple[Found, str]) -> Question:
        return self._question(QuestionKind.CLOZE, _gapped(passage.text, term[1]), term[1], passage)

    def _choice(self, passage: Passage, term: tuple[Found, str]) -> Question | None:
        others = self._others(*term, passage)[: _OPTIONS - 1]
        if len(others) < 2:
            return None
        options = [term[1], *others]
        self.chance.shuffle(options)
        prompt = f"Which one completes this sentence? {_gapped(passage.text, term[1])}"
        return self._question(QuestionKind.CHOICE, prompt, term[1], passage, options)

    def _true_false(self, passage: Passage, term: tuple[Found, str]) -> Question | None:
        if self.chance.random() < 0.5:
            return self._question(QuestionKind.TRUE_FALSE, passage.text, "true", passage)
        others = self._others(*term, passage)
        if not others:
            return None
        changed = _first(passage.text, term[1], lambda _: others[0])
        return self._question(QuestionKind.TRUE_FALSE, changed, "false", passage)

    def _short_answer(self, term: Found) -> Question:
        passage = self.talk.passages[meaning_of(term, self.ranking)]
        prompt = f"What does the talk say about “{term.name}”?"
        return self._question(QuestionKind.SHORT_ANSWER, prompt, passage.text, passage)

    def _others(self, term: Found, form: str, passage: Passage) -> list[str]:
        """Terms that could stand there as well: of as many words, and not in the sentence; the likest first."""
        said = passage.text.casefold()
        able = [
            each
            for each in self.terms
            if not set(each.key) & set(term.key)
            and each.name.casefold() not in said
            and _is_plural(each.name) == _is_plural(form)
            and each.name[0].isupper() == term.name[0].isupper()
        ]
        own = self._rank[term.key]
        able.sort(key=lambda each: (len(each.key) != len(term.key), abs(self._rank[each.key] - own)))
        return [each.name for each in able]

    @cached_property
    def _rank(self) -> dict[tuple[str, ...], int]:
        return {term.key: at for at, term in enumerate(self.terms)}

    def _question(
        self, kind: QuestionKind, prompt: str, answer: str, passage: Passage, options: Iterable[str] = ()
    ) -> Question:
        return Question(
            kind=kind,
            prompt=prompt,
            options=tuple(options),
            answer=answer,
            explanation="" if answer == passage.text else passage.text,
            seconds=passage.start,
            difficulty=self.difficulty,
        )


def _spread(numbers: Sequence[int], wanted: int) -> list[int]:
    """Some of them first, evenly from the whole talk, then the others."""
    if not numbers or wanted >= len(numbers):
        return list(numbers)
    ordered = sorted(numbers)
    first = [ordered[at * len(ordered) // wanted] for at in range(wanted)]
    return [*first, *(at for at in numbers if at not in set(first))]


def _is_plural(form: str) -> bool:
    return form.endswith("s")


def _gapped(text: str, form: str) -> str:
    return _first(text, form, lambda _: GAP)


def _first(text: str, form: str, change: Callable[[re.Match[str]], str]) -> str:
    pattern = rf"(?<!\w){re.escape(form)}(?!\w)"
    found = re.subn(pattern, change, text, count=1)
    return found[0] if found[1] else re.sub(re.escape(form), change, text, count=1)
