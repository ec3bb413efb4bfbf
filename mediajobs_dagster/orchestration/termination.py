"""Whether somebody terminated a run."""

from __future__ import annotations

import dagster as dg

from mediajobs_dagster.orchestration.internals.core import DagsterEventType

CANCELLED_STATUSES = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def was_terminated(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether somebody asked to terminate `run`, a record that was just read.

    The status alone does not tell: when a run is terminated while it starts, the start overwrites the status. Such a
    run is marked again, so that Dagster records its end as a cancellation too.
    """
    if run.status in CANCELLED_STATUSES:
        return True
    asked = instance.event_log_storage.get_logs_for_run(run.run_id, of_type=DagsterEventType.RUN_CANCELING, limit=1)
    if asked and not run.is_finished:
        instance.report_run_canceling(run)
    return bool(asked)
