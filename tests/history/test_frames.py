"""Attempts, jobs and stages as data frames, and the files that are made of them."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas
import pytest
from pyarrow import parquet

from mediajobs_dagster.errors import Blame, ExtraMissingError
from mediajobs_dagster.history import (
    AttemptFilter,
    History,
    JobFilter,
    attempt_frame,
    export,
    export_parquet,
    frames,
    job_frame,
    stage_frame,
)
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus
from tests.history.factories import DAY, NOON, THUMB, a_new_job, an_attempt, claimed, ended, some_new_jobs


def nameless(_: object) -> dict[str, str]:
    """No subject has a name."""
    return {}


STAGES = [
    {"name": "fetch", "startedAt": "2026-03-04T12:00:00Z", "durationMs": 5, "status": "ok"},
    {"name": "ffmpeg", "startedAt": "2026-03-04T12:00:00.005000Z", "durationMs": 70, "status": "STALLED"},
]
FULL = {
    "rtf": 1.75,
    "cpu_seconds": 0.5,
    "bytes_in": 5_000_000_000,
    "width": 1280,
    "fps": 29.97,
    "video_codec": "h264",
    "error_code": "STALLED",
    "blame": Blame.SYSTEM,
    "error": "it stood still",
    "status": AttemptStatus.FAILURE,
    "result": {"outputs": [{"key": "ä\udc80", "bytes": 7}, {"key": "b"}]},
    "manifest": {"stages": STAGES},
}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of two rows."""
    monkeypatch.setattr(frames, "ROWS_AT_ONCE", 2)


def types_of(frame: Any) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_columns_are_the_fields_of_the_models() -> None:
    """In their order; but for manifests, which are too large, progress, and figures that follow from the others."""
    fields = [name for name in Attempt.model_fields if name != "manifest"]
    assert list(frames.ATTEMPT_COLUMNS) == [*fields, "wasted_ms", "output_files", "output_bytes", "subject_name"]
    assert set(frames.JOB_COLUMNS) == set(Job.model_fields) - {"progress", "follow_up"}


def test_an_attempt_is_a_typed_row(history: History) -> None:
    attempt = an_attempt(**FULL)
    history.attempts.record(attempt)
    frame = attempt_frame(history)
    assert types_of(frame) == {name: kind.value for name, kind in frames.ATTEMPT_COLUMNS.items()}
    row = frame.iloc[0]
    for name in ("id", "status", "rtf", "bytes_in", "width", "fps", "video_codec", "error", "blame", "duration_ms"):
        assert row[name] == getattr(attempt, name), name
    assert row["created_at"].to_pydatetime() == NOON
    assert row["result"] == '{"outputs": [{"key": "ä?", "bytes": 7}, {"key": "b"}]}'
    assert (row["wasted_ms"], row["output_files"], row["output_bytes"]) == (100, 2, 7)
    missing = ["job_id", "queue_ms", "max_rss_mb", "threads", "instance_type"]
    assert frame[missing].isna().all(axis=None)


def test_what_is_not_known_keeps_the_type_of_its_column(history: History) -> None:
    """Also where nothing is known of any row, and where there is no row."""
    empty = attempt_frame(history)
    history.attempts.record(an_attempt(completed_at=None, duration_ms=None, host=None))
    assert types_of(attempt_frame(history)) == types_of(empty)
    assert len(empty) == 0
    assert len(stage_frame(history)) == len(job_frame(history)) == 0
    assert types_of(stage_frame(history)) == {name: kind.value for name, kind in frames.STAGE_COLUMNS.items()}


def test_a_filter_picks_the_rows_and_the_newest_comes_first(history: History, small_chunks: None) -> None:
    """Over as many chunks as there are, none of them larger than it may be."""
    attempts = [an_attempt(created_at=NOON + timedelta(hours=hour), duration_ms=hour) for hour in range(5)]
    for attempt in attempts:
        history.attempts.record(attempt)
    history.attempts.record(an_attempt(job_name="other"))
    filter = AttemptFilter(job_name="schedule_sync")
    assert attempt_frame(history, filter)["duration_ms"].tolist() == [4, 3, 2, 1, 0]
    assert [len(frame) for frame in frames.attempt_frames(history, filter)] == [2, 2, 1]
    assert types_of(attempt_frame(history, filter)) == types_of(attempt_frame(history, AttemptFilter(job_name="none")))


def test_jobs_are_rows(history: History, small_chunks: None) -> None:
    history.jobs.enqueue(some_new_jobs(3, job_type="other"))
    [enqueued] = history.jobs.enqueue([a_new_job(priority=5, force=True)])
    frame = job_frame(history, JobFilter(job_type=THUMB))
    assert types_of(frame) == {name: kind.value for name, kind in frames.JOB_COLUMNS.items()}
    [row] = frame.to_dict("records")
    assert row["id"] == enqueued.job.id
    assert (row["status"], row["priority"], row["force"], row["params"]) == (
        JobStatus.QUEUED,
        5,
        True,
        '{"seconds": 0.2}',
    )
    assert row["subject_day"].to_pydatetime() == datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    assert row["created_at"].to_pydatetime() == enqueued.job.created_at
    assert pandas.isna(row["not_before"])  # due at once
    assert pandas.isna(row["lease_expires_at"])
    assert sorted(job_frame(history)["id"]) == sorted(job.id for job in history.jobs.list(JobFilter()))


def test_stages_are_rows_of_their_attempt(history: History) -> None:
    claim = claimed(history)
    done = ended(claim, manifest={"stages": STAGES})
    history.leases.finish(done, job_status=JobStatus.COMPLETED)
    history.attempts.record(an_attempt(manifest=None))
    frame = stage_frame(history)
    assert frame["attempt_id"].tolist() == [done.id] * 2
    assert frame["job_id"].tolist() == [claim.job.id] * 2
    assert frame["position"].tolist() == [0, 1]
    assert frame["stage"].tolist() == ["fetch", "ffmpeg"]
    assert frame["status"].tolist() == ["ok", "STALLED"]
    assert frame["duration_ms"].tolist() == [5, 70]
    assert frame["started_at"][1] - frame["started_at"][0] == pandas.Timedelta(milliseconds=5)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_parquet_file_has_the_rows_and_types_of_the_frame(history: History, small_chunks: None) -> None:
    """In several row groups, written as they are read; names are those of the other formats."""
    for hour in range(5):
        history.attempts.record(an_attempt(created_at=NOON + timedelta(hours=hour), **FULL if hour % 2 else {}))
    out = io.BytesIO()
    assert export_parquet(history.attempts.iterate(AttemptFilter()), out, history.naming.of_attempts) == 5
    assert parquet.ParquetFile(out).num_row_groups == 3
    read = parquet.read_table(out).to_pandas()
    expected = attempt_frame(history)
    assert read.columns[:4].tolist() == ["id", "jobId", "jobName", "attempt"]
    read.columns = expected.columns
    pandas.testing.assert_frame_equal(read, expected, check_dtype=False)
    assert {str(read[name].dtype) for name, kind in frames.ATTEMPT_COLUMNS.items() if kind == "Int64"} == {"Int64"}


def test_a_parquet_file_without_rows_has_its_columns() -> None:
    out = io.BytesIO()
    assert export_parquet([], out, nameless) == 0
    assert len(parquet.read_schema(out)) == len(frames.ATTEMPT_COLUMNS)


def test_parquet_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'mediajobs\[parquet\]'"):
        export_parquet([], io.BytesIO(), nameless)


def test_csv_goes_on_over_chunks(small_chunks: None) -> None:
    """One header, numbers with no decimals that they have not got, moments in UTC, nothing where nothing is known."""
    out = io.StringIO(newline="")
    attempts = [an_attempt(id=f"id-{number}", queue_ms=number if number else None) for number in range(3)]
    assert export(attempts, "csv", out, nameless) == 3
    header, *rows = (line.split(",") for line in out.getvalue().split("\r\n")[:-1])
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["id"] for row in cells] == ["id-0", "id-1", "id-2"]
    assert [row["queueMs"] for row in cells] == ["", "1", "2"]
    assert {row["startedAt"] for row in cells} == {"2026-03-04T12:00:00.123456Z"}
