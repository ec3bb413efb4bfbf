"""Notes and questions by a language model, checked line by line against the talk.

A long talk is read part by part, within the budget of tokens; then the best points of all parts are chosen. What the
model says counts only if it names a line of the part that it was shown, and shares words with what is said around it.
Everything else is dropped, and told in a note. Each answer is kept, so no further attempt pays for it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from mediajobs_dagster.errors import InputTooLongError, JobSettingsError, ModelAnswerError, ModelCutOffError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.study_guide import prompts
from mediajobs_dagster.job_types.study_guide.grounding import Grounding
from mediajobs_dagster.job_types.study_guide.keeping import kept
from mediajobs_dagster.job_types.study_guide.shapes import (
    PartNotes,
    Picked,
    PointShape,
    Questions,
    QuestionShape,
    SectionShape,
    Shape,
    TermShape,
)
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.services.language_model import LanguageModel, Told, Usage, strict_schema
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.study.model import Asked, Assessment, KeyPoint, Notes, Question, QuestionKind, Section, Term
from mediajobs_dagster.study.questions import write_assessment
from mediajobs_dagster.study.ranking import Ranking
from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.study.words import stem, words_of

_INSTRUCTION_TOKENS = 900
_POINTS_A_PART = 8
_FEWEST_LINES = 6
_KEY_POINTS = 15
_TERMS = 16
_QUESTIONS_AT_ONCE = 12

Answer = TypeVar("Answer", bound=Shape)


class ModelWriter:
    """Has a language model write that answers as OpenAI's does (MEDIAJOBS_LLM_URL)."""

    name = "openai"

    def check_settings(self, settings: Settings) -> None:
        if not (settings.llm_url and settings.llm_model):
            raise JobSettingsError("Set MEDIAJOBS_LLM_URL and MEDIAJOBS_LLM_MODEL: the language model to ask.")
        if settings.llm_context_tokens < settings.llm_answer_tokens + 2 * _INSTRUCTION_TOKENS:
            raise JobSettingsError(
                "MEDIAJOBS_LLM_CONTEXT_TOKENS leaves no room for a talk beside MEDIAJOBS_LLM_ANSWER_TOKENS. Raise it."
            )

    def identity(self, settings: Settings) -> JsonObject:
        return {
            "writer": self.name,
            "model": settings.llm_model,
            "prompts": prompts.VERSION,
            "tokens": [settings.llm_context_tokens, settings.llm_answer_tokens],
        }

    def imprint(self, settings: Settings) -> str:
        return (
            f"Written from the transcript by the language model {settings.llm_model}. It can be wrong: the times lead "
            "to what was said."
        )

    def write_notes(self, talk: Talk, asked: Asked, bench: Bench) -> Notes:
        asking = _Asking.of(talk, asked, bench)
        parts = asking.parts()
        asking.require(len(parts) + len(parts) // 8 + 1)
        written: list[_Part] = []
        for number, part in enumerate(parts):
            written += asking.written(part)
            bench.progress((number + 1) / (len(parts) + 1))
        notes = asking.joined(written)
        bench.report(notesUsage=asking.usage())
        return notes

    def write_assessment(self, talk: Talk, notes: Notes, asked: Asked, bench: Bench) -> Assessment:
        asking = _Asking.of(talk, asked, bench)
        questions = asking.questions()
        if len(questions) < asked.questions:
            others = write_assessment(talk, notes, asked, bench.check).questions
            known = {question.prompt for question in questions}
            added = [each for each in others if each.prompt not in known][: asked.questions - len(questions)]
            if added:
                bench.note(f"{len(added)} questions are the extractive writer's, in place of those that were dropped.")
            questions += added
        bench.report(assessmentUsage=asking.usage())
        return Assessment(
            title=talk.title,
            subject=asked.subject,
            difficulty=asked.difficulty,
            questions=tuple(sorted(questions, key=lambda question: question.seconds)),
        )


@dataclass(frozen=True)
class _Part:
    """What was written of a part, as far as it holds."""

    summary: str
    sections: tuple[SectionShape, ...]
    points: tuple[PointShape, ...]
    terms: tuple[TermShape, ...]
    first: int
    """Its first line."""


@dataclass
class _Asking:
    """The questions to the model about one talk."""

    talk: Talk
    asked: Asked
    bench: Bench
    settings: Settings
    grounding: Grounding
    paid: Usage = field(default_factory=Usage)
    saved: Usage = field(default_factory=Usage)
    """What answers took that earlier attempts had paid for."""
    dropped: int = 0

    @classmethod
    def of(cls, talk: Talk, asked: Asked, bench: Bench) -> _Asking:
        return cls(talk, asked, bench, bench.installation.settings, Grounding(talk))

    # --- within the budget -------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many tokens of a talk fit into one question."""
        return self.settings.llm_context_tokens - self.settings.llm_answer_tokens - _INSTRUCTION_TOKENS

    def parts(self) -> list[list[int]]:
        """The lines of the talk, in parts that fit; all are about as long, so that none is a short rest."""
        costs = [_tokens(passage.text) + 6 for passage in self.talk.passages]
        count = max(1, -(-sum(costs) // self.room))
        share = sum(costs) / count
        found: list[list[int]] = [[]]
        used = 0
        for number, cost in enumerate(costs):
            if found[-1] and (used + cost > self.room or used >= share):
                found.append([])
                used = 0
            found[-1].append(number)
            used += cost
        return found

    def require(self, requests: int) -> None:
        """Raise InputTooLongError if the talk takes too many questions."""
        most = self.settings.llm_most_requests
        if requests > most:
            raise InputTooLongError(
                f"The talk would take {requests} questions to the language model; at most {most} are asked. Raise "
                "MEDIAJOBS_LLM_CONTEXT_TOKENS or MEDIAJOBS_LLM_MOST_REQUESTS, or use the extractive writer."
            )

    def ask(
        self,
        instruction: str,
        lines: Sequence[str],
        shape: type[Answer],
        check: Callable[[Answer], None] = lambda _answer: None,
    ) -> Answer:
        """The answer to a question, from the model or as it was kept.

        One for which `check` raises is not kept: a further attempt would only be given it again.
        """
        matter = prompts.fenced(self.talk, lines)
        basis: JsonObject = {
            "model": self.settings.llm_model,
            "url": self.settings.llm_url,
            "answerTokens": self.settings.llm_answer_tokens,
            "schema": strict_schema(shape),
            "instruction": instruction,
            "matter": matter,
        }
        fresh: list[Told] = []

        def make() -> JsonObject:
            told = self.bench.service(LanguageModel).ask(instruction, matter, shape)
            check(shape.model_validate(told.answer))
            fresh.append(told)
            return {"answer": told.answer, "tokens": [told.usage.input_tokens, told.usage.output_tokens]}

        self.bench.check()
        found = kept(self.bench, basis, make)
        if fresh:
            self.paid += fresh[0].usage
        else:
            self.saved += Usage(*found.get("tokens", (0, 0)))
        return shape.model_validate(found["answer"])

    def usage(self) -> JsonObject:
        """What was asked in this stage, for the record."""
        if self.dropped:
            self.bench.note(f"{self.dropped} things that the model wrote were dropped: no line of the talk says so.")
        price = self._price(self.paid)
        return {
            "model": self.settings.llm_model,
            "inputTokens": self.paid.input_tokens,
            "outputTokens": self.paid.output_tokens,
            "savedTokens": self.saved.tokens,
            "dropped": self.dropped,
            **({} if price is None else {"price": round(price, 6)}),
        }

    def _price(self, usage: Usage) -> float | None:
        into, out = self.settings.llm_price_input, self.settings.llm_price_output
        if into is None and out is None:
            return None
        return (usage.input_tokens * (into or 0.0) + usage.output_tokens * (out or 0.0)) / 1e6

    # --- notes -------------------------------------------------------------------------------------------------------

    def written(self, numbers: Sequence[int]) -> list[_Part]:
        """The notes of a part; of its halves, where the answer about the whole was cut off at its limit."""
        try:
            return [self.part_notes(numbers)]
        except ModelCutOffError:
            if len(numbers) < 2 * _FEWEST_LINES:
                raise
            middle = len(numbers) // 2
            return [*self.written(numbers[:middle]), *self.written(numbers[middle:])]

    def part_notes(self, numbers: Sequence[int]) -> _Part:
        """The notes of a part, as far as they hold."""
        instruction = prompts.notes_instruction(self.talk, self.asked, _POINTS_A_PART)
        lines = range(numbers[0], numbers[-1] + 1)

        def check(answer: PartNotes) -> None:
            if not any(self._is_said(each.text, each.line, lines) for each in answer.points):
                raise ModelAnswerError("The language model named no key point that a line of the talk bears out.")

        told = self.ask(instruction, prompts.numbered(self.talk, numbers), PartNotes, check)
        points = tuple(each for each in told.points if self._holds(each.text, each.line, lines))
        terms = tuple(each for each in told.terms if self._holds(f"{each.term} {each.meaning}", each.line, lines))
        sections = tuple(each for each in told.sections if each.line in lines and each.title.strip())
        summary = told.summary if self.grounding.is_about(told.summary, lines) else ""
        return _Part(summary, sections, points, terms, numbers[0])

    def _holds(self, text: str, line: int, lines: range) -> bool:
        holds = self._is_said(text, line, lines)
        self.dropped += not holds
        return holds

    def _is_said(self, text: str, line: int, lines: range) -> bool:
        return line in lines and self.grounding.bears_out(text, line)

    def joined(self, parts: Sequence[_Part]) -> Notes:
        """The notes of the whole talk."""
        points = sorted((point for part in parts for point in part.points), key=lambda point: point.line)
        summaries = [part.summary for part in parts if part.summary]
        if len(parts) > 1:
            summary, chosen = self._picked(summaries, points)
        else:
            summary, chosen = " ".join(summaries), list(range(len(points)))
        key_points = [points[at] for at in chosen][:_KEY_POINTS]
        return Notes(
            title=self.talk.title,
            subject=self.asked.subject,
            language=self.talk.language,
            duration_seconds=self.talk.duration_seconds,
            summary=(summary or self._own_summary(),),
            key_points=tuple(map(self._point, key_points)),
            terms=tuple(map(self._term, _distinct_terms([term for part in parts for term in part.terms]))),
            outline=self._outline(parts, points),
        )

    def _picked(self, summaries: Sequence[str], points: Sequence[PointShape]) -> tuple[str, list[int]]:
        """A summary of the whole, and the numbers of the best points: in rounds, where there are too many for one."""
        due, before = list(range(len(points))), (0, 0)
        while True:
            groups = self._groups(summaries, points, due)
            if all(before) and len(groups) >= before[0] and len(due) >= before[1]:
                return "", _spread(due, _KEY_POINTS)  # what the model makes of it does not get shorter
            before = len(groups), len(due)
            most = max(3, -(-_KEY_POINTS // len(groups))) if len(groups) == 1 else max(3, len(due) // len(groups) // 3)
            told = [self._pick(summary, group, points, most) for summary, group in groups]
            summaries = [each.summary for each, _ in told if each.summary]
            due = sorted({at for _, chosen in told for at in chosen})
            if len(groups) == 1:
                return summaries[0] if summaries else "", due
            if not summaries:
                return "", _spread(due, _KEY_POINTS)

    def _groups(
        self, summaries: Sequence[str], points: Sequence[PointShape], due: Sequence[int]
    ) -> list[tuple[list[str], list[int]]]:
        total = sum(map(_tokens, summaries)) + sum(_tokens(points[at].text) + 6 for at in due)
        count = max(1, -(-total * 10 // (self.room * 9)))
        return [
            (list(summaries[at * len(summaries) // count : (at + 1) * len(summaries) // count]),
             list(due[at * len(due) // count : (at + 1) * len(due) // count]))
            for at in range(count)
        ]  # fmt: skip

    def _pick(
        self, summaries: Sequence[str], group: Sequence[int], points: Sequence[PointShape], most: int
    ) -> tuple[Picked, list[int]]:
        instruction = prompts.pick_instruction(self.talk, self.asked, most)
        lines = [*summaries, *(f"[{at}] {' '.join(points[at].text.split())}" for at in group)]
        told = self.ask(instruction, lines, Picked)
        chosen = [at for at in dict.fromkeys(told.points) if at in set(group)][:most]
        self.dropped += len(told.points) - len(chosen)
        about = range(len(self.talk.passages))
        summary = told.summary if self.grounding.is_about(told.summary, about) else ""
        return told.model_copy(update={"summary": summary}), chosen or list(group[:most])

    def _own_summary(self) -> str:
        """Sentences of the talk, where the model's summary is of something else."""
        ranking = Ranking(self.talk.passages, self.talk.language)
        chosen = sorted(ranking.chosen(range(len(self.talk.passages)), 4))
        return " ".join(self.talk.passages[at].text for at in chosen)

    def _outline(self, parts: Sequence[_Part], points: Sequence[PointShape]) -> tuple[Section, ...]:
        if self.talk.chapters:
            heads = [(chapter.title, self.talk.at(chapter.start)) for chapter in self.talk.chapters]
        else:
            heads = [(each.title, each.line) for part in parts for each in part.sections]
        heads = sorted({line: title for title, line in heads}.items()) or [(0, self.talk.title)]
        firsts = [line for line, _ in heads]
        firsts[0] = 0
        ends = [*firsts[1:], len(self.talk.passages)]
        return tuple(
            Section(
                title=title,
                start=self._seconds(first),
                end=self._seconds(end) if end < len(self.talk.passages) else self.talk.duration_seconds,
                points=tuple(self._point(point) for point in points if first <= point.line < end),
            )
            for (_, title), first, end in zip(heads, firsts, ends, strict=True)
        )

    def _seconds(self, line: int) -> float:
        return self.talk.passages[line].start

    def _point(self, point: PointShape) -> KeyPoint:
        return KeyPoint(text=point.text, seconds=self._seconds(point.line), formula=point.formula, code=point.code)

    def _term(self, term: TermShape) -> Term:
        return Term(term=term.term, meaning=term.meaning, seconds=self._seconds(term.line))

    # --- questions ---------------------------------------------------------------------------------------------------

    def questions(self) -> list[Question]:
        """Questions about the whole talk, as far as they hold."""
        wanted = self.asked.questions
        parts = self.parts()
        rounds = min(len(parts), wanted) if len(parts) > 1 else -(-wanted // _QUESTIONS_AT_ONCE)
        self.require(rounds)
        found: list[Question] = []
        for number in range(rounds):
            count = wanted * (number + 1) // rounds - wanted * number // rounds
            # Of a talk in more parts than there are questions, parts from everywhere.
            numbers = parts[number * len(parts) // rounds] if len(parts) > 1 else self._stretch(number, rounds)
            instruction = prompts.questions_instruction(self.talk, self.asked, count)
            told = self.ask(instruction, prompts.numbered(self.talk, numbers), Questions)
            lines = range(numbers[0], numbers[-1] + 1)
            made = [question for each in told.questions if (question := self._question(each, lines))]
            found += [each for each in made if all(each.prompt != other.prompt for other in found)][:count]
        if not found:
            raise ModelAnswerError("The language model wrote no question that a line of the talk bears out.")
        return found

    def _stretch(self, number: int, rounds: int) -> list[int]:
        count = len(self.talk.passages)
        stretch = range(number * count // rounds, (number + 1) * count // rounds)
        return list(stretch) or list(range(count))

    def _question(self, told: QuestionShape, lines: range) -> Question | None:
        said = f"{told.prompt} {told.answer} {told.explanation}"
        if not self._holds(said, told.line, lines):
            return None
        answer = told.answer.strip()
        options = told.options if told.kind is QuestionKind.CHOICE else ()
        try:
            return Question(
                kind=told.kind,
                prompt=told.prompt.strip(),
                options=tuple(option.strip() for option in options),
                answer=answer.casefold() if told.kind is QuestionKind.TRUE_FALSE else answer,
                explanation=told.explanation.strip(),
                seconds=self._seconds(told.line),
                difficulty=self.asked.difficulty,
            )
        except ValidationError:  # such as an answer that is not among the options
            self.dropped += 1
            return None


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of these numbers, from all over."""
    count = min(most, len(numbers))
    return [numbers[at * len(numbers) // count] for at in range(count)]


def _tokens(text: str) -> int:
    """About how many tokens a text has, on the safe side: a third of its letters, or each of other scripts'."""
    wide = sum(1 for each in text if ord(each) > 0x2E7F)
    other = sum(1 for each in text if 0x24F < ord(each) <= 0x2E7F)
    return wide + -(-other * 2 // 3) + -(-(len(text) - wide - other) // 3)


def _distinct_terms(terms: Sequence[TermShape]) -> list[TermShape]:
    """Each term once, those first that several parts have."""
    by_stem: dict[tuple[str, ...], list[TermShape]] = {}
    for term in terms:
        by_stem.setdefault(tuple(map(stem, words_of(term.term))), []).append(term)
    often = sorted(by_stem.values(), key=lambda each: (-len(each), each[0].line))[:_TERMS]
    return sorted((each[0] for each in often), key=lambda term: term.line)
