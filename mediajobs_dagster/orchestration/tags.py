"""The tags of our runs. Runs are found by them."""

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
FILE = "mediajobs/file"
"""The name of the file, or the title of the timeline. Of several, that of the first, and how many there are besides."""
LANE = "mediajobs/lane"
"""The lane of the job type: light, heavy or network. Limits on how many runs there are at once go by it."""
NEEDS = "mediajobs/needs"
"""What a worker must offer besides ffmpeg to execute the run, separated by commas."""
DISPATCH = "mediajobs/dispatch"
"""The batch of jobs that a run was started for; without it, a run was started manually or by a backfill."""
TAKEN = "mediajobs/taken_at"
"""When a worker of a cluster took the run, seconds since the epoch by its clock."""
SEARCHING = "mediajobs/searching_at"
"""When a manual run last reported that it still searches for its work, seconds since the epoch."""
SILENCE = "mediajobs/silent_since"
"""Set by recovery: a run's last sign of life by its worker's clock, and since when it is known by the database's."""
PRIORITY = "dagster/priority"
"""The priority of the jobs; Dagster starts the run with the highest first. A run without it has the priority 0."""
PARENT_RUN = "dagster/parent_run_id"
"""Set by Dagster on a re-execution: the id of the earlier run."""
REPOSITORY = ".dagster/repository"
"""Set by Dagster on what its servers start: which definitions the job is of. Its page of a job lists runs by it."""
LAUNCHED_BY_SENSOR = "dagster/sensor_name"
"""Set by Dagster on what a sensor starts. Its page of runs says so in the column "Launched by"."""
LAUNCHED_BY_USER = "user"
"""What the column "Launched by" says of any other run."""
IMPLICIT_ASSET_JOB = "__ASSET_JOB"
"""Dagster's name for the job of a run over assets that a person selected."""


def of_job_type(job_type: JobType) -> dict[str, str]:
    """Tags of every run of that job type, however it is started."""
    rare = ",".join(job_type.lacking({FFMPEG}))
    return {JOB_TYPE: job_type.name, LANE: job_type.lane.value, **({NEEDS: rare} if rare else {})}


def of_dispatch(dispatch: Dispatch, job_type: JobType, *, title: str | None = None) -> dict[str, str]:
    """Tags of the run that works off `dispatch`. `title` names the subject of its first job."""
    single = {SUBJECT: dispatch.jobs[0].subject_id} if len(dispatch.jobs) == 1 else {}
    urgent = {PRIORITY: str(dispatch.priority)} if dispatch.priority else {}
    others = len({job.subject_id for job in dispatch.jobs}) - 1
    named = {FILE: f"{title} and {others} more" if others else title} if title else {}
    return {**of_job_type(job_type), **named, **single, TRACE_ID: dispatch.trace_id, DISPATCH: dispatch.id, **urgent}


def sensor_of(job_type: JobType) -> str:
    """The name of the sensor that starts runs for the queued jobs of that type."""
    return f"dispatch_{job_type.name}"


def dispatch_by_hand(run_id: str, job_type: JobType) -> str:
    """The dispatch id of a run that finds its own jobs: a manual run, a backfill, or a re-execution."""
    return f"{run_id}/{job_type.name}"


def dispatches_of(run: dg.DagsterRun, registry: Registry) -> list[str]:
    """The ids of the dispatches whose jobs a run may hold; none for a run that is not one of ours."""
    own = [dispatch_by_hand(run.run_id, job_type) for job_type in registry]
    if DISPATCH in run.tags:
        return [run.tags[DISPATCH], *own]
    is_ours = run.job_name in {job_type.name for job_type in registry} or run.job_name.startswith(IMPLICIT_ASSET_JOB)
    return own if is_ours else []


def taken_at(run: dg.DagsterRun) -> float | None:
    """When a worker of a cluster took the run, seconds since the epoch; None: none has, or there is no cluster."""
    return float(run.tags[TAKEN]) if TAKEN in run.tags else None


def silence(last_sign: float, since: float) -> dict[str, str]:
    """The tag of a run whose last sign of life is known since `since`; both are seconds since the epoch."""
    return {SILENCE: f"{last_sign:.3f} {since:.3f}"}


def silent_since(run: dg.DagsterRun, last_sign: float) -> float | None:
    """Since when that is known to be the last sign of life, by the database's clock; None: it is news."""
    sign, _, since = run.tags.get(SILENCE, "").partition(" ")
    return float(since) if sign == f"{last_sign:.3f}" else None


def searching_at(run: dg.DagsterRun) -> float | None:
    """When the run last reported that it searches for its work, seconds since the epoch; None: it never did."""
    return float(run.tags[SEARCHING]) if SEARCHING in run.tags else None
