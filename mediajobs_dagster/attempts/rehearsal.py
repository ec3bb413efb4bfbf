"""A small test clip, on which a job type is tried after a failure that no message explains."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mediajobs_dagster.attempts.subjects import AttemptSource, Inputs
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.media.command import Command, Generated, Output
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import Upload, UploadRole
from mediajobs_dagster.storage import ObjectStat

FILENAME = "clip.mp4"
_ID = "rehearsal"
_MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)


def make_test_clip(runner: Runner, folder: Path) -> Upload:
    """Write a clip of 1 s into `folder` and return it as an upload, which is not registered.

    Takes about 0.1 s. Raises what the runner raises.
    """
    picture = Generated("testsrc=size=320x180:rate=30:duration=1")
    sound = Generated("sine=frequency=440:sample_rate=48000:duration=1")
    # Encoders that every ffmpeg has: the clip must not depend on a library.
    options = ("-c:v", "mpeg4", "-q:v", "3", "-pix_fmt", "yuv420p", "-c:a", "aac")
    runner.run(Command((picture, sound), (Output(FILENAME, options),)), cwd=folder, report=lambda _: None)
    size = (folder / FILENAME).stat().st_size
    return Upload(
        id=_ID,
        role=UploadRole.SOURCE,
        storage_key=FILENAME,
        filename=FILENAME,
        bytes=size,
        etag=_ID,
        media_info=probe(runner, FILENAME, cwd=folder, size=size),
        created_at=_MADE_AT,
        trace_id=_ID,
    )


def inputs_of_clip(job_type: JobType, clip: Upload) -> Inputs | None:
    """The inputs of a job on the clip; None if jobs of that type cannot be tried on it."""
    subject = job_type.rehearsal(clip)
    if subject is None:
        return None
    content = ObjectStat(clip.storage_key, clip.bytes, clip.etag, clip.created_at)
    sources = tuple(AttemptSource(clip, use, content) for use in job_type.source_uses(subject))
    return Inputs(subject, sources, clip.etag)
