"""How an attempt ended, and how that is put on record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mediajobs_dagster.attempts.manifest import Manifest, OutputRecord
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import (
    Blame,
    CancelledError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    MediaJobsError,
)
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.job_types.plan import Child, Output, result_origin
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    Job,
    JobStatus,
    JsonObject,
    NewJob,
    Subject,
    Upload,
    new_id,
    utc_now,
)
from mediajobs_dagster.records import AttemptRecord
from mediajobs_dagster.resilience.retry import Verdict
from mediajobs_dagster.storage import ObjectStat, Storage

_log = logging.getLogger(__name__)

UP_TO_DATE = "up_to_date"

Answer = TypeVar("Answer")


class UpToDate(Exception):  # no error: the outputs are there already
    """The outputs were made before, from the same source with the same parameters, and are still there."""

    def __init__(self, fingerprint: str, outputs: list[OutputRecord]) -> None:
        super().__init__()
        self.fingerprint, self.outputs = fingerprint, outputs


class Interrupted(CancelledError):
    """The worker was told to stop while it made this attempt."""


@dataclass(frozen=True)
class Work:
    """What a successful attempt has done."""

    fingerprint: str
    outputs: tuple[Output, ...]
    children: tuple[Child, ...]
    subject: Subject
    published: list[ObjectStat]
    """Where each output lies now."""


Ending = Work | UpToDate | MediaJobsError


@dataclass(frozen=True, kw_only=True)
class AttemptEnded(AttemptRecord):
    """An attempt is over and on record."""

    job: Job
    attempt_id: str
    status: AttemptStatus
    verdict: Verdict
    """Where the job stands now."""
    manifest: Manifest
    children: tuple[NewJob, ...] = ()
    """The jobs that were asked for with it."""
    error: MediaJobsError | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the job's outputs are there."""
        return self.verdict.status in (JobStatus.COMPLETED, JobStatus.SKIPPED)


def settle(claim: Claim, worker: Worker, recorder: Recorder, ending: Ending) -> AttemptEnded:
    """Close the record, and write it together with the job's new status, new uploads and children, all or nothing."""
    if isinstance(ending, MediaJobsError):
        recorder.add_error(ending)
    status = _attempt_status(ending)
    manifest = recorder.manifest(status)
    verdict = _verdict(claim, worker, ending)
    uploads = _result_uploads(claim, worker, manifest, ending) if isinstance(ending, Work) else {}
    children = _children(claim, worker, ending, uploads) if isinstance(ending, Work) else []
    # As it is on record: redacted, for listeners print it.
    error = type(ending)(manifest.errors[-1].message) if isinstance(ending, MediaJobsError) else None
    row = _row(claim, recorder, manifest, ending, children)
    jobs, ended = worker.history.jobs, verdict
    is_written = _patiently(
        worker,
        lambda: jobs.finish(
            row,
            job_status=ended.status,
            not_before=ended.not_before,
            children=children,
            uploads=list(uploads.values()),
        ),
    )
    if not is_written:
        # It was cancelled, or given to somebody else, while this attempt was at its end.
        verdict = Verdict(_patiently(worker, lambda: jobs.get(claim.job.id)).status)
    if not is_written or isinstance(ending, MediaJobsError):
        withdraw(claim.job, worker.registry, worker.history, lambda: worker.storage)
    return AttemptEnded(
        key=recorder.key,
        job=claim.job,
        attempt_id=claim.attempt.id,
        status=status,
        verdict=verdict,
        manifest=manifest,
        children=tuple(children) if is_written else (),
        error=error,
    )


def withdraw(job: Job, registry: Registry, history: History, storage: Callable[[], Storage]) -> None:
    """Remove what a job published as an upload to be, if it did not come to that.

    A storage that is out of reach is no reason for the attempt not to end: it is logged, and that is all.
    """
    try:
        keys = registry[job.job_type].result_keys(job)
        if not keys or history.jobs.get(job.id).status is JobStatus.PROCESSING:  # somebody else is at it by now
            return
        known = history.uploads.known([result_origin(job.id, key.rpartition("/")[2]) for key in keys])
        for key in set(keys) - {upload.storage_key for upload in known.values()}:
            storage().abandon(key)
    except MediaJobsError as error:
        _log.warning("What job %s published could not be removed: %s", job.id, error)


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


def _verdict(claim: Claim, worker: Worker, ending: Ending) -> Verdict:
    match ending:
        case Work():
            return Verdict(JobStatus.COMPLETED)
        case UpToDate():
            return Verdict(JobStatus.SKIPPED)
        case Interrupted():
            return Verdict(worker.after_interrupt(), utc_now())
        case MediaJobsError():
            policy = worker.registry[claim.job.job_type].retry or worker.retry
            return policy.judge(claim.job, ending, now=utc_now(), chance=worker.chance)


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
            made = {"fingerprint": fingerprint, "outputs": outputs, "children": [each.job_type for each in children]}
            return {**made, "figures": manifest.figures} if manifest.figures else made
        case UpToDate(fingerprint=fingerprint, outputs=outputs):
            return {"skipped": UP_TO_DATE, "fingerprint": fingerprint, "upToDate": [output.key for output in outputs]}
        case MediaJobsError():
            return None


def _result_uploads(claim: Claim, worker: Worker, manifest: Manifest, work: Work) -> dict[str, Upload]:
    """The uploads that outputs became, by key; a repeated attempt finds the one that the first one made."""
    uploads: dict[str, Upload] = {}
    for output, record, stat in zip(work.outputs, manifest.outputs, work.published, strict=True):
        if output.becomes is not None:
            origin = result_origin(claim.job.id, output.filename)
            known = _patiently(worker, partial(worker.history.uploads.find_by_origin, origin))
            uploads[output.key] = Upload(
                id=known.id if known else new_id(),
                role=output.becomes,
                storage_key=output.key,
                filename=output.filename,
                bytes=stat.bytes,
                etag=stat.etag,
                origin=origin,
                media_info=record.media_info,
                created_at=known.created_at if known else utc_now(),
                trace_id=claim.job.trace_id,
            )
    return uploads


def _children(claim: Claim, worker: Worker, work: Work, results: dict[str, Upload]) -> list[NewJob]:
    def request(child: Child, subject: Subject) -> NewJob:
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
        for child in work.children
        for subject in (results.values() if child.on_result else (work.subject,))
    ]


def _patiently(worker: Worker, ask: Callable[[], Answer]) -> Answer:
    """What the history answers. The work is done, so a database that is locked or restarting is waited for.

    As long as the lease lasts: after that somebody else has the job anyway.
    """
    give_up = time.monotonic() + worker.settings.lease_s
    pause = 0.1
    while True:
        try:
            return ask()
        except (DatabaseBusyError, DatabaseUnavailableError):
            if time.monotonic() + pause > give_up:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
