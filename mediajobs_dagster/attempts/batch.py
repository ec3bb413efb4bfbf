"""What one run does: work off the jobs assigned to it, and, started by hand, find out first which those are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from functools import partial
from itertools import islice, repeat

from mediajobs_dagster.attempts.attempt import make_attempt
from mediajobs_dagster.attempts.heartbeat import Heartbeat
from mediajobs_dagster.attempts.staleness import Staleness
from mediajobs_dagster.attempts.subjects import resolver_of
from mediajobs_dagster.attempts.threads import AttemptThreads
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter
from mediajobs_dagster.history.leases import RENEWED_AT_ONCE
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import JobStatus, NewJob, Subject, Upload

_ENQUEUED_AT_ONCE = 500

_log = logging.getLogger(__name__)

_log = logging.getLogger(__name__)


def work_off(worker: Worker, job_type: JobType, dispatch_id: str, *, run_id: str, listeners: Listeners) -> RunTotals:
    """Claim and attempt every job of a dispatch, as many side by side as the machine bears.

    What is left when it is interrupted is given back to the queue, or called off with the run.
    """
    totals = RunTotals()
    settings, leases = worker.settings, worker.history.leases
    if lacking := job_type.lacking(settings.offers):
        _log.warning("This worker does not offer %s: it leaves its %s jobs to others.", lacking, job_type.name)
        leases.release(dispatch_id)
        return totals
    with _given_back(worker, dispatch_id):
        with Heartbeat(worker.history, dispatch_id, lease_s=settings.lease_s) as heartbeat:
            # The lease ran while the run was started. And the answer tells how many jobs there are at most, so that
            # nobody has to ask for one more to learn that there is none.
            assigned = leases.renew(dispatch_id, lease_s=settings.lease_s)
            # Of very many it names some: then they are worked off when none is left to claim.
            left = iter(assigned) if len(assigned) < RENEWED_AT_ONCE else repeat(dispatch_id)

            def attempt_next() -> bool:
                if next(left, None) is None:
                    return False
                claim = leases.claim(dispatch_id, run_id=run_id, host=worker.host.hostname, lease_s=settings.lease_s)
                if claim is None:
                    return False
                with heartbeat.watching(claim.job.id) as cancellation:
                    totals.add(make_attempt(claim, worker, listeners, cancellation))
                return True

            size = min(worker.side_by_side(job_type), len(assigned))
            AttemptThreads(size, attempt_next, heartbeat.end_all).run()
        leases.release(dispatch_id)
    return totals


def requeue_run(worker: Worker, job_type: JobType, run_id: str, *, dispatch_id: str) -> int:
    """Take the jobs that another run attempted up again, assigned to `dispatch_id`; returns how many.

    Outputs that are there are made again: whoever executes a run again wants to see it run.
    """
    attempted = worker.history.attempts.iterate(AttemptFilter(run_id=run_id, job_name=job_type.name))
    jobs, lease_s = worker.history.jobs, worker.settings.lease_s
    requeued = 0
    with _given_back(worker, dispatch_id), Heartbeat(worker.history, dispatch_id, lease_s=lease_s):
        for job_id in {attempt.job_id for attempt in attempted if attempt.job_id}:
            with suppress(IllegalTransitionError):  # it waits or runs elsewhere by now
                jobs.retry(job_id, force=True, dispatch_id=dispatch_id, lease_s=lease_s)
                requeued += 1
    return requeued


def enqueue_stale(
    worker: Worker,
    job_type: JobType,
    day: date,
    *,
    dispatch_id: str,
    trace_id: str,
    force: bool,
    on_search: Callable[[], None] = lambda: None,
) -> int:
    """Enqueue, assigned to `dispatch_id`, a job for every subject of that UTC day whose output is missing or stale.

    With `force`, for every subject of the day. Returns how many. They are enqueued as they are found, and their lease
    is kept; `on_search` is called in this thread, at least once a second. Where it fails or is interrupted, they are
    given back to the queue, or called off with the run.
    """
    jobs, lease_s = worker.history.jobs, worker.settings.lease_s
    subjects = _wanted(job_type, resolver_of(job_type.subject, worker.history).of_day(day))
    search = _in_lists(subjects) if force else Staleness(job_type, worker.history, worker.storage).stale(subjects)
    request = partial(
        job_type.request, trace_id=trace_id, max_attempts=worker.settings.max_attempts, anew=True, force=force
    )
    due: list[NewJob] = []
    count = 0
    with _given_back(worker, dispatch_id), Heartbeat(worker.history, dispatch_id, lease_s=lease_s), closing(search):
        for found in search:
            on_search()
            due += map(request, found)
            count += len(found)
            if len(due) >= _ENQUEUED_AT_ONCE:
                jobs.enqueue(due, dispatch_id=dispatch_id, lease_s=lease_s)
                due.clear()
        jobs.enqueue(due, dispatch_id=dispatch_id, lease_s=lease_s)
    return count


def _wanted(job_type: JobType, subjects: Iterator[Subject]) -> Iterator[Subject]:
    """What a day's run makes: of an upload, only what it would have got when it was added."""
    return (each for each in subjects if not isinstance(each, Upload) or job_type.wanted_for(each))


def _in_lists(subjects: Iterator[Subject]) -> Generator[list[Subject]]:
    while several := list(islice(subjects, _ENQUEUED_AT_ONCE)):
        yield several


@contextmanager
def _given_back(worker: Worker, dispatch_id: str) -> Generator[None]:
    """Whatever raises in the block, the jobs of the dispatch go back to the queue, or are called off with the run."""
    try:
        yield
    except BaseException:
        try:
            if worker.after_interrupt() is JobStatus.CANCELLED:
                worker.history.leases.cancel_assigned(dispatch_id)
        finally:
            worker.history.leases.release(dispatch_id)
        raise
