"""The forms in which a language model is asked to answer. What it says is tied to numbered lines of the talk."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mediajobs_dagster.study.model import QuestionKind

_TEXT = 2000
_MOST = 100


class Shape(BaseModel):
    """Fields that a model adds are ignored; those that it leaves out are empty, where that makes sense."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True)


class PointShape(Shape):
    """A key point."""

    text: str = Field(max_length=_TEXT)
    line: int
    formula: str = Field(default="", max_length=_TEXT)
    code: str = Field(default="", max_length=_TEXT)


class TermShape(Shape):
    """A term."""

    term: str = Field(max_length=100)
    meaning: str = Field(max_length=_TEXT)
    line: int


class SectionShape(Shape):
    """A heading of the outline, and the line that it begins at."""

    title: str = Field(max_length=200)
    line: int


class PartNotes(Shape):
    """The notes of a stretch of a talk."""

    summary: str = Field(max_length=_TEXT)
    sections: tuple[SectionShape, ...] = Field(default=(), max_length=_MOST)
    points: tuple[PointShape, ...] = Field(max_length=_MOST)
    terms: tuple[TermShape, ...] = Field(default=(), max_length=_MOST)


class Picked(Shape):
    """The whole, made of the notes of its parts."""

    summary: str = Field(max_length=2 * _TEXT)
    points: tuple[int, ...] = Field(max_length=4 * _MOST)
    """Numbers of the points that matter most."""


class QuestionShape(Shape):
    """A question."""

    kind: QuestionKind
    prompt: str = Field(max_length=_TEXT)
    options: tuple[str, ...] = Field(default=(), max_length=8)
    answer: str = Field(max_length=_TEXT)
    explanation: str = Field(default="", max_length=_TEXT)
    line: int


class Questions(Shape):
    """Several questions."""

    questions: tuple[QuestionShape, ...] = Field(max_length=_MOST)
