"""What the use cases return where no model does: frozen values, each with its JSON form.

With `--json`, the command line prints exactly this JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.attempts.forecast import Forecast
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.intake.export_requests import Preview
from mediajobs_dagster.models import Attempt, Job, JobProgress, JobStatus, JsonObject
from mediajobs_dagster.use_cases.references import NamedJob


@dataclass(frozen=True)
class JobDetails:
    """A job with its attempts and its children."""

    named: NamedJob
    attempts: tuple[Attempt, ...]
    """Oldest first, with manifests."""
    children: tuple[NamedJob, ...]

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.named.job

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "job": self.named.to_json(),
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "children": [child.to_json() for child in self.children],
        }


@dataclass(frozen=True)
class AttemptDetails:
    """An attempt with its manifest, or of one that is under way how far it is."""

    attempt: Attempt
    """Without the manifest."""
    name: str | None
    """What people call the subject; None: it has no name, or was deleted."""
    manifest: Manifest | None
    """The full record; None: the attempt is under way, or it is a dispatch that was skipped or whose run failed."""
    progress: JobProgress | None
    """As of the latest heartbeat; None: the attempt is over, or there was no heartbeat yet."""
    outputs: tuple[str, ...]
    """Paths on this machine, or addresses in the storage."""
    is_replaced: bool = False
    """Whether a newer attempt has replaced the outputs, so that they are gone."""

    def to_json(self) -> JsonObject:
        """The manifest's JSON form; without a manifest, that of the attempt and its progress."""
        if self.manifest:
            return self.manifest.to_json()
        return {**self.attempt.to_json(), "progress": self.progress.to_json() if self.progress else None}


@dataclass(frozen=True)
class JobResult:
    """A job, its latest attempt, and where its outputs are."""

    job: Job
    subject: str
    """The subject's name for people: the file name of an upload, the title of a timeline."""
    latest: Attempt | None
    """The latest attempt; None if there is none yet."""
    outputs: tuple[str, ...]
    """Paths on this machine, or addresses in the storage."""

    @property
    def is_completed(self) -> bool:
        """Whether the job has its output."""
        return self.job.status is JobStatus.COMPLETED

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        latest = self.latest
        return {
            "jobId": self.job.id,
            "jobType": self.job.job_type,
            "subjectName": self.subject,
            "status": self.job.status,
            "durationMs": latest.duration_ms if latest else None,
            "rtf": latest.rtf if latest else None,
            "error": latest.error if latest else None,
            "outputs": list(self.outputs),
        }


@dataclass(frozen=True)
class TraceResult:
    """The jobs of a trace and their results, in the order they were created."""

    trace_id: str
    jobs: tuple[JobResult, ...]

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"traceId": self.trace_id, "jobs": [job.to_json() for job in self.jobs]}


@dataclass(frozen=True)
class ExportPlan:
    """The commands that would render a timeline, with a forecast of time and size."""

    preview: Preview
    commands: tuple[tuple[str, ...], ...]
    """Each one's whole argv, guards included."""
    forecast: Forecast | None
    """From earlier exports with the same options; None if there are none."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        layout = self.preview.layout
        return {
            "canvas": {"width": layout.width, "height": layout.height, "fps": str(layout.fps)},
            "frames": layout.frames,
            "durationSeconds": float(layout.seconds),
            "inputs": [
                {"name": name, "uploadId": use.upload_id, "access": use.access}
                for name, use in self.preview.inputs.items()
            ],
            "commands": [list(command) for command in self.commands],
            "memoryBytes": self.preview.memory_bytes,
            "forecast": self.forecast.to_json() if self.forecast else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class WrittenTimeline:
    """A timeline that was written for other programs."""

    path: Path
    notes: tuple[str, ...] = ()
    """What could not be carried over."""

    def to_json(self) -> JsonObject:
        """The JSON form."""
        return {"written": str(self.path), "notes": list(self.notes)}
