"""The nightly report on the storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.inventory.inventory import Inventory
from mediajobs_dagster.inventory.report import PrefixFigures, StorageReport
from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import JsonObject, SubjectKind
from mediajobs_dagster.settings import Settings

_SHOWN = 20
"""How many prefixes and examples the figures list; the stored report has all."""


class StorageReporting(JobType):
    """What lies in the storage, how it grows, and what is left over or missing."""

    name: ClassVar[str] = "storage_report"
    asset: ClassVar[str] = "storage_snapshot"
    # It waits for listings, for minutes in a large storage; thumbnails must not wait behind it.
    lane: ClassVar[Lane] = Lane.NETWORK
    subject: ClassVar[SubjectKind] = SubjectKind.TICK
    schedule: ClassVar[Schedule | None] = Schedule("30 3 * * *")

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        del settings
        return ("take_stock",)

    def plan(self, material: Material, params: Params) -> Plan:
        del material, params
        return Plan(steps=(Call("take_stock", take_stock),))


def take_stock(bench: Bench) -> None:
    """Walk through the storage, store the report, and tell its figures."""
    of = bench.installation
    inventory = Inventory(of.settings, lambda: of.history, of.open_storage)
    report = inventory.take(bench.folder, bench.progress)
    bench.report(**figures_of(report))


def figures_of(report: StorageReport) -> JsonObject:
    """The report as the figures of an attempt: numbers, and tables of flat rows."""
    growth = report.growth
    return {
        "objects": report.objects,
        "bytes": report.bytes,
        "growth_objects": growth and growth.objects,
        "growth_bytes": growth and growth.bytes,
        "cost_month": report.cost_month,
        "past_retention": report.past_retention.objects,
        "left_over": report.left_over.objects,
        "left_over_bytes": report.left_over.bytes,
        "not_in_history": report.not_in_history.objects,
        "missing": report.missing,
        "misfit": report.misfit.objects,
        "unfinished": report.unfinished,
        "unknown_prefixes": report.unknown_prefixes,
        "requests": report.requests,
        "prefixes": [_row(each) for each in report.prefixes[:_SHOWN]],
        "findings": [
            {"finding": each.finding, "key": each.key, "bytes": each.bytes or 0, "reason": each.reason}
            for each in report.examples[:_SHOWN]
        ],
    }


def _row(each: PrefixFigures) -> JsonObject:
    return {
        "prefix": each.prefix,
        "objects": each.objects,
        "bytes": each.bytes,
        "growth_bytes": each.growth.bytes if each.growth else 0,
        "past_retention": each.past_retention.objects,
        "left_over": each.left_over.objects,
        "not_in_history": each.not_in_history.objects,
        "missing": each.missing,
    }


JOB_TYPE = StorageReporting()
