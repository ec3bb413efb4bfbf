"""How an attempt ended, and how that is put on record."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mediajobs_dagster.attempts.manifest import Manifest, OutputRecord
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import (
    Blame,
    DatabaseBusyError,
    DatabaseUnavailableError,
    MediaJobsError,
)
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.base import Child, Plan
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    Job,
    JobStatus,
    JsonObject,
    NewJob,
    Upload,
    new_id,
    utc_now,
)
from mediajobs_dagster.resilience.retry import Verdict
from mediajobs_dagster.storage import ObjectStat

UP_TO_DATE = "up_to_date"


class UpToDate(Exception):  # no error: the outputs are there already
    """The outputs were made before, from the same source with the same parameters, and are still there."""

    def __init__(self, fingerprint: str, outputs: list[OutputRecord]) -> None:
        super().__init__()
        self.fingerprint, self.outputs = fingerprint, outputs


@dataclass(frozen=True)
class Work:
    """What a successful attempt has done."""

    fingerprint: str
    plan: Plan
    upload: Upload
    published: list[ObjectStat]


Ending = Work | UpToDate | MediaJobsError


@dataclass(frozen=True)
class Outcome:
    """An attempt that is over and on record."""

    job: Job
    attempt_id: str
    status: AttemptStatus
    verdict: Verdict
    """Where the job stands now."""
    manifest: Manifest
    error: MediaJobsError | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the job's outputs are there."""
        return self.verdict.status in (JobStatus.COMPLETED, JobStatus.SKIPPED)


def settle(claim: Claim, worker: Worker, recorder: Recorder, ending: Ending, *, interrupted: bool = False) -> Outcome:
    """Close the record, and write it together with the job's new status, new uploads and children, all or nothing."""
    if isinstance(ending, MediaJobsError):
        recorder.add_error(ending)
    status = _attempt_status(ending)
    manifest = recorder.manifest(status)
    verdict = _verdict(claim, worker, ending, interrupted=interrupted)
    uploads = _result_uploads(claim, worker, manifest, ending) if isinstance(ending, Work) else {}
    children = _children(claim, worker, ending, uploads) if isinstance(ending, Work) else []
    # As it is on record: redacted, for listeners print it.
    error = type(ending)(manifest.errors[-1].message) if isinstance(ending, MediaJobsError) else None
    row = _row(claim, recorder, manifest, ending, children)
    if not _write(worker, row, verdict, children, list(uploads.values())):
        # It was cancelled, or given to somebody else, while this attempt was at its end.
        verdict = Verdict(worker.history.jobs.get(claim.job.id).status)
    return Outcome(claim.job, claim.attempt.id, status, verdict, manifest, error)


def _attempt_status(ending: Ending) -> AttemptStatus:
    match ending:
        case Work():
            return AttemptStatus.SUCCESS
        case UpToDate():
            return AttemptStatus.SKIPPED
        case MediaJobsError(blame=Blame.CANCELLED):
            return AttemptStatus.CANCELLED
        case MediaJobsError():
            return AttemptStatus.FAILURE


def _verdict(claim: Claim, worker: Worker, ending: Ending, *, interrupted: bool) -> Verdict:
    match ending:
        case Work():
            return Verdict(JobStatus.COMPLETED)
        case UpToDate():
            return Verdict(JobStatus.SKIPPED)
        case MediaJobsError():
            if interrupted:
                return Verdict(worker.after_interrupt(), utc_now())
            return worker.retry.judge(claim.job, ending, now=utc_now(), chance=worker.chance)


def _row(claim: Claim, recorder: Recorder, manifest: Manifest, ending: Ending, children: list[NewJob]) -> Attempt:
    metrics = manifest.metrics
    error = manifest.errors[-1] if manifest.errors else None
    return claim.attempt.model_copy(
        update={
            "status": manifest.status,
            "completed_at": manifest.finished_at,
            "duration_ms": manifest.duration_ms,
            "rtf": metrics.rtf,
            "ffmpeg_ms": metrics.ffmpeg_ms,
            "bytes_in": metrics.s3_bytes_in,
            "bytes_out": metrics.s3_bytes_out,
            "cpu_seconds": recorder.cpu_seconds,
            "max_rss_mb": metrics.mem_rss_mb_max,
            "error_code": error.code if error else None,
            "blame": error.blame if error else None,
            "error": error.message if error else None,
            "result": _result(manifest, ending, children),
            "manifest": manifest.to_json(),
        }
    )


def _result(manifest: Manifest, ending: Ending, children: list[NewJob]) -> JsonObject | None:
    match ending:
        case Work(fingerprint=fingerprint):
            outputs = [output.to_json() for output in manifest.outputs]
            return {"fingerprint": fingerprint, "outputs": outputs, "children": [each.job_type for each in children]}
        case UpToDate(fingerprint=fingerprint, outputs=outputs):
            return {"skipped": UP_TO_DATE, "fingerprint": fingerprint, "upToDate": [output.key for output in outputs]}
        case MediaJobsError():
            return None


def _result_uploads(claim: Claim, worker: Worker, manifest: Manifest, work: Work) -> dict[str, Upload]:
    """The uploads that outputs became, by key; a repeated attempt finds the one that the first one made."""
    uploads: dict[str, Upload] = {}
    for output, record, stat in zip(work.plan.outputs, manifest.outputs, work.published, strict=True):
        if output.becomes is not None:
            origin = f"job:{claim.job.id}/{output.filename}"
            uploads[output.key] = worker.history.uploads.find_by_origin(origin) or Upload(
                id=new_id(),
                role=output.becomes,
                storage_key=output.key,
                filename=output.filename,
                bytes=stat.bytes,
                etag=stat.etag,
                origin=origin,
                media_info=record.media_info,
                created_at=utc_now(),
                trace_id=claim.job.trace_id,
            )
    return uploads


def _children(claim: Claim, worker: Worker, work: Work, results: dict[str, Upload]) -> list[NewJob]:
    def request(child: Child, subject: Upload) -> NewJob:
        return worker.registry[child.job_type].request(
            subject,
            trace_id=claim.job.trace_id,
            params=child.params,
            priority=claim.job.priority,
            parent_job_id=claim.job.id,
            max_attempts=claim.job.max_attempts,
        )

    return [
        request(child, subject)
        for child in work.plan.children
        for subject in (results.values() if child.on_result else (work.upload,))
    ]


def _write(worker: Worker, row: Attempt, verdict: Verdict, children: list[NewJob], uploads: list[Upload]) -> bool:
    # The work is done: a database that is locked or restarting is waited for as long as the lease lasts, because after
    # that somebody else has the job anyway.
    give_up = time.monotonic() + worker.settings.lease_s
    pause = 0.1
    while True:
        try:
            return worker.history.jobs.finish(
                row, job_status=verdict.status, not_before=verdict.not_before, children=children, uploads=uploads
            )
        except (DatabaseBusyError, DatabaseUnavailableError):
            if time.monotonic() + pause > give_up:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
