"""The history that benchmarks work on is one that mediajobs could have written."""

from __future__ import annotations

from datetime import UTC, datetime

from benchmarks.history_data import CODES, Past, build
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.history import AttemptFilter, History, JobFilter, UploadFilter


def test_every_row_can_be_read(empty_url: str) -> None:
    """On either engine: jobs, attempts with their manifests, uploads by name, and totals that agree with the rows."""
    past = Past(300, datetime(2026, 11, 26, tzinfo=UTC))
    build(empty_url, past)
    with History.open(empty_url) as history:
        attempts = history.attempts.list(AttemptFilter(), limit=300, with_manifest=True)
        for each in attempts:
            manifest = Manifest.model_validate(each.manifest)
            assert (manifest.job_id, manifest.status) == (each.job_id, each.status)
            assert manifest.duration_ms == each.duration_ms
        assert len(history.jobs.list(JobFilter(), limit=400)) == 330
        assert [each.filename for each in history.uploads.list(UploadFilter(name="CLIP 7"))] == ["clip 7.mp4"]
        report = history.statistics.of(AttemptFilter())
        assert report.attempts == len(attempts) == 300
        assert set(report.errors) <= set(CODES)
