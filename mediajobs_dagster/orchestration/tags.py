"""The tags that every run carries, and by which runs are found."""

from __future__ import annotations

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import FFMPEG, JobType
from mediajobs_dagster.job_types.registry import Registry

TRACE_ID = "traceId"
"""Everything that follows from one request: its runs, and the runs of all children."""
JOB_TYPE = "mediajobs/job_type"
"""The job type."""
SUBJECT = "mediajobs/subject"
"""The upload, timeline or tick, where the run has one job."""
LANE = "mediajobs/lane"
"""The lane of the job type: light, heavy or network. Limits on how many runs there are at once go by it."""
NEEDS = "mediajobs/needs"
"""What a worker must offer beside ffmpeg to carry the run out, with commas."""
DISPATCH = "mediajobs/dispatch"
"""The batch of jobs that a run was started for; a run without it was started by hand or by a backfill."""
TAKEN = "mediajobs/taken_at"
"""When a worker of a cluster took the run, seconds since the epoch."""
SEARCHING = "mediajobs/searching_at"
"""When a run by hand last said that it still looks for its work, seconds since the epoch."""
PRIORITY = "dagster/priority"
"""The priority of the jobs; Dagster starts the run with the highest first."""
PARENT_RUN = "dagster/parent_run_id"
"""Set by Dagster on a run that executes an earlier one again."""
IMPLICIT_ASSET_JOB = "__ASSET_JOB"
"""What Dagster calls the job of a run over assets that were chosen by hand."""


def of_job_type(job_type: JobType) -> dict[str, str]:
    """Tags of every run of that job type, however it is started."""
    rare = ",".join(job_type.lacking({FFMPEG}))
    return {JOB_TYPE: job_type.name, LANE: job_type.lane.value, **({NEEDS: rare} if rare else {})}


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


def dispatch_by_hand(run_id: str, job_type: JobType) -> str:
    """The dispatch of what a run finds to do by itself: started by hand, by a backfill, or to execute another again."""
    return f"{run_id}/{job_type.name}"


def dispatches_of(run: dg.DagsterRun, registry: Registry) -> list[str]:
    """Every dispatch whose jobs a run may hold; none of a run that is not of our jobs."""
    own = [dispatch_by_hand(run.run_id, job_type) for job_type in registry]
    if DISPATCH in run.tags:
        return [run.tags[DISPATCH], *own]
    is_ours = run.job_name in {job_type.name for job_type in registry} or run.job_name.startswith(IMPLICIT_ASSET_JOB)
    return own if is_ours else []


def taken_at(run: dg.DagsterRun) -> float | None:
    """When a worker of a cluster took it, seconds since the epoch; None: nobody has, or it runs elsewhere."""
    return float(run.tags[TAKEN]) if TAKEN in run.tags else None


def searching_at(run: dg.DagsterRun) -> float | None:
    """When it last said that it looks for its work, seconds since the epoch; None: it never did."""
    return float(run.tags[SEARCHING]) if SEARCHING in run.tags else None
