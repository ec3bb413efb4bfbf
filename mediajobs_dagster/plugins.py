"""What other installed packages add to mediajobs: their entry points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points

JOB_TYPES = "mediajobs.job_types"
"""Each names an instance of a subclass of `JobType`."""
LISTENERS = "mediajobs.listeners"
"""Each names a function that takes the settings and returns a listener."""

EVENT_SOURCES = "mediajobs.event_sources"
"""Each names a function that takes `SourceSettings` and the options of a source, and returns an `EventSource`."""

STUDY_WRITERS = "mediajobs.study_writers"
"""Each names a `StudyWriter`."""


def installed(group: str) -> Sequence[EntryPoint]:
    """The entry points of a group. Nothing is imported yet."""
    return tuple(_all().select(group=group))


@cache
def _all() -> EntryPoints:
    # Some twenty milliseconds for a hundred packages: once a process, and before run processes are forked off.
    return entry_points()  # pyright: ignore[reportReturnType]  # what Python 3.11 returns has the same `select`
