"""The inputs of a trial: a job on a small clip, after a failure that no message explains."""

from __future__ import annotations

from datetime import UTC, datetime

from mediajobs_dagster.attempts.subjects import AttemptSource, Inputs
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.media.trial_clip import FILENAME
from mediajobs_dagster.models import MediaInfo, Upload, UploadRole
from mediajobs_dagster.storage import ObjectStat

_ID = "rehearsal"
_MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)


def inputs_of_clip(job_type: JobType, info: MediaInfo) -> Inputs | None:
    """The inputs of a job on the trial clip, which holds `info`; None if such jobs cannot be tried on it."""
    clip = Upload(
        id=_ID,
        role=UploadRole.SOURCE,
        storage_key=FILENAME,
        filename=FILENAME,
        bytes=info.bytes,
        etag=_ID,
        media_info=info,
        created_at=_MADE_AT,
        trace_id=_ID,
    )
    subject = job_type.rehearsal(clip)
    if subject is None:
        return None
    content = ObjectStat(clip.storage_key, clip.bytes, clip.etag, clip.created_at)
    sources = tuple(AttemptSource(clip, use, content) for use in job_type.source_uses(subject))
    return Inputs(subject, sources, clip.etag)
