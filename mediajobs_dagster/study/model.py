"""A study guide as frozen values: the notes, and the assessment. Times are seconds from the beginning of the talk."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from mediajobs_dagster.models import Value


class Difficulty(StrEnum):
    """How hard a question is."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


class QuestionKind(StrEnum):
    """What is asked for."""

    CLOZE = "cloze"
    """The word that is missing in a sentence."""
    CHOICE = "multiple_choice"
    """One of several answers."""
    TRUE_FALSE = "true_false"
    """Whether a statement is true."""
    SHORT_ANSWER = "short_answer"
    """A sentence or two in one's own words."""


class KeyPoint(Value):
    """One thing that the talk says."""

    text: str
    seconds: float = Field(ge=0, description="Where the talk says it.")
    formula: str = Field(default="", description="What belongs to it as a formula, in the notation of LaTeX.")
    code: str = Field(default="", description="What belongs to it as program text.")


class Term(Value):
    """A term of the talk, and what it says about it."""

    term: str
    meaning: str = Field(description="A definition, or the sentence in which the talk uses it.")
    seconds: float = Field(ge=0)


class Section(Value):
    """A part of the talk."""

    title: str
    start: float = Field(ge=0)
    end: float = Field(ge=0)
    points: tuple[KeyPoint, ...] = ()


class Notes(Value):
    """What is worth keeping of a talk."""

    version: Literal["study_notes_v1"] = "study_notes_v1"
    title: str
    subject: str = Field(description="The field of study, such as AI.")
    language: str | None = None
    duration_seconds: float = Field(ge=0, description="How long the talk is.")
    summary: tuple[str, ...] = Field(description="Its sentences, in their order.")
    key_points: tuple[KeyPoint, ...] = Field(description="In the order of the talk.")
    terms: tuple[Term, ...]
    outline: tuple[Section, ...] = Field(description="By chapter, or by part where the talk has no chapters.")


class Question(Value):
    """One question, with its answer."""

    kind: QuestionKind
    prompt: str
    options: tuple[str, ...] = Field(default=(), description="What to choose from; only of a multiple choice.")
    answer: str = Field(description="For a multiple choice one of the options, for true/false `true` or `false`.")
    explanation: str = Field(default="", description="What the talk says there.")
    seconds: float = Field(ge=0, description="Where the talk has the answer.")
    difficulty: Difficulty

    @model_validator(mode="after")
    def _fits_together(self) -> Question:
        if self.kind is QuestionKind.CHOICE and (self.answer not in self.options or len(set(self.options)) < 2):
            raise ValueError("the answer of a multiple choice has to be one of at least two different options")
        if self.kind is QuestionKind.TRUE_FALSE and self.answer not in ("true", "false"):
            raise ValueError("the answer has to be true or false")
        return self


class Assessment(Value):
    """Questions about a talk."""

    version: Literal["study_assessment_v1"] = "study_assessment_v1"
    title: str
    subject: str
    difficulty: Difficulty
    questions: tuple[Question, ...] = Field(description="In the order of the talk.")


class Chapter(Value):
    """A chapter that the talk's own site names."""

    title: str
    start: float = Field(ge=0)


class Asked(Value):
    """What a guide is asked for."""

    subject: str = "General"
    difficulty: Difficulty = Difficulty.MEDIUM
    questions: int = 12
