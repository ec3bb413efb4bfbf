"""A job type on a tick, started by a schedule. It makes no file: what it found is its result."""

from __future__ import annotations

from typing import ClassVar

from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import SubjectKind


class Nightly(JobType):
    """Looks at the scratch folder every night."""

    name: ClassVar[str] = "nightly_v1"
    asset: ClassVar[str] = "nightly"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.TICK
    schedule: ClassVar[Schedule | None] = Schedule("30 2 * * *", timezone="Europe/Berlin")

    def plan(self, material: Material, params: Params) -> Plan:
        del params

        def look(bench: Bench) -> None:
            bench.report(files=len(list(bench.folder.iterdir())), asked_at=material.subject.title)

        return Plan(steps=(Call("look", look),))
