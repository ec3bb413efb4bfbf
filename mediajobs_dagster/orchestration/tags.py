"""The tags that every run carries, and by which runs are found."""

from __future__ import annotations

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType

TRACE_ID = "traceId"
JOB_TYPE = "mediajobs/job_type"
SUBJECT = "mediajobs/subject"
LANE = "mediajobs/lane"
DISPATCH = "mediajobs/dispatch"
"""The batch of jobs that a run was started for; a run without it was started by hand or by a backfill."""
PRIORITY = "dagster/priority"
PARENT_RUN = "dagster/parent_run_id"
"""Set by Dagster on a run that executes an earlier one again."""


def of_job_type(job_type: JobType) -> dict[str, str]:
    """Tags of every run of that job type, however it is started."""
    return {JOB_TYPE: job_type.name, LANE: job_type.lane.value}


def of_dispatch(dispatch: Dispatch, job_type: JobType) -> dict[str, str]:
    """Tags of the run that works off `dispatch`."""
    single = {SUBJECT: dispatch.jobs[0].subject_id} if len(dispatch.jobs) == 1 else {}
    return {
        **of_job_type(job_type),
        **single,
        TRACE_ID: dispatch.trace_id,
        DISPATCH: dispatch.id,
        PRIORITY: str(dispatch.priority),
    }
