"""Which events of our runs are stored. They stay for ever, so each has to tell something that no other one tells.

The pages of Dagster's UI are made of those that are kept: the timeline, the state of runs, ops and partitions, assets
with their metadata, checks, failures, and what the log of a run says.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

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

_FAILURES = frozenset({dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE})
_CLASS_NAME = re.compile(r"^[\w.]*Failure: ")
"""What Dagster puts before the text of an exception."""

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
    # A step of several has the asset's name before its own. Dagster reads its outputs to begin again behind it.
    is_one_of_several = "." in (told.step_key or "") and told.event_type is dg.DagsterEventType.STEP_OUTPUT
    return told.event_type not in _SILENT or is_one_of_several


def slimmed(event: dg.EventLogEntry) -> dg.EventLogEntry:
    """The event without what stands in it twice: its message, and the names of its run, job and step as tags.

    A failure that we name ourselves begins with our sentence, and has no stack: that is Dagster's own.
    """
    told = event.dagster_event
    if told is None:
        return event
    user_message = "" if event.user_message == told.message else event.user_message
    return event._replace(dagster_event=_with_our_sentence(told._replace(logging_tags={})), user_message=user_message)


def _with_our_sentence(told: dg.DagsterEvent) -> dg.DagsterEvent:
    data: Any = told.event_specific_data if told.event_type in _FAILURES else None
    error: Any = data and data.error
    if not error or error.cls_name != dg.Failure.__name__:
        return told
    sentence = _CLASS_NAME.sub("", error.message).strip()
    # Dagster's page shows message and error of a run's failure below each other, of a step's only the error.
    is_step = told.event_type is dg.DagsterEventType.STEP_FAILURE
    kept = error._replace(message=sentence, stack=[]) if is_step else None
    return told._replace(message=sentence, event_specific_data=data._replace(error=kept))
