"""The attempt's full record, as one JSON document with a published schema.

A manifest is enough to run the same ffmpeg command again: argv is relative to a scratch folder, and `files` says which
object stands behind each name in it.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Final

from pydantic import Field

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.models import (
    AttemptStatus,
    FfmpegCommand,
    HostFacts,
    JsonObject,
    MediaInfo,
    RtfBasis,
    ServiceCall,
    StorageOp,
    Value,
)

SCHEMA_VERSION: Final = 2
MAX_COMMANDS: Final = 20
MAX_STORAGE_OPS: Final = 200
MAX_CALLS: Final = 200
MAX_ERRORS: Final = 20


class StageRecord(Value):
    """One part of an attempt."""

    name: str = Field(
        description="check, fetch, probe, prepare, plan, ffmpeg, verify, publish, or the name of a call's step."
    )
    started_at: datetime = Field(description="When it began.")
    duration_ms: int = Field(description="How long it took, milliseconds.")
    status: str = Field(description="ok, or the code of the error that ended it.")


class ErrorRecord(Value):
    """One thing that went wrong."""

    code: str = Field(description="A stable code, such as INPUT_CORRUPT.")
    message: str = Field(description="What happened, to what, and what to do; secrets redacted.")
    blame: Blame = Field(description="Whose fault it is.")
    retryable: bool = Field(description="Whether a further attempt can help.")
    stage: str | None = Field(default=None, description="The stage in which it happened.")


class OutputRecord(Value):
    """One published object."""

    key: str = Field(description="Where the object lies in the storage.")
    bytes: int = Field(description="Its size.")
    sha256: str = Field(description="Its SHA-256, hexadecimal.")
    media_info: MediaInfo | None = Field(
        default=None, description="What verification found in it; null where it is no media."
    )


class InputMetrics(Value):
    """The source, in the few figures that cost depends on."""

    duration_seconds: float = Field(description="Length, seconds.")
    video_codec: str | None = Field(default=None, description="Codec of the first video track.")
    audio_codec: str | None = Field(default=None, description="Codec of the first audio track.")
    width: int | None = Field(default=None, description="Coded width, pixels.")
    height: int | None = Field(default=None, description="Coded height, pixels.")
    fps: float | None = Field(default=None, description="Average frames a second.")
    bitrate_kbps: float | None = Field(default=None, description="Bit rate of the whole file, kbit/s.")

    @classmethod
    def of(cls, info: MediaInfo) -> InputMetrics:
        """The figures of that media info."""
        video, audio = info.main_video, info.main_audio
        return cls(
            duration_seconds=info.duration_seconds,
            video_codec=video.codec if video else None,
            audio_codec=audio.codec if audio else None,
            width=video.width if video else None,
            height=video.height if video else None,
            fps=video.fps if video else None,
            bitrate_kbps=info.bitrate_kbps,
        )


class Metrics(Value):
    """What the attempt took, in numbers."""

    rtf: float | None = Field(default=None, description="Media seconds / processing seconds; 2.0 is twice real time.")
    media_seconds: float | None = Field(default=None, description="The media seconds that the real-time factor counts.")
    rtf_basis: RtfBasis = Field(default=RtfBasis.INPUT, description="Whose media seconds: the input's or the output's.")
    ffmpeg_ms: int = Field(default=0, description="Wall time of the commands of the stage ffmpeg, milliseconds.")
    s3_bytes_in: int = Field(default=0, description="Bytes read from the storage, of whatever kind.")
    s3_bytes_out: int = Field(default=0, description="Bytes written to the storage, of whatever kind.")
    cpu_pct_avg: float = Field(default=0.0, description="CPU time of ffmpeg over its wall time, percent of one core.")
    mem_rss_mb_max: float = Field(default=0.0, description="Peak resident memory of the largest ffmpeg, MiB.")
    input: InputMetrics | None = Field(default=None, description="The primary source; null where none was probed.")
    host: HostFacts = Field(description="The machine.")


class TimeLedger(Value):
    """Where the time went, milliseconds. The parts after `queue_ms` add up to the attempt's `duration_ms`."""

    queue_ms: int = Field(description="How long the job waited before the attempt.")
    download_ms: int = Field(default=0, description="Asking the storage, and reading sources from it.")
    probe_ms: int = Field(default=0, description="Finding out what the sources hold.")
    plan_ms: int = Field(default=0, description="Deciding what to run.")
    prepare_ms: int = Field(default=0, description="Work of our own: setting texts, drawing, writing files.")
    service_ms: int = Field(default=0, description="Waiting for outside services.")
    ffmpeg_ms: int = Field(default=0, description="Running ffmpeg.")
    verify_ms: int = Field(default=0, description="Checking what was made.")
    upload_ms: int = Field(default=0, description="Writing outputs to the storage.")
    other_ms: int = Field(default=0, description="What is left over.")


class Versions(Value):
    """What made the attempt; empty where the worker died before it could tell."""

    mediajobs: str | None = Field(default=None, description="Version of mediajobs.")
    ffmpeg: str | None = Field(default=None, description="Version of ffmpeg; null where none was needed.")


class Truncated(Value):
    """How many entries a cap cut out of the middle of each list."""

    ffmpeg_commands: int = 0
    s3_ops: int = 0
    calls: int = 0
    errors: int = 0


class Manifest(Value):
    """Everything that is known about one attempt."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of this format.")
    job_id: str | None = Field(description="The job.")
    job_type: str = Field(description="Its job type.")
    attempt: int = Field(description="Number of the attempt at the job, from 1.")
    trace_id: str | None = Field(description="The trace.")
    run_id: str | None = Field(description="The Dagster run.")
    status: AttemptStatus = Field(description="How the attempt ended.")
    started_at: datetime = Field(description="When the job was claimed.")
    finished_at: datetime = Field(description="When the record was closed.")
    duration_ms: int = Field(description="From the start to the end, milliseconds.")
    queue_ms: int = Field(description="How long the job waited before, milliseconds.")
    input_summary: JsonObject = Field(description="The subject and the parameters, in short.")
    stages: tuple[StageRecord, ...] = Field(default=(), description="The parts of the attempt, in their order.")
    ffmpeg_commands: tuple[FfmpegCommand, ...] = Field(
        default=(), max_length=MAX_COMMANDS, description="Every process that was run, probes included."
    )
    s3_ops: tuple[StorageOp, ...] = Field(
        default=(), max_length=MAX_STORAGE_OPS, description="Operations on any kind of storage, S3 or not."
    )
    calls: tuple[ServiceCall, ...] = Field(
        default=(), max_length=MAX_CALLS, description="Calls of outside services, each with all of its tries."
    )
    outputs: tuple[OutputRecord, ...] = Field(default=(), description="What was published.")
    figures: JsonObject = Field(
        default_factory=dict, description="What the steps reported, such as how many entries they added."
    )
    errors: tuple[ErrorRecord, ...] = Field(
        default=(), max_length=MAX_ERRORS, description="What went wrong; the last one ended the attempt."
    )
    metrics: Metrics = Field(description="What it took, in numbers.")
    time_ledger: TimeLedger = Field(description="Where the time went.")
    versions: Versions = Field(description="What made it.")
    files: dict[str, str] = Field(default_factory=dict, description="Name in argv → key of the object it stands for.")
    notes: tuple[str, ...] = Field(default=(), description="What a person should know although it is no error.")
    truncated: Truncated = Field(default=Truncated(), description="What the caps cut out.")

    @property
    def media(self) -> InputMetrics | None:
        """The media that the attempt is about: what it made, where that counts, as for an export; else its source."""
        if self.metrics.rtf_basis is RtfBasis.INPUT:
            return self.metrics.input
        made = (output.media_info for output in self.outputs if output.media_info)
        return next((InputMetrics.of(info) for info in made), None)


def manifest_schema() -> JsonObject:
    """The JSON Schema that every manifest keeps to."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mediajobs attempt manifest, version {SCHEMA_VERSION}",
        **{name: value for name, value in Manifest.model_json_schema(mode="serialization").items() if name != "title"},
    }


if __name__ == "__main__":
    # python -m mediajobs_dagster.attempts.manifest > docs/manifest.schema.json
    sys.stdout.write(json.dumps(manifest_schema(), indent=2) + "\n")
