"""What one run does: work off the jobs assigned to it, and, started by hand, find out first which those are."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

from mediajobs_dagster.attempts.attempt import make_attempt
from mediajobs_dagster.attempts.freshness import fresh_outputs
from mediajobs_dagster.attempts.heartbeat import Heartbeat
from mediajobs_dagster.attempts.observer import Observer
from mediajobs_dagster.attempts.outcome import Outcome
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import JobStatus, Upload

_ENQUEUED_AT_ONCE = 500


def work_off(worker: Worker, dispatch_id: str, *, run_id: str, observer: Observer) -> list[Outcome]:
    """Claim and attempt every job of a dispatch, one after the other.

    What is left when it is interrupted is given back to the queue, or called off with the run.
    """
    outcomes: list[Outcome] = []
    lease_s = worker.settings.lease_s
    try:
        with Heartbeat(worker.history, dispatch_id, lease_s=lease_s) as heartbeat:
            while claim := worker.history.jobs.claim(
                dispatch_id, run_id=run_id, host=worker.host.hostname, lease_s=lease_s
            ):
                with heartbeat.watching(claim.job.id) as cancellation:
                    outcomes.append(make_attempt(claim, worker, observer, cancellation))
    except BaseException:
        if worker.after_interrupt() is JobStatus.CANCELLED:
            worker.history.jobs.cancel_assigned(dispatch_id)
        raise
    finally:
        worker.history.jobs.release(dispatch_id)
    return outcomes


def requeue_run(worker: Worker, job_type: JobType, run_id: str, *, dispatch_id: str) -> int:
    """Take the jobs that another run attempted up again, assigned to `dispatch_id`; returns how many.

    Outputs that are there are made again: whoever executes a run again wants to see it run.
    """
    attempted = worker.history.attempts.iterate(AttemptFilter(run_id=run_id, job_name=job_type.name))
    requeued = 0
    for job_id in {attempt.job_id for attempt in attempted if attempt.job_id}:
        with suppress(IllegalTransitionError):  # it waits or runs elsewhere by now
            worker.history.jobs.retry(job_id, force=True, dispatch_id=dispatch_id, lease_s=worker.settings.lease_s)
            requeued += 1
    return requeued


def enqueue_stale(worker: Worker, job_type: JobType, day: date, *, dispatch_id: str, trace_id: str, force: bool) -> int:
    """Enqueue, assigned to `dispatch_id`, a job for every upload of that UTC day whose output is missing or stale.

    With `force`, for every upload of the day. Returns how many.
    """
    stale = [
        job_type.request(
            upload,
            trace_id=trace_id,
            max_attempts=worker.settings.max_attempts,
            anew=True,
            force=force,
        )
        for upload in worker.history.uploads.of_day(day)
        if force or not _is_fresh(worker, job_type, upload)
    ]
    for start in range(0, len(stale), _ENQUEUED_AT_ONCE):
        worker.history.jobs.enqueue(
            stale[start : start + _ENQUEUED_AT_ONCE], dispatch_id=dispatch_id, lease_s=worker.settings.lease_s
        )
    return len(stale)


def _is_fresh(worker: Worker, job_type: JobType, upload: Upload) -> bool:
    content = worker.storage.find(upload.storage_key)
    if content is None:
        return False  # the attempt will say so
    fingerprint = job_type.fingerprint({}, content.etag)
    return fresh_outputs(worker.history, worker.storage, job_type.name, upload.id, fingerprint) is not None
