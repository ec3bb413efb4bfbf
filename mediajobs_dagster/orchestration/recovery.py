"""Recovery of Dagster runs: what happened to a run, and how one is closed whose worker died."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from mediajobs_dagster.attempts.recovery import SETTLING_S, Recovered, RunState, recover
from mediajobs_dagster.attempts.scratch import sweep
from mediajobs_dagster.attempts.spool import Spool
from mediajobs_dagster.attempts.withdrawal import deliver, withdraw
from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.failed_runs import record_failed_run
from mediajobs_dagster.orchestration.internals.core import WorkerStatus
from mediajobs_dagster.orchestration.termination import CANCELLED_STATUSES
from mediajobs_dagster.records import LeaseLost
from mediajobs_dagster.system import MediaJobs

_SILENT = "The worker of this run died or hung. Its jobs are back in the queue; another run will attempt them again."

_REPORTING_S = 120.0
"""How long a run that holds no job may be silent, seconds. After its last attempt it still writes its log to the object
storage. While it searches for its work, it reports more often than this."""
_HANDING_OVER_S = 30.0
"""How long a run may exist before it is handed to the run coordinator, seconds. A daemon that is killed in between
leaves one that nobody will ever start."""
_NEVER = 0.0
"""The last sign of life of a run that never gave one."""
_LATEST = 50
"""How many attempts of a run are read to find when the last one ended; about as many are under way at once."""
_SAME_DISPATCH = 20
"""How many runs may have the tag of one dispatch: its own run, and re-executions of it."""


def recover_runs(media: MediaJobs, instance: dg.DagsterInstance, *, settling_s: float = SETTLING_S) -> Recovered:
    """Recover the jobs of dead workers, and close their runs: a run that stays STARTED would hold its lane for ever.

    The worker of a run that has just ended gets `settling_s` to write its last records.
    """
    sweep(media.settings.scratch)  # what killed workers left on this machine, running ffmpeg processes included
    # Before anything is taken for lost. After the sweep: where the disk is full, that makes room for it.
    deliver(Spool(media.settings.unrecorded), media.registry, media.history, lambda: media.storage)
    silence = _Silence(instance, media.history)
    run_states = _DagsterRunStates(instance, media.settings.lease_s, silence)
    recovered = recover(media.history, media.settings, run_states, media.registry, settling_s=settling_s)
    withdraw(recovered.over, media.registry, media.history, lambda: media.storage)
    for claim in recovered.lost:
        media.listeners.tell(LeaseLost(job=claim.job, attempt_id=claim.attempt.id, host=claim.attempt.host))
        run = instance.get_run_by_id(claim.attempt.run_id) if claim.attempt.run_id else None
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, _SILENT)
    for run in _silent_runs(media, instance, silence):
        instance.report_run_failed(run, _SILENT)
    media.breakers.tell_changes()
    return recovered


@dataclass(frozen=True)
class _Silence:
    """Tells for how long a run has given no sign of life, without comparing the clocks of two machines.

    A sign of life has the time of the worker's clock. So recovery marks the run with the sign that it saw last and
    the time by the database's clock, and looks again later. Where all processes share one clock, it need not wait.
    """

    instance: dg.DagsterInstance
    history: History

    def exceeds(self, limit_s: float, run: dg.DagsterRun, last_sign: float) -> bool:
        """Whether the run has been silent for longer than that; `last_sign`: seconds since the epoch."""
        now = self.history.now().timestamp()
        if self.history.is_on_this_machine and last_sign <= now:
            return now - last_sign > limit_s
        return self.lasts(limit_s, run, last_sign)

    def lasts(self, limit_s: float, run: dg.DagsterRun, last_sign: float) -> bool:
        """Whether recovery has known for longer than that that this was the last sign of life."""
        now = self.history.now().timestamp()
        since = tags.silent_since(run, last_sign)
        if since is None or since > now:  # the second: the database's clock was set back
            self.instance.add_run_tags(run.run_id, tags.silence(last_sign, now))
            return False
        return now - since > limit_s

    def forget(self, run: dg.DagsterRun) -> None:
        """There is a sign of life."""
        if run.tags.get(tags.SILENCE):
            self.instance.add_run_tags(run.run_id, {tags.SILENCE: ""})


def _silent_runs(media: MediaJobs, instance: dg.DagsterInstance, silence: _Silence) -> Iterator[dg.DagsterRun]:
    """Runs that hold no job and do not report their end: their process was killed before, between or after attempts.

    For a run that holds a job, the lease of the job shows whether it lives.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run, started = record.dagster_run, record.start_time
        dispatches = tags.dispatches_of(run, media.registry)
        if started is None or not dispatches or media.history.leases.any_of(dispatches):
            continue
        attempts = media.history.attempts.list(AttemptFilter(run_id=run.run_id), limit=_LATEST)
        ended = [attempt.completed_at.timestamp() for attempt in attempts if attempt.completed_at is not None]
        last_sign = max([started, tags.searching_at(run) or started, *ended])
        if len(ended) == len(attempts) and silence.exceeds(_REPORTING_S, run, last_sign):
            yield run


@dataclass(frozen=True)
class _DagsterRunStates:
    instance: dg.DagsterInstance
    lease_s: float
    silence: _Silence

    def _record_of(self, dispatch_id: str) -> dg.RunRecord | None:
        found = self.instance.get_run_records(dg.RunsFilter(tags={tags.DISPATCH: dispatch_id}), limit=_SAME_DISPATCH)
        # A re-execution carries the tags of the earlier run, but works on a dispatch of its own.
        return next((each for each in found if tags.PARENT_RUN not in each.dagster_run.tags), None)

    def is_over(self, dispatch_id: str) -> bool:
        record = self._record_of(dispatch_id)
        return record is not None and record.dagster_run.is_finished

    def of_dispatch(self, dispatch_id: str) -> RunState:
        record = self._record_of(dispatch_id)
        if record is None:
            return RunState.GONE
        run = record.dagster_run
        if run.status in CANCELLED_STATUSES:
            return RunState.CANCELLED
        if run.status is dg.DagsterRunStatus.SUCCESS:
            return RunState.GONE
        if not run.is_finished:
            if not self._is_dead(record):
                return RunState.ALIVE
            self.instance.report_run_failed(run, _SILENT)
        if record.start_time or tags.taken_at(run):  # else the daemon died, which tells nothing of the job type
            record_failed_run(self.silence.history, run)
        return RunState.GONE

    def of_run(self, run_id: str) -> RunState:
        record = next(iter(self.instance.get_run_records(dg.RunsFilter(run_ids=[run_id]), limit=1)), None)
        if record is None or not record.dagster_run.is_finished:
            return RunState.ALIVE  # Dagster does not know it, so only its leases can tell
        return RunState.CANCELLED if record.dagster_run.status is dg.DagsterRunStatus.CANCELED else RunState.GONE

    def _is_dead(self, record: dg.RunRecord) -> bool:
        """Whether a run whose leases have run out will never renew them again."""
        run = record.dagster_run
        if run.status is dg.DagsterRunStatus.NOT_STARTED:
            made = record.create_timestamp.timestamp()
            return self.silence.exceeds(max(self.lease_s, _HANDING_OVER_S), run, made)
        began = record.start_time or tags.taken_at(run)
        if began is not None:
            return self.silence.exceeds(self.lease_s, run, began)
        launcher = self.instance.run_launcher
        if run.status is not dg.DagsterRunStatus.STARTING or not launcher.supports_check_run_worker_health:
            return False
        found = launcher.check_run_worker_health(run).status
        if found is WorkerStatus.NOT_FOUND:
            # A worker may have taken it a moment ago, and say so in the next.
            return self.silence.lasts(self.lease_s, run, _NEVER)
        self.silence.forget(run)
        return found is WorkerStatus.FAILED
