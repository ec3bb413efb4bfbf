"""The nouns: ids that sort, values that cannot be changed, statuses that know where they may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from mediajobs_dagster.models import (
    AttemptStatus,
    JobStatus,
    MediaInfo,
    VideoStream,
    derived_id,
    new_id,
    new_trace_id,
    utc_now,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_sort_by_the_time_they_were_made() -> None:
    """Also those of one millisecond: lists page by them. Many at once are not dated into the future."""
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert made[-1] < derived_id(utc_now() + timedelta(milliseconds=2), "x")


def test_a_derived_id_is_always_the_same() -> None:
    """The same moment and basis name the same thing in every process; another basis another one."""
    assert derived_id(NOON, "upload_thumb_v1") == derived_id(NOON, "upload_thumb_v1")
    assert derived_id(NOON, "upload_thumb_v1") != derived_id(NOON, "upload_edit_proxy_v1")
    assert derived_id(NOON, "a") < derived_id(NOON + timedelta(milliseconds=1), "a")


@pytest.mark.parametrize("made", [new_id(), derived_id(NOON, "x")], ids=["fresh", "derived"])
def test_ids_are_uuids_of_version_7(made: str) -> None:
    """RFC 9562: the time in front, version and variant where they belong."""
    assert UUID(made).version == 7
    assert UUID(made).variant == "specified in RFC 4122"


def test_a_derived_id_sorts_among_those_of_its_time() -> None:
    """It carries its moment as a fresh id carries the present."""
    before, derived, after = new_id(), derived_id(utc_now() + timedelta(seconds=1), "x"), new_id()
    assert before < after < derived


def test_trace_ids_are_those_of_w3c() -> None:
    """32 hexadecimal digits, https://www.w3.org/TR/trace-context/#trace-id."""
    made = new_trace_id()
    assert len(made) == 32
    assert int(made, 16) > 0


def test_now_has_a_zone() -> None:
    """Naive times never get in."""
    assert utc_now().utcoffset() == timedelta(0)


# --- values ----------------------------------------------------------------------------------------------------------


def test_a_value_cannot_be_changed() -> None:
    """A change is a copy."""
    info = MediaInfo(container="mov", duration_seconds=1.0, bytes=1)
    with pytest.raises(ValidationError, match="frozen"):
        info.bytes = 2  # pyright: ignore[reportAttributeAccessIssue]
    assert info.model_copy(update={"bytes": 2}).bytes == 2
    assert info.bytes == 1


def test_a_value_refuses_what_it_does_not_know() -> None:
    """A field that was misspelt is not lost in silence."""
    with pytest.raises(ValidationError, match="duration"):
        MediaInfo.model_validate({"container": "mov", "durationSeconds": 1.0, "bytes": 1, "duration": 1.0})


def test_json_is_camel_case_and_reads_back() -> None:
    """What is stored is what was there."""
    info = MediaInfo(
        container="mov",
        duration_seconds=1.0,
        bytes=1,
        video=(VideoStream(index=0, codec="h264", width=640, height=360, sample_aspect=(4, 3), rotation=90),),
    )
    stored = info.to_json()
    assert stored["durationSeconds"] == 1.0
    assert stored["video"][0]["sampleAspect"] == [4, 3]
    assert MediaInfo.model_validate(stored) == info


@pytest.mark.parametrize(
    ("transfer", "is_hdr"), [("smpte2084", True), ("arib-std-b67", True), ("bt709", False), (None, False)]
)
def test_hdr_is_told_by_the_transfer(transfer: str | None, is_hdr: bool) -> None:
    """PQ and HLG are; the pixel format says nothing about it."""
    assert VideoStream(index=0, codec="hevc", width=1, height=1, transfer=transfer).is_hdr is is_hdr


# --- status ----------------------------------------------------------------------------------------------------------

LEGAL = {
    JobStatus.QUEUED: "processing skipped cancelled",
    JobStatus.PROCESSING: "queued completed failed dead skipped cancelled",
    JobStatus.FAILED: "processing queued cancelled",
    JobStatus.COMPLETED: "queued",
    JobStatus.DEAD: "queued",
    JobStatus.SKIPPED: "queued",
    JobStatus.CANCELLED: "queued",
}


@pytest.mark.parametrize("status", JobStatus)
def test_where_a_job_may_go(status: JobStatus) -> None:
    """Exactly there, and nowhere else."""
    assert {other for other in JobStatus if status.may_become(other)} == {
        JobStatus(name) for name in LEGAL[status].split()
    }


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_waits_or_is_worked_on_or_rests(status: JobStatus) -> None:
    """One of the three, and where it rests only a person asks for it again."""
    assert status.is_final + status.is_waiting + (status is JobStatus.PROCESSING) == 1
    if status.is_final:
        assert [other for other in JobStatus if status.may_become(other)] == [JobStatus.QUEUED]
    if status.is_waiting:
        assert status.may_become(JobStatus.PROCESSING)
        assert status.may_become(JobStatus.CANCELLED)


def test_an_attempt_is_over_unless_it_runs() -> None:
    """A lost one too."""
    assert [status for status in AttemptStatus if not status.is_final] == [AttemptStatus.RUNNING]
