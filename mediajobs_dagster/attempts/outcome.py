"""How an attempt ended, and how its end is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mediajobs_dagster.attempts.cohort import cohort_of
from mediajobs_dagster.attempts.manifest import Manifest, OutputRecord
from mediajobs_dagster.attempts.measures import PERSIST_FAILURES, counted_once, measures_of
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.attempts.spool import End
from mediajobs_dagster.attempts.withdrawal import remove, remove_replaced, uploads_of
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import (
    Blame,
    CancelledError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    DiskFullError,
    MediaJobsError,
    QuotaExhaustedError,
    WorkerLostError,
)
from mediajobs_dagster.history import Claim, Finished
from mediajobs_dagster.job_types.plan import Child, Output
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    Job,
    JobStatus,
    JsonObject,
    NewJob,
    Subject,
    Tick,
    Upload,
    new_id,
    result_origin,
    utc_now,
)
from mediajobs_dagster.records import AttemptRecord
from mediajobs_dagster.resilience.quota import skipped_result
from mediajobs_dagster.resilience.retry import Past, RetryPolicy, Verdict
from mediajobs_dagster.storage import ObjectStat, Storage

UP_TO_DATE = "up_to_date"

_PASSING = (DatabaseBusyError, DatabaseUnavailableError, DiskFullError)
"""What may be over soon, and keeps the database from taking a record."""

Answer = TypeVar("Answer")


class UpToDate(Exception):  # not an error: the outputs exist already
    """The outputs were made before, from the same source with the same parameters, and still exist."""

    def __init__(self, fingerprint: str, outputs: list[OutputRecord], subject: Subject) -> None:
        super().__init__()
        self.fingerprint, self.outputs, self.subject = fingerprint, outputs, subject


class NotStarted(Exception):  # not an error: it would not fit into what is left of a quota
    """Too little is left of the quota of a service."""

    def __init__(self, shortage: QuotaExhaustedError) -> None:
        super().__init__()
        self.shortage = shortage


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
    """The object of each output."""
    also_wanted: bool
    """Whether the uploads that outputs become get the jobs they are good for."""


Ending = Work | UpToDate | NotStarted | MediaJobsError


@dataclass(frozen=True, kw_only=True)
class AttemptEnded(AttemptRecord):
    """An attempt has ended and is recorded."""

    job: Job
    """The job, as it was claimed."""
    attempt_id: str
    """The attempt."""
    status: AttemptStatus
    """How the attempt ended."""
    verdict: Verdict
    """The new status of the job."""
    manifest: Manifest
    """The full record."""
    children: tuple[NewJob, ...] = ()
    """The child jobs that were enqueued with it."""
    error: MediaJobsError | None = None
    """What ended it; None: nothing went wrong."""

    is_stale: bool = False
    """Whether the job had been cancelled, or given to another worker, before the attempt ended. Then nothing that the
    attempt made counts, and `verdict` is the job's status of now."""

    @property
    def title(self) -> str:
        """The name of the file or of the timeline; the subject's id where the attempt did not come to know it."""
        summary = self.manifest.input_summary
        return str(summary.get("filename") or summary.get("title") or self.job.subject_id)

    @property
    def concerns_operators(self) -> bool:
        """Whether operators have to act. Whatever fails a job of a schedule does: no uploader can mend it."""
        if self.error is None or self.error.blame is Blame.CANCELLED:
            return False
        return self.error.blame.concerns_operators or Tick.is_id(self.job.subject_id)

    @property
    def succeeded(self) -> bool:
        """Whether nothing is left to do: this attempt made or found the outputs, or was skipped for want of quota."""
        return not self.is_stale and self.verdict.status in (JobStatus.COMPLETED, JobStatus.SKIPPED)


def settle(claim: Claim, worker: Worker, recorder: Recorder, ending: Ending) -> AttemptEnded:
    """Close the record, and write it with the job's new status, new uploads and children, in one transaction."""
    if isinstance(ending, MediaJobsError):
        # Before the end is recorded: if the worker dies in between, recovery still finds an attempt that is under way.
        _withdraw(worker, recorder)
    verdict = _verdict(claim, worker, ending)
    if isinstance(ending, MediaJobsError):
        if verdict.note:
            ending = ending.with_message(f"{ending.message} {verdict.note}")
        recorder.add_error(ending)
    elif isinstance(ending, NotStarted):
        recorder.note(ending.shortage.message)
    manifest = recorder.manifest(_attempt_status(ending))
    known = _known_results(claim, worker, ending) if isinstance(ending, Work) else {}
    uploads = _result_uploads(claim, manifest, ending, known) if isinstance(ending, Work) else {}
    children = _children(claim, worker, ending, uploads) if isinstance(ending, Work) else []
    children += _follow_up(claim, worker, ending, uploads) if isinstance(ending, Work | UpToDate) else []
    row = _row(claim, worker, recorder, manifest, ending, children)
    end = End(
        attempt=row,
        job_status=verdict.status,
        pause_s=verdict.pause_s,
        children=tuple(children),
        uploads=tuple(uploads.values()),
        measures=measures_of(recorder, worker.measured),
    )
    finished = _record(worker, end)
    if finished is None:
        return _give_up(claim, worker, recorder, ending)
    _remove_replaced(known.values(), uploads, lambda: worker.storage)
    if isinstance(ending, Work):
        remove(recorder.checkpoints, lambda: worker.storage)
    if finished.replaced is not None:
        remove_replaced(finished.replaced, worker.history, lambda: worker.storage)
    return AttemptEnded(
        key=recorder.key,
        job=claim.job,
        attempt_id=claim.attempt.id,
        status=manifest.status,
        verdict=verdict,
        manifest=manifest,
        children=tuple(children),
        error=_recorded_error(ending, manifest),
    )


def _give_up(claim: Claim, worker: Worker, recorder: Recorder, ending: Ending) -> AttemptEnded:
    """End an attempt whose job was cancelled, or given to another worker, while the attempt was ending."""
    status = _patiently(worker, lambda: worker.history.jobs.get(claim.job.id)).status
    if not isinstance(ending, MediaJobsError):
        _withdraw(worker, recorder)
        is_cancelled = status is JobStatus.CANCELLED
        ending = CancelledError(_CANCELLED) if is_cancelled else WorkerLostError(_TAKEN_AWAY)
        recorder.add_error(ending)
    is_lost = isinstance(ending, WorkerLostError)
    manifest = recorder.manifest(AttemptStatus.LOST if is_lost else _attempt_status(ending))
    row = _row(claim, worker, recorder, manifest, ending, [])
    measures = measures_of(recorder, worker.measured)
    _patiently(worker, lambda: worker.history.leases.give_up(row, measures=measures))
    return AttemptEnded(
        key=recorder.key,
        job=claim.job,
        attempt_id=claim.attempt.id,
        status=manifest.status,
        verdict=Verdict(status),
        manifest=manifest,
        error=_recorded_error(ending, manifest),
        is_stale=True,
    )


_CANCELLED = "The job was cancelled while this attempt was ending. What it made was removed."
_TAKEN_AWAY = "The job was taken away: its lease had run out. What this attempt made was removed."


def _recorded_error(ending: Ending, manifest: Manifest) -> MediaJobsError | None:
    """The error as it is recorded: redacted, because listeners print it."""
    return ending.with_message(manifest.errors[-1].message) if isinstance(ending, MediaJobsError) else None


def _withdraw(worker: Worker, recorder: Recorder) -> None:
    """Remove what the attempt has published; from then on its record names no output."""
    remove(recorder.publishing, lambda: worker.storage)
    recorder.outputs.clear()


def _remove_replaced(known: Iterable[Upload], made: Mapping[str, Upload], storage: Callable[[], Storage]) -> None:
    """Remove the objects of an earlier attempt at the job that the uploads no longer point at."""
    remove([upload.storage_key for upload in known if upload.storage_key not in made], storage)


def _attempt_status(ending: Ending) -> AttemptStatus:
    match ending:
        case Work():
            return AttemptStatus.SUCCESS
        case UpToDate() | NotStarted():
            return AttemptStatus.SKIPPED
        case MediaJobsError(blame=Blame.CANCELLED):
            return AttemptStatus.CANCELLED
        case MediaJobsError():
            return AttemptStatus.FAILURE


def _verdict(claim: Claim, worker: Worker, ending: Ending) -> Verdict:
    match ending:
        case Work():
            return Verdict(JobStatus.COMPLETED)
        case UpToDate() | NotStarted():
            return Verdict(JobStatus.SKIPPED)
        case Interrupted():
            return Verdict(worker.after_interrupt())
        case MediaJobsError():
            policy = worker.registry.retry_policy(claim.job.job_type, worker.retry)
            return policy.judge(claim.job, ending, chance=worker.chance, past=_past(claim, worker, ending, policy))


def _past(claim: Claim, worker: Worker, error: MediaJobsError, policy: RetryPolicy) -> Past:
    if error.blame is Blame.CANCELLED or not error.retryable or claim.attempt.attempt == 1:
        return Past()
    try:
        return policy.past(worker.history, claim.job)
    except _PASSING:
        # Nobody can ask now, and the end has to be recorded: it counts as if outages had ended all attempts before.
        return Past(outages=claim.job.attempts - 1)


def _row(
    claim: Claim,
    worker: Worker,
    recorder: Recorder,
    manifest: Manifest,
    ending: Ending,
    children: list[NewJob],
) -> Attempt:
    metrics = manifest.metrics
    error = manifest.errors[-1] if manifest.errors else None
    shortage = ending.shortage if isinstance(ending, NotStarted) else None
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
            **cohort_of(manifest, side_by_side=_side_by_side(claim, worker)),
            "error_code": shortage.code if shortage else error.code if error else None,
            "blame": error.blame if error else None,
            "error": shortage.message if shortage else error.message if error else None,
            "result": _result(manifest, ending, children),
            "manifest": manifest.to_json(),
        }
    )


def _side_by_side(claim: Claim, worker: Worker) -> int | None:
    """How many attempts at that type the worker makes at once; None for an unknown type."""
    named = (each for each in worker.registry if each.name == claim.job.job_type)
    return next((worker.side_by_side(job_type) for job_type in named), None)


def _result(manifest: Manifest, ending: Ending, children: list[NewJob]) -> JsonObject | None:
    match ending:
        case Work(fingerprint=fingerprint):
            outputs = [output.to_json() for output in manifest.outputs]
            made = {"fingerprint": fingerprint, "outputs": outputs, "children": [each.job_type for each in children]}
            return {**made, "figures": manifest.figures} if manifest.figures else made
        case UpToDate(fingerprint=fingerprint, outputs=outputs):
            return {"skipped": UP_TO_DATE, "fingerprint": fingerprint, "upToDate": [output.key for output in outputs]}
        case NotStarted(shortage=shortage):
            return skipped_result(shortage)
        case MediaJobsError():
            return None


def _known_results(claim: Claim, worker: Worker, work: Work) -> dict[str, Upload]:
    """The uploads that an earlier attempt at the job made, by origin."""
    origins = [result_origin(claim.job.id, output.filename) for output in work.outputs if output.becomes]
    return _patiently(worker, lambda: worker.history.uploads.known(origins)) if origins else {}


def _result_uploads(claim: Claim, manifest: Manifest, work: Work, known: Mapping[str, Upload]) -> dict[str, Upload]:
    """The uploads that the outputs become, by key; an upload of an earlier attempt keeps its id."""
    uploads: dict[str, Upload] = {}
    for output, record, stat in zip(work.outputs, manifest.outputs, work.published, strict=True):
        if output.becomes is not None:
            origin = result_origin(claim.job.id, output.filename)
            earlier = known.get(origin)
            uploads[output.key] = Upload(
                id=earlier.id if earlier else new_id(),
                role=output.becomes,
                storage_key=output.key,
                filename=output.upload_name,
                bytes=stat.bytes,
                etag=stat.etag,
                origin=origin,
                media_info=record.media_info,
                details=output.details,
                created_at=earlier.created_at if earlier else utc_now(),
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

    asked = [
        request(child, subject)
        for child in work.children
        for subject in (results.values() if child.on_result else (work.subject,))
    ]
    if not work.also_wanted:
        return asked
    fitting = ((upload, each) for upload in results.values() for each in worker.registry.of_uploads())
    return [*asked, *(request(Child(each.name), upload) for upload, each in fitting if each.gets(upload))]


def _follow_up(claim: Claim, worker: Worker, ending: Work | UpToDate, made: Mapping[str, Upload]) -> list[NewJob]:
    """What is to be done next, and after that the rest: on the upload that the output became, or on the same subject.

    Where the output was up to date, that is the upload which it became when it was made.
    """
    job = claim.job
    if not job.follow_up:
        return []
    subjects: Sequence[Subject] = tuple(made.values())
    if isinstance(ending, UpToDate):
        subjects = _patiently(worker, lambda: _earlier_results(worker, job.job_type, ending.subject))
    first, *rest = job.follow_up
    return [
        worker.registry[first.job_type].request(
            subject,
            trace_id=job.trace_id,
            params=first.params,
            priority=job.priority,
            parent_job_id=job.id,
            max_attempts=job.max_attempts,
            anew=True,
            force=first.force,
            follow_up=rest,
        )
        for subject in subjects or (ending.subject,)
    ]


def _earlier_results(worker: Worker, job_type: str, subject: Subject) -> list[Upload]:
    made_by = worker.history.current.of(job_type, subject.id)
    return uploads_of(made_by, worker.history) if made_by else []


def _record(worker: Worker, end: End) -> Finished | None:
    """Record the end of an attempt; None when the job does not belong to the attempt any more.

    While the database cannot take it, it is kept in a file too, in case this process does not live to see it taken.
    Raises the database's error when that lasts for longer than the lease.
    """
    try:
        return end.record(worker.history)
    except _PASSING:
        pass  # what follows tries again
    if worker.settings.metrics:
        end = end.model_copy(update={"measures": (*end.measures, *counted_once(PERSIST_FAILURES))})
    with worker.spool.kept(end) as kept:
        finished = _patiently(worker, lambda: end.record(worker.history))
        kept.forget()
    return finished


def _patiently(worker: Worker, ask: Callable[[], Answer]) -> Answer:
    """Call `ask`, and try again while the database is locked, restarting or full: the work must not be lost.

    It gives up when the lease has run out, because another worker may have the job then.
    """
    give_up = time.monotonic() + worker.settings.lease_s
    pause = 0.1
    while True:
        try:
            return ask()
        except _PASSING:
            if time.monotonic() + pause > give_up:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
