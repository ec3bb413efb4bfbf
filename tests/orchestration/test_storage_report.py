"""The nightly storage report as Dagster sees it."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.storage_report import JOB_TYPE
from mediajobs_dagster.models import JobStatus, Tick, new_id, new_trace_id, utc_now
from tests.orchestration.conftest import DagsterPlatform


def ask(platform: DagsterPlatform) -> None:
    """Enqueue a report, and make it."""
    tick = Tick(schedule=JOB_TYPE.name, created_at=utc_now())
    platform.history.jobs.enqueue([JOB_TYPE.request(tick, trace_id=new_trace_id(), max_attempts=1)])
    platform.run_queue()


def test_figures_and_tables_are_metadata(dagster_platform: DagsterPlatform) -> None:
    """Numbers, which Dagster plots; a row for each prefix; the same figures in the row of the attempt."""
    platform = dagster_platform
    file = platform.settings.home / "text"
    file.parent.mkdir(exist_ok=True)
    file.write_text("12345")
    platform.storage.put(file, f"backups/{new_id()}", content_type="text/plain")
    ask(platform)
    (job,) = platform.history.jobs.list(JobFilter())
    assert job.status is JobStatus.COMPLETED
    found = platform.instance.get_latest_materialization_event(dg.AssetKey(JOB_TYPE.asset))
    assert found is not None
    assert found.asset_materialization is not None
    metadata = {name: each.value for name, each in found.asset_materialization.metadata.items()}
    table = found.asset_materialization.metadata["prefixes"]
    assert isinstance(table, dg.TableMetadataValue)
    assert (metadata["objects"], metadata["bytes"], metadata["missing"], metadata["unknown_prefixes"]) == (1, 5, 0, 1)
    assert "growth_bytes" not in metadata
    rows = [record.data for record in table.records]
    known = [entry.prefix for entry in platform.media.inventory.map.entries]
    assert [row["prefix"] for row in rows] == [*known, "backups/"]
    assert next(row for row in rows if row["prefix"] == "backups/")["bytes"] == 5
    (attempt,) = platform.history.attempts.of_job(job.id)
    assert attempt.result is not None
    assert attempt.result["figures"]["objects"] == 1
    (snapshot,) = platform.history.storage_snapshots.list()
    assert (snapshot.objects, snapshot.bytes) == (1, 5)


def test_a_storage_out_of_reach_is_a_red_run_and_no_snapshot(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """The error has its code; the next night tries again."""
    platform = open_dagster(max_attempts=1, outage_limit_s=0.0)
    platform.settings.home.mkdir(exist_ok=True)
    (platform.settings.home / "objects").write_text("no folder")
    ask(platform)
    (job,) = platform.history.jobs.list(JobFilter())
    assert job.error_code == "STORAGE_UNAVAILABLE"
    assert platform.history.storage_snapshots.list() == []
