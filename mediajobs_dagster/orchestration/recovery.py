"""Recovery of Dagster runs: what happened to a run, and how one is closed whose worker died."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from mediajobs_dagster.attempts.recovery import Recovered, RunState, recover
from mediajobs_dagster.attempts.scratch import sweep
from mediajobs_dagster.attempts.withdrawal import withdraw
from mediajobs_dagster.history import AttemptFilter
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.internals.core import WorkerStatus
from mediajobs_dagster.orchestration.termination import CANCELLED_STATUSES
from mediajobs_dagster.records import LeaseLost
from mediajobs_dagster.system import MediaJobs

_SILENT = "The worker of this run died or hung. Its jobs are back in the queue; another run will attempt them again."

_SETTLING = timedelta(seconds=5)
"""How long a worker may still write its records after its run ended, such as when a person forces the termination."""
_REPORTING = timedelta(minutes=2)
"""How long a run that holds no job may be silent. After its last attempt it still writes its log to the object storage.
While it searches for its work, it reports more often than this."""
_HANDING_OVER = timedelta(seconds=30)
"""How long a run may exist before it is handed to the run coordinator. A daemon that is killed in between leaves one
that nobody will ever start."""
_LATEST = 50
"""How many attempts of a run are read to find when the last one ended; about as many are under way at once."""
_SAME_DISPATCH = 20
"""How many runs may have the tag of one dispatch: its own run, and re-executions of it."""


def recover_runs(media: MediaJobs, instance: dg.DagsterInstance) -> Recovered:
    """Recover the jobs of dead workers, and close their runs: a run that stays STARTED would hold its lane for ever."""
    run_states = _DagsterRunStates(instance, timedelta(seconds=media.settings.lease_s))
    recovered = recover(media.history, media.settings, run_states, media.registry)
    sweep(media.settings.scratch)  # what killed workers left on this machine, running ffmpeg processes included
    withdraw(recovered.over, media.registry, media.history, lambda: media.storage)
    for claim in recovered.lost:
        media.listeners.tell(LeaseLost(job=claim.job, attempt_id=claim.attempt.id, host=claim.attempt.host))
        run = instance.get_run_by_id(claim.attempt.run_id) if claim.attempt.run_id else None
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, _SILENT)
    for run in _silent_runs(media, instance):
        instance.report_run_failed(run, _SILENT)
    return recovered


def _silent_runs(media: MediaJobs, instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    """Runs that hold no job and do not report their end: their process was killed before, between or after attempts.

    For a run that holds a job, the lease of the job shows whether it lives.
    """
    now = utc_now()
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run, started = record.dagster_run, _moment(record.start_time)
        dispatches = tags.dispatches_of(run, media.registry)
        if started is None or not dispatches or media.history.leases.any_of(dispatches):
            continue
        attempts = media.history.attempts.list(AttemptFilter(run_id=run.run_id), limit=_LATEST)
        ended = [attempt.completed_at for attempt in attempts if attempt.completed_at is not None]
        searched = _moment(tags.searching_at(run)) or started
        if len(ended) == len(attempts) and now - max([started, searched, *ended]) > _REPORTING:
            yield run


@dataclass(frozen=True)
class _DagsterRunStates:
    instance: dg.DagsterInstance
    lease: timedelta

    def of_dispatch(self, dispatch_id: str) -> RunState:
        found = self.instance.get_run_records(dg.RunsFilter(tags={tags.DISPATCH: dispatch_id}), limit=_SAME_DISPATCH)
        # A re-execution carries the tags of the earlier run, but works on a dispatch of its own.
        record = next((each for each in found if tags.PARENT_RUN not in each.dagster_run.tags), None)
        if record is None:
            return RunState.GONE
        run = record.dagster_run
        if run.status in CANCELLED_STATUSES:
            return RunState.CANCELLED
        if run.is_finished:
            return RunState.GONE
        if self._is_dead(record):
            self.instance.report_run_failed(run, _SILENT)
            return RunState.GONE
        return RunState.ALIVE

    def of_run(self, run_id: str) -> RunState:
        record = next(iter(self.instance.get_run_records(dg.RunsFilter(run_ids=[run_id]), limit=1)), None)
        if record is None or not record.dagster_run.is_finished:
            return RunState.ALIVE  # Dagster does not know it, so only its leases can tell
        ended = _moment(record.end_time)
        if ended is None or utc_now() - ended < _SETTLING:
            return RunState.ALIVE
        return RunState.CANCELLED if record.dagster_run.status is dg.DagsterRunStatus.CANCELED else RunState.GONE

    def _is_dead(self, record: dg.RunRecord) -> bool:
        """Whether a run whose leases have run out will never renew them again."""
        run = record.dagster_run
        if run.status is dg.DagsterRunStatus.NOT_STARTED:
            return utc_now() - record.create_timestamp > max(self.lease, _HANDING_OVER)
        began = _moment(record.start_time) or _moment(tags.taken_at(run))
        if began is not None:
            return utc_now() - began > self.lease
        launcher = self.instance.run_launcher
        if run.status is not dg.DagsterRunStatus.STARTING or not launcher.supports_check_run_worker_health:
            return False
        return launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
