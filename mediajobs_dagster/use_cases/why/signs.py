"""What only those who start runs can tell: which runs have a batch, how full a lane is, and whether anybody is there.

A port: `orchestration/signs.py` reads it from Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class RunStage(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    """It waits for a slot."""
    STARTING = "starting"
    """It was sent to a worker, which has not begun."""
    STARTED = "started"
    OVER = "over"


@dataclass(frozen=True)
class RunSign:
    """A run, as far as it matters for a job that waits."""

    run_id: str
    stage: RunStage
    since: datetime | None
    """When it was made."""
    about: str | None = None
    """What it works on, for people."""
    queue: str | None = None
    """The queue of the cluster that it waits in; None: it runs on this machine."""


@dataclass(frozen=True)
class LaneUse:
    """How full a lane is."""

    lane: str
    at_work: tuple[RunSign, ...]
    """Runs that have a slot."""
    waiting: int
    """Runs that wait for one."""
    limit: int | None
    """How many slots it has; None: as many as anybody asks for."""

    @property
    def is_full(self) -> bool:
        """Whether no slot is left."""
        return self.limit is not None and len(self.at_work) >= self.limit


class Signs(Protocol):
    """Answers what the history does not know."""

    def run_of(self, dispatch_id: str) -> RunSign | None:
        """The run of a batch; None: there is none."""
        ...

    def lane(self, lane: str) -> LaneUse:
        """How full a lane is."""
        ...

    def starter(self) -> str | None:
        """Who starts runs, in a few words; None: nobody has given a sign of life lately."""
        ...
