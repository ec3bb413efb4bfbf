"""Waits for the jobs of a trace, which others work on."""

from __future__ import annotations

import time

from mediajobs_dagster.cli import display
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.supervisor.exclusive import is_used
from mediajobs_dagster.system import MediaJobs

_LOOK_S = 0.5
"""How often the trace is looked at, seconds."""
_LOOKED_AT = 200
"""Jobs that wait, of which is told what holds them."""


def is_worked_on(media: MediaJobs) -> bool:
    """Whether others work on the queue: a running `mediajobs up` of this home, or the workers of a cluster."""
    return bool(media.settings.celery_url) or is_used(media.settings.home)


def wait_for_trace(media: MediaJobs, trace_id: str, *, quiet: bool) -> bool:
    """Wait while others make the jobs of a trace; False if nobody works on the queue, or they have stopped."""
    with display.Terminal(stderr=True, quiet=quiet).status("The jobs are worked on …") as waiting:
        while is_worked_on(media):
            found = media.history.jobs.tally(trace_id)
            ended, jobs = sum(found[each] for each in found if each.is_final), sum(found.values())
            if ended == jobs:
                return True
            told = f"{ended:,} of {display.counted(jobs, 'job')} have ended …"
            waiting.update(" ".join((told, *held_of(media, trace_id))))
            time.sleep(_LOOK_S)
    return False


def held_of(media: MediaJobs, trace_id: str) -> list[str]:
    """Why jobs of a trace are held back: one answer for each job type, if any."""
    held = media.held()
    if not held:
        return []
    waiting = media.jobs(JobFilter(trace_id=trace_id, statuses=JobStatus.waiting()), limit=_LOOKED_AT)
    types = {job.job_type for job in waiting}
    return [each.reason for each in held if each.job_type in types]
