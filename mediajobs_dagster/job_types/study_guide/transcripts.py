"""Reads the transcript that a guide is written from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from mediajobs_dagster.errors import InputTooLargeError, InputUnsupportedError
from mediajobs_dagster.study.model import Chapter
from mediajobs_dagster.study.talk import Talk
from mediajobs_dagster.transcripts.model import Method, Sentence, Transcript

MOST_BYTES = 256 << 20
"""Some hundred hours of timed words."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True)


class _Said(_Lenient):
    """A sentence without its words, which no guide needs: they are most of a transcript."""

    text: str
    start: float = Field(allow_inf_nan=False)
    end: float = Field(allow_inf_nan=False)


class _Sentences(_Lenient):
    version: Literal["transcript_v1"]
    language: str | None = None
    duration_seconds: float = Field(allow_inf_nan=False)
    sentences: tuple[_Said, ...] = ()


def read_talk(path: Path, title: str, chapters: tuple[Chapter, ...] = ()) -> tuple[Talk, str]:
    """The talk, and a digest of its transcript. Raises an InputError for a transcript that is not usable."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InputTooLargeError(f"The transcript has {size:,} bytes; at most {MOST_BYTES:,} are read.")
    data = path.read_bytes()
    try:
        said = _Sentences.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InputUnsupportedError(
            f"The transcript has a form that is not known ({fault['msg']}). Have it made again."
        ) from error
    transcript = Transcript(
        language=said.language,
        method=Method.SUBTITLES,  # a guide does not depend on it
        duration_seconds=max(0.0, said.duration_seconds),
        sentences=tuple(
            Sentence.model_construct(text=each.text, start=each.start, end=each.end, words=())
            for each in said.sentences
        ),
    )
    return Talk.of(transcript, title, chapters), hashlib.sha256(data).hexdigest()
