"""Reads a transcript: its JSON document, and what subtitles say."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from mediajobs_dagster.fault_lists import listed
from mediajobs_dagster.transcripts.model import Method, Transcript
from mediajobs_dagster.transcripts.sentences import is_spaced, sentences_of_cues
from mediajobs_dagster.transcripts.subtitles import Cue


class TranscriptError(ValueError):
    """The document is no transcript that can be read."""


def read_transcript(content: bytes) -> Transcript:
    """The transcript in a document `transcript.json`. Raises TranscriptError, which lists its faults."""
    try:
        return Transcript.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        faults = listed(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in found)
        raise TranscriptError(f"This is no transcript of version transcript_v1: {faults}.") from error


def transcript_of(cues: Sequence[Cue], *, method: Method, language: str | None, duration_seconds: float) -> Transcript:
    """What the subtitles of a media file say. What lies beyond its end, `duration_seconds`, is left out; 0: unknown."""
    within = [cue for cue in cues if not duration_seconds or cue.start < duration_seconds]
    sentences = sentences_of_cues(within, spaced=is_spaced(language))
    return Transcript(language=language, method=method, duration_seconds=duration_seconds, sentences=sentences)
