"""Asks for jobs on an upload that is known already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import Enqueued, History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Callback, JsonObject, Upload
from mediajobs_dagster.records import JobQueued


@dataclass(frozen=True)
class Submitted:
    """The jobs that were asked for."""

    trace_id: str
    jobs: tuple[Enqueued, ...]
    """Those that were asked for before are in their own trace."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "traceId": self.trace_id,
            "jobs": [{**each.job.to_json(), "created": each.created} for each in self.jobs],
        }


def submit_jobs(
    history: History,
    listeners: Listeners,
    upload: Upload,
    types: Sequence[JobType],
    *,
    params: Mapping[str, object],
    trace_id: str,
    priority: int,
    max_attempts: int,
    force: bool,
    callback: Callback | None = None,
) -> Submitted:
    """Enqueue a job of each type; `callback` is told what becomes of them.

    Raises ParametersError, and RequestError for parameters of several types at once.
    """
    if params and len(types) != 1:
        raise RequestError("Parameters belong to one job type. Ask for one type at a time.")
    wanted = [
        each.request(
            upload, trace_id=trace_id, params=params, priority=priority, max_attempts=max_attempts, force=force
        )
        for each in types
    ]
    if callback:
        history.webhook_events.subscribe(callback, trace_id)
    enqueued = history.jobs.enqueue(wanted)
    if callback:
        history.webhook_events.follow(callback, [each.job for each in enqueued if not each.created])
    listeners.tell_all([JobQueued(job=each.job) for each in enqueued if each.created])
    return Submitted(trace_id, tuple(enqueued))
