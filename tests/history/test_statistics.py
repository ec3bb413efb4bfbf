"""Figures over attempts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.history.spans import CLASS_ERROR
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.history.factories import NOON, an_attempt, claimed, ended


def with_stages(**durations: int) -> dict[str, Any]:
    stages = [{"name": name, "durationMs": ms, "status": "ok"} for name, ms in durations.items()]
    return {"schemaVersion": 1, "stages": stages, "errors": []}


def test_an_empty_history_gives_zeros(history: History) -> None:
    report = history.statistics.of(AttemptFilter())
    assert report.attempts == 0
    assert report.by_status == dict.fromkeys(AttemptStatus, 0)
    assert (report.success_rate, report.output_files, report.output_bytes) == (0.0, 0, 0)
    assert (report.duration_ms.average, report.duration_ms.p50, report.duration_ms.p95) == (0.0, 0.0, 0.0)
    assert (report.errors, report.stages, report.workers) == ({}, (), {})


def test_figures_are_those_of_the_selection(history: History) -> None:
    outputs = {"outputs": [{"key": "a", "bytes": 10}, {"key": "b", "bytes": 5_000_000_000}]}
    for number in range(1, 101):
        manifest = with_stages(download=number, ffmpeg=2 * number)
        history.attempts.record(an_attempt(duration_ms=number, manifest=manifest, result=outputs))
    failure = {"status": AttemptStatus.FAILURE, "duration_ms": None, "host": "worker-2"}
    for code in ("STALLED", "DISK_FULL", "STALLED"):
        history.attempts.record(an_attempt(error_code=code, **failure))
    history.attempts.record(an_attempt(status=AttemptStatus.SKIPPED, duration_ms=None, host=None))
    history.attempts.record(an_attempt(job_name="other", created_at=NOON + timedelta(days=1)))
    report = history.statistics.of(AttemptFilter(job_name="schedule_sync"))
    assert report.attempts == 104
    assert report.by_status[AttemptStatus.SUCCESS] == 100
    assert report.by_status[AttemptStatus.FAILURE] == 3
    assert report.by_status[AttemptStatus.SKIPPED] == 1
    assert report.success_rate == pytest.approx(100 / 103)
    assert report.duration_ms.average == pytest.approx(50.5)
    assert report.duration_ms.p50 == pytest.approx(50, rel=CLASS_ERROR)
    assert report.duration_ms.p95 == pytest.approx(95, rel=CLASS_ERROR)
    assert (report.output_files, report.output_bytes) == (200, 500_000_001_000)
    assert list(report.errors.items()) == [("STALLED", 2), ("DISK_FULL", 1)]
    assert list(report.workers.items()) == [("worker-1", 100), ("worker-2", 3)]
    assert [(stage.name, stage.count) for stage in report.stages] == [("download", 100), ("ffmpeg", 100)]
    assert [stage.average_ms for stage in report.stages] == pytest.approx([50.5, 101])
    assert [stage.p95_ms for stage in report.stages] == pytest.approx([95.05, 190.1])


def test_outputs_are_counted_when_a_claimed_attempt_ends(history: History) -> None:
    claim = claimed(history)
    history.leases.finish(ended(claim, result={"outputs": [{"key": "a", "bytes": 7}]}), job_status=JobStatus.COMPLETED)
    report = history.statistics.of(AttemptFilter(job_id=claim.job.id))
    assert (report.output_files, report.output_bytes) == (1, 7)
