"""The weekly clean-up: what is older than it has to be goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import SubjectKind, utc_now
from mediajobs_dagster.resilience.retention import Removed, Retention
from mediajobs_dagster.settings import Settings

_DEADLINE_S = 6 * 3600.0


class HistoryCleanup(JobType):
    """Removes attempts, jobs and Dagster runs that are older than MEDIAJOBS_RETENTION_DAYS, and gives room back."""

    name: ClassVar[str] = "history_cleanup"
    asset: ClassVar[str] = "history_retention"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.TICK
    schedule: ClassVar[Schedule | None] = Schedule("30 3 * * sun")

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        del settings
        return ("clean_up",)

    def plan(self, material: Material, params: Params) -> Plan:
        """One step, whatever the tick."""
        del material, params
        return Plan(steps=(Call("clean_up", clean_up, deadline_s=_DEADLINE_S),))


def clean_up(bench: Bench) -> None:
    """Remove what is old, and report rows and bytes of each kind."""
    installation = bench.installation
    so_far: dict[str, Removed] = {}

    def tell(removed: Removed) -> None:
        # Reported as it goes: an attempt that is interrupted has done that much.
        so_far[removed.kind] = removed
        bench.report(**{kind: {"rows": each.rows, "bytes": each.bytes} for kind, each in so_far.items()})

    done = Retention(installation.settings, installation.history, installation.sweepers).clean_up(
        now=utc_now(), check=bench.check, on_progress=tell
    )
    bench.note(done.space)
    bench.report(rows=done.rows, databaseBytesBefore=done.bytes_before, databaseBytesAfter=done.bytes_after)


JOB_TYPE = HistoryCleanup()
