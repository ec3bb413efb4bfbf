"""What the console asks of those who start runs: a port, which `orchestration/outside.py` answers from Dagster."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mediajobs_dagster.models import Job
from mediajobs_dagster.use_cases.schedules import ScheduleStanding
from mediajobs_dagster.use_cases.why import Signs


class Outside(Protocol):
    """Answers what the history does not know."""

    @property
    def signs(self) -> Signs:
        """What is known of runs, lanes and daemons."""
        ...

    def schedules(self) -> list[ScheduleStanding]:
        """Every schedule, and how far it has come."""
        ...

    def run_schedule(self, name: str) -> Job:
        """Put the job of a schedule into the queue now. Raises RequestError for one that is not known."""
        ...

    def heartbeat(self) -> datetime | None:
        """The latest sign of life of the daemon; None: there was none yet."""
        ...
