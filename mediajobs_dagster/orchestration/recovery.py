"""Recovery as Dagster sees it: what became of a run, and what has to be said of one whose worker died."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from mediajobs_dagster.attempts.outcome import withdraw
from mediajobs_dagster.attempts.recovery import Fate, Recovered, recover
from mediajobs_dagster.attempts.scratch import sweep
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.parts import Parts
from mediajobs_dagster.storage import open_storage

_SILENT = "The worker of this run fell silent. Its jobs are back in the queue; the next attempt is another run."


_SETTLING = timedelta(seconds=5)
"""How long a worker may still write its record after its run is over, as when a person forces the end of a run."""


def recover_runs(parts: Parts, instance: dg.DagsterInstance) -> Recovered:
    """Recover the jobs of dead workers, and close their runs: one that stays STARTED would hold its lane for ever."""
    fates = _DagsterFates(instance, timedelta(seconds=parts.settings.lease_s))
    recovered = recover(parts.history, parts.settings, fates)
    sweep(parts.settings.scratch)  # what killed workers of this machine left behind, their ffmpegs included
    for claim in recovered.lost:
        withdraw(claim.job, parts.registry, parts.history, lambda: open_storage(parts.settings))
        run = instance.get_run_by_id(claim.attempt.run_id) if claim.attempt.run_id else None
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, _SILENT)
    return recovered


@dataclass(frozen=True)
class _DagsterFates:
    instance: dg.DagsterInstance
    lease: timedelta

    def of_dispatch(self, dispatch_id: str) -> Fate:
        record = self._record(dg.RunsFilter(tags={tags.DISPATCH: dispatch_id}))
        if record is None:
            return Fate.GONE
        run, started = record.dagster_run, _moment(record.start_time)
        if run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING):
            return Fate.CANCELLED
        if run.is_finished:
            return Fate.GONE
        # A run that works renews its leases all the time; one whose leases ran out long after its start is dead.
        if started and utc_now() - started > self.lease:
            self.instance.report_run_failed(run, _SILENT)
            return Fate.GONE
        return Fate.ALIVE

    def of_run(self, run_id: str) -> Fate:
        record = self._record(dg.RunsFilter(run_ids=[run_id]))
        if record is None or not record.dagster_run.is_finished:
            return Fate.ALIVE  # one that Dagster does not know of keeps its lease, or loses it
        ended = _moment(record.end_time)
        if ended is None or utc_now() - ended < _SETTLING:
            return Fate.ALIVE
        return Fate.CANCELLED if record.dagster_run.status is dg.DagsterRunStatus.CANCELED else Fate.GONE

    def _record(self, filters: dg.RunsFilter) -> dg.RunRecord | None:
        return next(iter(self.instance.get_run_records(filters, limit=1)), None)


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
