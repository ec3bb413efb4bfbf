"""What one run does: work off the jobs assigned to it, and, started by hand, find out first which those are."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import date

from mediajobs_dagster.attempts.attempt import make_attempt
from mediajobs_dagster.attempts.freshness import fresh_outputs
from mediajobs_dagster.attempts.heartbeat import Heartbeat
from mediajobs_dagster.attempts.subjects import current_etag, resolver_of
from mediajobs_dagster.attempts.threads import AttemptThreads
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import JobStatus, Subject, Upload

_ENQUEUED_AT_ONCE = 500

_log = logging.getLogger(__name__)


def work_off(worker: Worker, job_type: JobType, dispatch_id: str, *, run_id: str, listeners: Listeners) -> RunTotals:
    """Claim and attempt every job of a dispatch, as many side by side as the machine bears.

    What is left when it is interrupted is given back to the queue, or called off with the run.
    """
    totals = RunTotals()
    settings, jobs = worker.settings, worker.history.jobs
    if lacking := job_type.lacking(settings.offers):
        _log.warning("This worker does not offer %s: it leaves its %s jobs to others.", lacking, job_type.name)
        jobs.release(dispatch_id)
        return totals
    try:
        with Heartbeat(worker.history, dispatch_id, lease_s=settings.lease_s) as heartbeat:
            # The lease ran while the run was started. And the answer tells how many jobs there are at most, so that
            # nobody has to ask for one more to learn that there is none.
            assigned = jobs.renew(dispatch_id, lease_s=settings.lease_s)
            left = iter(assigned)

            def attempt_next() -> bool:
                if next(left, None) is None:
                    return False
                claim = jobs.claim(dispatch_id, run_id=run_id, host=worker.host.hostname, lease_s=settings.lease_s)
                if claim is None:
                    return False
                with heartbeat.watching(claim.job.id) as cancellation:
                    totals.add(make_attempt(claim, worker, listeners, cancellation))
                return True

            size = min(worker.side_by_side(job_type), len(assigned))
            AttemptThreads(size, attempt_next, heartbeat.end_all).run()
    except BaseException:
        if worker.after_interrupt() is JobStatus.CANCELLED:
            jobs.cancel_assigned(dispatch_id)
        raise
    finally:
        jobs.release(dispatch_id)
    return totals


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
    """Enqueue, assigned to `dispatch_id`, a job for every subject of that UTC day whose output is missing or stale.

    With `force`, for every subject of the day. Returns how many.
    """
    stale = [
        job_type.request(
            subject,
            trace_id=trace_id,
            max_attempts=worker.settings.max_attempts,
            anew=True,
            force=force,
        )
        for subject in resolver_of(job_type.subject, worker.history).of_day(day)
        if _is_wanted(job_type, subject) and (force or not _is_fresh(worker, job_type, subject))
    ]
    for start in range(0, len(stale), _ENQUEUED_AT_ONCE):
        worker.history.jobs.enqueue(
            stale[start : start + _ENQUEUED_AT_ONCE], dispatch_id=dispatch_id, lease_s=worker.settings.lease_s
        )
    return len(stale)


def _is_wanted(job_type: JobType, subject: Subject) -> bool:
    """Whether a day's run makes it: of an upload, only what it would have got when it was added."""
    return not isinstance(subject, Upload) or job_type.wanted_for(subject)


def _is_fresh(worker: Worker, job_type: JobType, subject: Subject) -> bool:
    etag = current_etag(job_type, subject, worker.history, worker.storage)
    if etag is None:
        return False  # the attempt will say so
    fingerprint = job_type.fingerprint({}, etag)
    return fresh_outputs(worker.history, worker.storage, job_type.name, subject.id, fingerprint) is not None
