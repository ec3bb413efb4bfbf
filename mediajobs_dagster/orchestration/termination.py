"""Whether somebody terminated a run."""

from __future__ import annotations

import dagster as dg

from mediajobs_dagster.orchestration.internals.core import DagsterEventType

CALLED_OFF = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def was_terminated(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether somebody asked for the end of `run`, as it was just read.

    The status alone does not tell: a run that is terminated while it starts is marked so, and then its start sets the
    status anew. Such a run is marked again, so that Dagster too takes its end for a cancellation.
    """
    if run.status in CALLED_OFF:
        return True
    asked = instance.event_log_storage.get_logs_for_run(run.run_id, of_type=DagsterEventType.RUN_CANCELING, limit=1)
    if asked and not run.is_finished:
        instance.report_run_canceling(run)
    return bool(asked)
