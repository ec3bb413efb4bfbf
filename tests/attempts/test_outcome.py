"""What is said of an attempt that has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.errors import CancelledError, DiskFullError, InputCorruptError, MediaJobsError
from mediajobs_dagster.models import AttemptStatus, HostFacts, JobStatus, JsonObject
from mediajobs_dagster.resilience.retry import Verdict
from tests.history.factories import claimed
from tests.platform import Platform

TICK = "storage_report_v1@2026-03-04T03:00:00Z"


@pytest.fixture
def ended(platform: Platform) -> AttemptEnded:
    """An attempt that completed its job."""
    claim = claimed(platform.history)
    recorder = Recorder.of(claim, HostFacts(hostname="here"), lambda _: None)
    return AttemptEnded(
        key=recorder.key,
        job=claim.job,
        attempt_id=claim.attempt.id,
        status=AttemptStatus.SUCCESS,
        verdict=Verdict(JobStatus.COMPLETED),
        manifest=recorder.manifest(AttemptStatus.SUCCESS),
    )


@pytest.mark.parametrize(
    ("summary", "title"),
    [
        ({}, "upload-1"),
        ({"filename": "a.mp4"}, "a.mp4"),
        ({"title": "Holidays"}, "Holidays"),
        ({"filename": "a.mp4", "title": "Holidays"}, "a.mp4"),
    ],
)
def test_it_is_named_after_what_people_know_it_by(ended: AttemptEnded, summary: JsonObject, title: str) -> None:
    """The file, or the timeline; else the subject's id."""
    manifest = ended.manifest.model_copy(update={"input_summary": summary})
    assert replace(ended, manifest=manifest).title == title


@pytest.mark.parametrize(
    ("error", "of_upload", "of_tick"),
    [
        (None, False, False),
        (CancelledError("Asked for."), False, False),
        (InputCorruptError("It is."), False, True),
        (DiskFullError(), True, True),
    ],
)
def test_operators_have_to_act_on_what_no_uploader_can_mend(
    ended: AttemptEnded, error: MediaJobsError | None, *, of_upload: bool, of_tick: bool
) -> None:
    """Of what a schedule asked for, there is no uploader."""
    scheduled = ended.job.model_copy(update={"subject_id": TICK})
    assert replace(ended, error=error).concerns_operators is of_upload
    assert replace(ended, error=error, job=scheduled).concerns_operators is of_tick


@pytest.mark.parametrize("status", list(JobStatus))
def test_it_succeeded_if_nothing_is_left_to_do(ended: AttemptEnded, status: JobStatus) -> None:
    """What another worker completed meanwhile is no success of this one."""
    is_done = status in (JobStatus.COMPLETED, JobStatus.SKIPPED)
    assert replace(ended, verdict=Verdict(status)).succeeded is is_done
    assert replace(ended, verdict=Verdict(status), is_stale=True).succeeded is False
