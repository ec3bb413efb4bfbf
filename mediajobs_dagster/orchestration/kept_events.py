"""Which events of our runs are stored. They stay for ever, so each has to tell something that no other one tells.

The pages of Dagster's UI are made of those that are kept: the timeline, the state of runs, ops and partitions, assets
with their metadata, checks, failures, and what the log of a run says.
"""

from __future__ import annotations

from functools import cached_property

import dagster as dg
from typing_extensions import override

from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration.internals.storage import SqlEventLogStorage

_SILENT = frozenset(
    {
        dg.DagsterEventType.RESOURCE_INIT_STARTED,  # one that fails has an event of its own, which is kept
        dg.DagsterEventType.RESOURCE_INIT_SUCCESS,
        dg.DagsterEventType.STEP_OUTPUT,  # no other step takes it; asset and check have events of their own
    }
)

_ROUTINE = (
    "Started process for run",
    "Executing steps in process",
    "Finished steps in process",
    "Process for run exited",
)
"""How events of Dagster's engine begin that every run has, and that have no word on what it did."""


class KeptEvents(SqlEventLogStorage):
    """An event log without the events of our runs that nobody reads. Events of other jobs are stored as they come."""

    @override
    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event, unless it is one that nobody reads."""
        if event.job_name not in self._our_jobs:
            super().store_event(event)
        elif is_kept(event):
            super().store_event(slimmed(event))

    @cached_property
    def _our_jobs(self) -> frozenset[str]:
        return frozenset(job_type.name for job_type in Registry.standard())


def is_kept(event: dg.EventLogEntry) -> bool:
    """Whether an event of a run of ours tells something that no other event tells."""
    told = event.dagster_event
    if told is None:
        return True  # a line of the log
    if told.event_type is dg.DagsterEventType.ENGINE_EVENT:
        return not (told.message or "").startswith(_ROUTINE)
    return told.event_type not in _SILENT


def slimmed(event: dg.EventLogEntry) -> dg.EventLogEntry:
    """The event without what stands in it twice: its message, and the names of its run, job and step as tags."""
    told = event.dagster_event
    if told is None:
        return event
    is_repeated = event.user_message == told.message
    return event._replace(
        dagster_event=told._replace(logging_tags={}), user_message="" if is_repeated else event.user_message
    )
