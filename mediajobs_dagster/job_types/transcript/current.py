"""The transcript of an upload that is the current one."""

from __future__ import annotations

from mediajobs_dagster.errors import StorageMissingError
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.transcript.documents import JSON_NAME
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.transcripts.model import VERSION, Transcript
from mediajobs_dagster.transcripts.reading import read_transcript

_MOST_BYTES = 256 << 20
"""A talk of a day has 20 MB."""


def current_transcript(history: History, storage: Storage, upload_id: str) -> Transcript | None:
    """What is said in an upload, by the newest success of `transcript_v1`; None if there is none, or it was deleted.

    Raises StorageError and its kinds, and TranscriptError when the object is damaged.
    """
    result = history.current.results(VERSION, [upload_id]).get(upload_id, {})
    keys = [str(output["key"]) for output in result.get("outputs", [])]
    key = next((key for key in keys if key.endswith(f"/{JSON_NAME}")), None)
    try:
        return read_transcript(storage.read(key, limit=_MOST_BYTES)) if key else None
    except StorageMissingError:
        return None
