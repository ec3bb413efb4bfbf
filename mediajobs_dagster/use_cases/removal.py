"""Deletes uploads: content, outputs and entry. What happened to them stays on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mediajobs_dagster.attempts.freshness import standing_keys
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.models import RESULT, Job, JobStatus, JsonObject, Upload, UploadRole
from mediajobs_dagster.storage import Storage, upload_source_key

_JOBS = 1000


@dataclass(frozen=True)
class UploadDetails:
    """An upload with its jobs, and where things are."""

    upload: Upload
    place: str
    """Of its content: a path on this machine, or an address in the storage."""
    jobs: tuple[Job, ...]
    """Newest first."""
    outputs: tuple[str, ...]
    """Where its current outputs are."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "upload": self.upload.to_json(),
            "place": self.place,
            "jobs": [job.to_json() for job in self.jobs],
            "outputs": list(self.outputs),
        }


@dataclass(frozen=True)
class Removed:
    """What was deleted with an upload, or would be."""

    upload: Upload
    keys: tuple[str, ...]
    """Objects."""
    cancelled: tuple[str, ...]
    """Ids of jobs that waited."""
    is_source_kept: bool
    """Whether its content stays, because it lay in the storage before it was added."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "uploadId": self.upload.id,
            "filename": self.upload.filename,
            "objects": list(self.keys),
            "cancelledJobs": list(self.cancelled),
            "sourceKept": self.is_source_kept,
        }


def details_of(upload: Upload, history: History, place_of: Callable[[str], str]) -> UploadDetails:
    """An upload with its jobs and the places of its objects."""
    jobs = history.jobs.list(JobFilter(subject_id=upload.id), limit=_JOBS)
    outputs = tuple(place_of(key) for key in _output_keys(jobs, history))
    return UploadDetails(upload, place_of(upload.storage_key), tuple(jobs), outputs)


def remove_upload(upload: Upload, history: History, storage: Storage, *, dry_run: bool) -> Removed:
    """Cancel the jobs that wait for an upload, then delete its objects and at last its entry: it can be repeated.

    Raises IllegalTransitionError while one of its jobs is being worked on, and StorageError.
    """
    jobs = history.jobs.list(JobFilter(subject_id=upload.id), limit=_JOBS)
    if busy := [job.id for job in jobs if job.status is JobStatus.PROCESSING]:
        raise IllegalTransitionError(
            f"{upload.filename} is being worked on by job {busy[0]}. Cancel that with `mediajobs jobs cancel`, or wait."
        )
    is_made = upload.role is UploadRole.EXPORT or (upload.origin or "").startswith(RESULT)
    is_ours = is_made or upload.storage_key == upload_source_key(upload.id)
    keys = (*_output_keys(jobs, history), *((upload.storage_key,) if is_ours else ()), *_subtitle_keys(upload))
    waiting = tuple(job.id for job in jobs if job.status.is_waiting)
    if not dry_run:
        for job_id in waiting:
            history.jobs.cancel(job_id)
        for key in keys:
            storage.delete(key)
        history.uploads.remove(upload.id)
    return Removed(upload, keys, waiting, is_source_kept=not is_ours)


def _subtitle_keys(upload: Upload) -> list[str]:
    """The keys of the subtitles that were fetched with an upload."""
    return [each["key"] for each in (upload.details or {}).get("subtitles", ())]


def _output_keys(jobs: list[Job], history: History) -> list[str]:
    """The keys of the current outputs of a subject, which has these jobs."""
    found: dict[str, None] = {}
    for job_type in dict.fromkeys(job.job_type for job in jobs):
        job = next(job for job in jobs if job.job_type == job_type)
        current = history.current.of(job_type, job.subject_id)
        if current:
            found |= dict.fromkeys(standing_keys(current, job, history))
    return list(found)
