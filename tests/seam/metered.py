"""Job types that need units of a quota: one on a tick, one on an upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH, Quota
from mediajobs_dagster.settings import Settings


class MeteredParams(Params):
    """Parameters of a metered job."""

    units: int = 3
    """What it takes while it works."""


class Metered(JobType):
    """Takes three calls of the search."""

    name: ClassVar[str] = "metered_v1"
    asset: ClassVar[str] = "metered"
    lane: ClassVar[Lane] = Lane.NETWORK
    subject: ClassVar[SubjectKind] = SubjectKind.TICK
    params: ClassVar[type[Params]] = MeteredParams

    def quota_needed(self, settings: Settings) -> Mapping[str, int]:
        return {YOUTUBE_SEARCH: 3}

    def plan(self, material: Material, params: Params) -> Plan:
        assert isinstance(params, MeteredParams)
        units = params.units

        def take(bench: Bench) -> None:
            Quota.of(bench.installation.history, bench.installation.settings).charge(YOUTUBE_SEARCH, units)

        return Plan(steps=(Call("take", take),))


class MeteredUpload(Metered):
    """The same for an upload."""

    name: ClassVar[str] = "metered_upload_v1"
    asset: ClassVar[str] = "metered_upload"
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
