"""What the console asks of Dagster: runs, schedules, and whether the daemon lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import Job, SubjectKind, utc_now
from mediajobs_dagster.orchestration.moments import schedules_of, switches_of
from mediajobs_dagster.orchestration.signs import DagsterSigns
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.schedules import ScheduleStanding


@dataclass(frozen=True)
class FromDagster:
    """The port of the console, on a Dagster instance."""

    media: MediaJobs
    instance: dg.DagsterInstance

    @property
    def signs(self) -> DagsterSigns:
        """What Dagster knows of runs, lanes and daemons."""
        return DagsterSigns(self.instance, lambda: None)

    def schedules(self) -> list[ScheduleStanding]:
        """Every schedule, and how far it has come."""
        return schedules_of(self.media).list(switches_of(self.instance), now=utc_now())

    def run_schedule(self, name: str) -> Job:
        """Put the job of a schedule into the queue now. Raises RequestError for one that is not known."""
        job_type = self.media.registry[self.media.registry.name_of(name)]
        if job_type.subject is not SubjectKind.TICK:
            known = ", ".join(each.name for each in self.media.registry if each.subject is SubjectKind.TICK)
            raise RequestError(
                f"{job_type.name} works on an {job_type.subject}, so it has no schedule. Those that have: {known}."
            )
        return schedules_of(self.media).run(job_type, now=utc_now())

    def heartbeat(self) -> datetime | None:
        """The latest sign of life of the daemons that this instance needs, of the one silent longest."""
        required = self.instance.get_required_daemon_types()
        beats = self.instance.get_daemon_heartbeats()
        found = [beats[name].timestamp for name in required if name in beats]
        return datetime.fromtimestamp(min(found), UTC) if found else None
