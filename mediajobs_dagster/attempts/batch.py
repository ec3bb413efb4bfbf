"""What one run does: it attempts the jobs assigned to it. A manual run or a backfill finds and enqueues them first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date
from functools import partial
from itertools import islice, repeat

from mediajobs_dagster.attempts.admission import Admission
from mediajobs_dagster.attempts.attempt import make_attempt
from mediajobs_dagster.attempts.heartbeat import Heartbeat
from mediajobs_dagster.attempts.staleness import Staleness
from mediajobs_dagster.attempts.subjects import resolver_of
from mediajobs_dagster.attempts.threads import AttemptThreads
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.withdrawal import deliver
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.history.leases import RENEWED_AT_ONCE
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import JobStatus, NewJob, Subject, Upload
from mediajobs_dagster.resilience.hosts import HostBreaker

_ENQUEUED_AT_ONCE = 500

_log = logging.getLogger(__name__)


def work_off(
    worker: Worker,
    job_type: JobType,
    dispatch_id: str,
    *,
    run_id: str,
    listeners: Listeners,
    is_over: Callable[[], bool] = lambda: False,
    stop: Cancellation | None = None,
) -> RunTotals:
    """Claim and attempt every job of a dispatch, several at once if the machine has the cores.

    When `is_over` says so before a job, it is time to make room for others, and the remaining jobs go back into the
    queue. So they do when this machine is quarantined, and after an interrupt; they are cancelled if the run was
    terminated. Where it is not the main thread that does this, `stop` tells of an interrupt: its error is raised.
    """
    stop = stop or Cancellation()
    totals = RunTotals()
    settings, leases = worker.settings, worker.history.leases
    if lacking := job_type.lacking(settings.offers):
        _log.warning("This worker does not offer %s. It gives its %s jobs back.", lacking, job_type.name)
        leases.release(dispatch_id)
        return totals
    deliver(worker.spool, worker.registry, worker.history, lambda: worker.storage)
    worker.spool.make_room()
    admission = Admission(worker.history, HostBreaker.of(settings), worker.host.hostname)
    with _given_back(worker, dispatch_id):
        with Heartbeat(worker.history, dispatch_id, lease_s=settings.lease_s) as heartbeat:
            # Some of the lease was used up by the start of the run. The answer also bounds the number of jobs, which
            # saves the last query, the one that would find no job.
            assigned = leases.renew(dispatch_id, lease_s=settings.lease_s)
            # Of very many jobs it returns only some. Then the work ends when no job is left to claim.
            left = iter(assigned) if len(assigned) < RENEWED_AT_ONCE else repeat(dispatch_id)
            also = listeners.also(heartbeat.take)
            side_by_side = worker.side_by_side(job_type)

            def attempt_next() -> bool:
                if is_over() or admission.is_refused() or next(left, None) is None:
                    return False
                claim = leases.claim(
                    dispatch_id,
                    run_id=run_id,
                    host=worker.host.hostname,
                    lease_s=settings.lease_s,
                    instance_type=worker.host.instance_type,
                    side_by_side=side_by_side,
                )
                if claim is None:
                    return False
                with heartbeat.watching(claim.job.id) as cancellation:
                    totals.add(make_attempt(claim, worker, also, cancellation))
                return True

            threads = AttemptThreads(min(side_by_side, len(assigned)), attempt_next, heartbeat.end_all)
            with stop.waking(threads.interrupt):
                threads.run()
            stop.check()
        leases.release(dispatch_id)
    return totals


def requeue_run(worker: Worker, job_type: JobType, run_id: str, *, dispatch_id: str) -> int:
    """Queue the jobs that an earlier run attempted again, assigned to `dispatch_id`; returns how many.

    Existing outputs are made again: a person who re-executes a run wants it to do the work.
    """
    attempted = worker.history.attempts.iterate(AttemptFilter(run_id=run_id, job_name=job_type.name))
    jobs, lease_s = worker.history.jobs, worker.settings.lease_s
    requeued = 0
    with _given_back(worker, dispatch_id), Heartbeat(worker.history, dispatch_id, lease_s=lease_s):
        for job_id in {attempt.job_id for attempt in attempted if attempt.job_id}:
            with suppress(IllegalTransitionError):  # it is queued or runs elsewhere by now
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

    Not for what is known not to work, nor for uploads that were added for other job types. With `force`, for every
    other subject of the day. Returns how many. Jobs are enqueued as they are found, and their lease
    is renewed meanwhile. `on_search` is called in this thread at least once a second. On an error or an interrupt, the
    jobs go back into the queue, or are cancelled if the run was terminated.
    """
    jobs, lease_s = worker.history.jobs, worker.settings.lease_s
    subjects = _wanted(job_type, resolver_of(job_type.subject, worker.history).of_day(day), worker.history)
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


def _wanted(job_type: JobType, subjects: Iterator[Subject], history: History) -> Iterator[Subject]:
    """The subjects that a run of a day works on: an upload only if it would get this job when it is added.

    Not one that was added for other job types by name, unless this one was asked for later.
    """
    while several := list(islice(subjects, _ENQUEUED_AT_ONCE)):
        wanted = [each for each in several if not isinstance(each, Upload) or job_type.gets(each)]
        left_out = [each.id for each in wanted if isinstance(each, Upload) and _is_left_out(job_type, each)]
        never = set(left_out) - history.days.newest_jobs(job_type.name, left_out).keys() if left_out else set[str]()
        yield from (each for each in wanted if each.id not in never)


def _is_left_out(job_type: JobType, upload: Upload) -> bool:
    return upload.asked_types is not None and job_type.name not in upload.asked_types


def _in_lists(subjects: Iterator[Subject]) -> Generator[list[Subject]]:
    while several := list(islice(subjects, _ENQUEUED_AT_ONCE)):
        yield several


@contextmanager
def _given_back(worker: Worker, dispatch_id: str) -> Generator[None]:
    """If the block raises, put the dispatch's jobs back into the queue, or cancel them if the run was terminated."""
    try:
        yield
    except BaseException:
        try:
            if worker.after_interrupt() is JobStatus.CANCELLED:
                worker.history.leases.cancel_assigned(dispatch_id)
        finally:
            worker.history.leases.release(dispatch_id)
        raise
