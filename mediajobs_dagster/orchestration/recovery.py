"""Recovery as Dagster sees it: what became of a run, and what has to be said of one whose worker died."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.attempts.recovery import Fate, Recovered, recover
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.parts import Parts

_SILENT = "The worker of this run fell silent. Its jobs are back in the queue; the next attempt is another run."


def recover_runs(parts: Parts, instance: dg.DagsterInstance) -> Recovered:
    """Recover the jobs of dead workers, and close their runs: one that stays STARTED would hold its lane for ever."""
    lease_s = parts.settings.lease_s
    recovered = recover(parts.history, parts.settings, lambda dispatch_id: _fate(instance, dispatch_id, lease_s))
    for claim in recovered.lost:
        run = instance.get_run_by_id(claim.attempt.run_id) if claim.attempt.run_id else None
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, _SILENT)
    return recovered


def _fate(instance: dg.DagsterInstance, dispatch_id: str, lease_s: float) -> Fate:
    records = instance.get_run_records(dg.RunsFilter(tags={tags.DISPATCH: dispatch_id}), limit=1)
    if not records:
        return Fate.GONE
    run, started = records[0].dagster_run, records[0].start_time
    if run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING):
        return Fate.CANCELLED
    if run.is_finished:
        return Fate.GONE
    # A run that works renews its leases all the time; one whose leases ran out long after its start is dead.
    if started and (utc_now() - datetime.fromtimestamp(started, UTC)).total_seconds() > lease_s:
        instance.report_run_failed(run, _SILENT)
        return Fate.GONE
    return Fate.ALIVE
