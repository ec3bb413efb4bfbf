"""A transcript as frozen values. Its JSON form is the document `transcript.json`, version `transcript_v1`."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Literal

from pydantic import Field

from mediajobs_dagster.models import Value

VERSION = "transcript_v1"


class Method(StrEnum):
    """Where the words of a transcript come from."""

    EMBEDDED = "embedded"
    """Subtitles inside the media file."""
    SUBTITLES = "subtitles"
    """Subtitles that came with the file, from the site that it was fetched from."""
    SPEECH = "speech"
    """Speech recognition."""


class Word(Value):
    """One word, and when it is said."""

    text: str
    start: float = Field(description="Seconds from the beginning of the media.")
    end: float = Field(description="Seconds.")
    confidence: float | None = Field(default=None, description="0 to 1; null where the method tells none.")


class Sentence(Value):
    """One sentence, or what was shown at once where subtitles have no sentences."""

    text: str
    start: float = Field(description="Seconds from the beginning of the media.")
    end: float = Field(description="Seconds.")
    words: tuple[Word, ...] = Field(default=(), description="Empty where the method does not time words.")


class Transcript(Value):
    """Everything that was said in one upload."""

    version: Literal["transcript_v1"] = VERSION
    language: str | None = Field(default=None, description="A tag of BCP 47, such as en; null: unknown.")
    method: Method
    model: str | None = Field(default=None, description="The model that recognised the speech.")
    duration_seconds: float = Field(description="Length of the media, seconds.")
    confidence: float | None = Field(default=None, description="Mean over the words, 0 to 1; null: unknown.")
    sentences: tuple[Sentence, ...] = Field(default=(), description="In their order. None: nothing is said.")

    @cached_property
    def text(self) -> str:
        """All sentences as one text."""
        return " ".join(sentence.text for sentence in self.sentences)
