"""Runs that fail before they claim a job. No attempt tells of them, so they get an entry of their own.

The breaker of the job type counts it, as it counts failed jobs. Without it, the jobs of such a run would be dispatched
again at once, and for ever.
"""

from __future__ import annotations

import dagster as dg

from mediajobs_dagster.errors import RunFailedError
from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.models import Attempt, AttemptStatus, new_id
from mediajobs_dagster.orchestration import tags


def record_failed_run(history: History, run: dg.DagsterRun) -> bool:
    """Record that a run of a dispatch failed before it claimed a job; False if it has claimed one."""
    if history.attempts.list(AttemptFilter(run_id=run.run_id), limit=1):
        return False
    now, error = history.now(), RunFailedError(f"Run {run.run_id} failed before it claimed a job; its log says why.")
    return history.attempts.record(
        Attempt(
            id=new_id(),
            job_id=None,
            job_name=run.tags.get(tags.JOB_TYPE, run.job_name),
            attempt=0,
            run_id=run.run_id,
            trace_id=run.tags.get(tags.TRACE_ID),
            status=AttemptStatus.FAILURE,
            started_at=now,
            completed_at=now,
            duration_ms=0,
            error_code=error.code,
            blame=error.blame,
            error=error.message,
            created_at=now,
        )
    )
