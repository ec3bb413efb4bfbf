"""How loud the sound of an output is over its time, from the envelope that a job made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import BaseModel, Field, ValidationError

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.errors import StorageMissingError
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.models import Attempt, JsonObject, result_origin
from mediajobs_dagster.storage import Storage

_LARGEST = 16 << 20
"""A larger envelope is not read: it would be of days of sound."""


@dataclass(frozen=True)
class Envelope:
    """The loudness of a file."""

    seconds: float
    points: tuple[float, ...]
    """From 0 to 1, at even distances."""
    attempt_id: str
    """What made it."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"seconds": self.seconds, "points": list(self.points), "attemptId": self.attempt_id}


def envelope_of(attempt: Attempt, history: History, storage: Storage) -> Envelope | None:
    """The envelope that an attempt made, else the current one of what it worked on, or of the video it made."""
    made = _of_subject(attempt, history)
    key = next((each for each in keys_of(made) if each.endswith(".json")), None) if made else None
    if made is None or key is None:
        return None
    try:
        stat = storage.stat(key)
        if stat.bytes > _LARGEST:
            return None
        document = _Document.model_validate_json(storage.read_part(stat, 0, stat.bytes))
    except (StorageMissingError, ValidationError):
        return None
    points = tuple(each.v for each in document.points)
    return Envelope(document.duration_seconds, points, made.id) if points else None


class _Point(BaseModel):
    v: float = Field(ge=0, le=1)


class _Document(BaseModel):
    """Of the document, what is drawn. What damages it must not take the page away."""

    duration_seconds: float = Field(alias="durationSeconds", ge=0, allow_inf_nan=False)
    points: list[_Point]


def _of_subject(attempt: Attempt, history: History) -> Attempt | None:
    if attempt.job_name == AudioEnvelope.name:
        return attempt
    if attempt.job_id is None:
        return None
    for key in keys_of(attempt):
        upload = history.uploads.find_by_origin(result_origin(attempt.job_id, PurePosixPath(key).name))
        if upload and (found := history.current.of(AudioEnvelope.name, upload.id)):
            return found
    return history.current.of(AudioEnvelope.name, history.jobs.get(attempt.job_id).subject_id)
