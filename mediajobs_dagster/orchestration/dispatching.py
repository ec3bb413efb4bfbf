"""From the queue to runs: which runs are due now. The sensors and the daemon ask here, so both decide alike."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.resilience.dispatch import Held
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs

# Dagster's coordinator reads its whole queue at every pass, so the backlog waits in our table and its queue is short.
_QUEUED_RUNS = 5

# Dagster would print every event of every run over our progress bars, and a traceback of its own machinery for a failed
# one; all of it is in its event log, and the reason of a failure in the history.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

ROUTES_BY_NEEDS = "routes_by_needs"
"""The attribute of a run launcher whose workers take only runs that they can carry out."""

_WAITING = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED]


@dataclass(frozen=True)
class NoneDue:
    """Why no job of a type becomes a run now."""

    reason: str
    is_blocked: bool = False
    """Whether jobs may be waiting that cannot start yet: the breaker is open, or enough runs wait already."""


def take_next(
    media: MediaJobs, instance: dg.DagsterInstance, job_type: JobType, *, requested: int = 0
) -> Dispatch | NoneDue:
    """Take the next batch of a type out of the queue, if it may become a run now; nobody else can take the same jobs.

    Whoever takes one starts its run before taking another, so that no failure leaves more than that one to give back.
    `requested` runs are asked for already, and not there yet.
    """
    if reason := not_offered(media.settings, job_type, instance):
        return NoneDue(reason, is_blocked=True)
    waiting = requested + instance.get_runs_count(dg.RunsFilter(job_name=job_type.name, statuses=_WAITING))
    if waiting >= _QUEUED_RUNS:
        return NoneDue(f"{waiting} runs of {job_type.name} wait to be started already.", is_blocked=True)
    found = media.dispatcher.next(job_type.name, batch_size=job_type.batch_size)
    if isinstance(found, Held):
        return NoneDue(found.reason, is_blocked=True)
    return found or NoneDue(f"No {job_type.name} job is due.")


def not_offered(settings: Settings, job_type: JobType, instance: dg.DagsterInstance) -> str | None:
    """Why runs of a type cannot be carried out here, for want of what it needs; None: they can.

    A launcher that `routes_by_needs` sends a run to workers that have what it needs; what this machine offers is no
    matter then.
    """
    lacking = job_type.lacking(settings.offers)
    if not lacking or getattr(instance.run_launcher, ROUTES_BY_NEEDS, False):
        return None
    return (
        f"{job_type.name} needs {', '.join(lacking)}, which this machine does not offer. Install it, and name it in "
        "MEDIAJOBS_OFFERS."
    )


def run_request_of(batch: Dispatch, job_type: JobType) -> dg.RunRequest:
    """The run that works off `batch`."""
    return dg.RunRequest(
        run_key=batch.id,
        job_name=job_type.name,
        tags=tags.of_dispatch(batch, job_type),
        partition_key=batch.subject_day.isoformat(),
        run_config=_QUIET,
    )
