"""From the queue to runs: which runs are due now. Sensors and daemon both ask here, so both decide the same."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from mediajobs_dagster.attempts.subjects import resolver_of
from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.partitions import tag_of_day
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.resilience.dispatch import Held
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs

# Dagster's coordinator reads its whole queue in every pass. So the backlog waits in our table, and its queue is short.
_QUEUED_RUNS = 5

# Otherwise Dagster prints every event over our progress bars, and for each failed run a traceback of its own code. All
# of that is in its event log, and the reason of a failure is in the history.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

ROUTES_BY_NEEDS = "routes_by_needs"
"""Attribute of a run launcher whose workers take only runs that they can execute."""

_LONGEST_TITLE = 80

_WAITING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED]


@dataclass(frozen=True)
class NoneDue:
    """Why no job of a type becomes a run now."""

    reason: str
    is_blocked: bool = False
    """Whether jobs may be waiting that cannot start yet: the breaker is open, or enough runs are queued."""


def take_next(
    media: MediaJobs, instance: dg.DagsterInstance, job_type: JobType, *, requested: int = 0
) -> Dispatch | NoneDue:
    """Take the next batch of a type out of the queue, if it may become a run now. No other process gets these jobs.

    Start each run before taking the next batch, so that a failure strands one batch at most. `requested` is the number
    of runs that were requested but do not exist yet.
    """
    if reason := not_offered(media.settings, job_type, instance):
        return NoneDue(reason, is_blocked=True)
    waiting = requested + instance.get_runs_count(dg.RunsFilter(job_name=job_type.name, statuses=_WAITING))
    if waiting >= _QUEUED_RUNS:
        return NoneDue(f"{waiting} runs of {job_type.name} already wait to start.", is_blocked=True)
    found = media.dispatcher.next(job_type.name, batch_size=job_type.batch_size)
    if isinstance(found, Held):
        return NoneDue(found.reason, is_blocked=True)
    return found or NoneDue(f"No {job_type.name} job is due.")


def not_offered(settings: Settings, job_type: JobType, instance: dg.DagsterInstance) -> str | None:
    """Why this machine cannot execute runs of a type, because it lacks what the type needs; None if it can.

    A launcher with `routes_by_needs` sends each run to workers that have what it needs. Then it does not matter what
    this machine offers.
    """
    lacking = job_type.lacking(settings.offers)
    if not lacking or getattr(instance.run_launcher, ROUTES_BY_NEEDS, False):
        return None
    return (
        f"{job_type.name} needs {', '.join(lacking)}, which this machine does not offer. Install it, and name it in "
        "MEDIAJOBS_OFFERS."
    )


def run_request_of(batch: Dispatch, job_type: JobType, media: MediaJobs) -> dg.RunRequest:
    """The run that works off `batch`."""
    return dg.RunRequest(
        run_key=batch.id,
        job_name=job_type.name,
        partition_key=batch.subject_day.isoformat(),
        tags={
            **tags.of_dispatch(batch, job_type, title=_title_of(batch, job_type, media)),
            **tag_of_day(batch.subject_day),
        },
        run_config=_QUIET,
    )


def _title_of(batch: Dispatch, job_type: JobType, media: MediaJobs) -> str | None:
    """What the run is about, for people: the file or the timeline of its first job; None if that is gone."""
    try:
        title = resolver_of(job_type.subject, media.history).get(batch.jobs[0].subject_id).title
    except NotFoundError:
        return None
    return in_one_line(title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…")
