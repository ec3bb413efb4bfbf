"""From the queue to runs: which runs are due now. Sensors and daemon both ask here, so both decide the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.partitions import tags_of_day
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.resilience.held import Held
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs

# Dagster's coordinator reads its whole queue in every pass. So the backlog waits in our table, and its queue is short.
# Of one trace there are fewer, so that another one finds room.
_QUEUED_RUNS = 10
_QUEUED_RUNS_OF_A_TRACE = 5

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
    media: MediaJobs, instance: dg.DagsterInstance, job_type: JobType, *, requested: Sequence[str] = ()
) -> Dispatch | NoneDue:
    """Take the next batch of a type out of the queue, if it may become a run now. No other process gets these jobs.

    Start each run before taking the next batch, so that a failure strands one batch at most. `requested` has the traces
    of runs that were requested but do not exist yet.
    """
    if lacks_needs(media.settings, job_type, instance):
        held = media.held_by_needs(job_type)
        return NoneDue(held.reason, is_blocked=True) if held else NoneDue(f"No {job_type.name} job is due.")
    if refused := media.quota.turn_away(job_type):
        return NoneDue(refused, is_blocked=True)
    waiting = [*requested, *_traces_waiting(instance, job_type)]
    if len(waiting) >= _QUEUED_RUNS:
        return NoneDue(f"{len(waiting)} runs of {job_type.name} already wait to start.", is_blocked=True)
    enough = [trace for trace, runs in Counter(waiting).items() if runs >= _QUEUED_RUNS_OF_A_TRACE]
    host = None if runs_elsewhere(instance) else media.settings.host
    found = media.dispatcher.next(job_type.name, batch_size=job_type.batch_size, besides=enough, host=host)
    if isinstance(found, Held):
        return NoneDue(found.reason, is_blocked=True)
    if found is None and enough:
        return NoneDue(f"{len(waiting)} runs of {job_type.name} already wait to start.", is_blocked=True)
    return found or NoneDue(f"No {job_type.name} job is due.")


def _traces_waiting(instance: dg.DagsterInstance, job_type: JobType) -> list[str]:
    """The traces of the runs of a type that have not started."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_type.name, statuses=_WAITING), limit=_QUEUED_RUNS)
    return [run.tags.get(tags.TRACE_ID, run.run_id) for run in runs]


def lacks_needs(settings: Settings, job_type: JobType, instance: dg.DagsterInstance) -> bool:
    """Whether this machine cannot execute runs of a type, because it does not offer what the type needs.

    A launcher with `routes_by_needs` sends each run to workers that have what it needs. Then it does not matter what
    this machine offers.
    """
    return bool(job_type.lacking(settings.offers)) and not runs_elsewhere(instance)


def runs_elsewhere(instance: dg.DagsterInstance) -> bool:
    """Whether runs are executed by workers on other machines, as far as the launcher tells."""
    return bool(getattr(instance.run_launcher, ROUTES_BY_NEEDS, False))


def run_request_of(batch: Dispatch, job_type: JobType, media: MediaJobs) -> dg.RunRequest:
    """The run that works off `batch`."""
    return dg.RunRequest(
        run_key=batch.id,
        job_name=job_type.name,
        partition_key=batch.subject_day.isoformat(),
        tags={
            **tags.of_dispatch(batch, job_type, title=_title_of(batch, media)),
            **tags_of_day(batch.subject_day, job_type.name),
        },
        run_config=_QUIET,
    )


def _title_of(batch: Dispatch, media: MediaJobs) -> str | None:
    """What the run is about, for people: the file or the timeline of its first job; None if it has no such name."""
    subject_id = batch.jobs[0].subject_id
    try:
        title = media.history.naming.of_subjects([subject_id]).get(subject_id)
    except MediaJobsError:  # the database is busy: the run must start all the same
        return None
    return title and in_one_line(title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…")
