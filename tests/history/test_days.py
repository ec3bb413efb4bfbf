"""How a day stands for a job type, on both engines: by what is pointed at, and else by the newest job."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import DayStanding, History, WithoutOutput, first_day_of
from mediajobs_dagster.models import AttemptStatus, JobStatus, SubjectKind, Timeline
from tests.history.factories import DAY, NOON, THUMB, TRACE, an_upload, claimed, ended

UPLOAD = SubjectKind.UPLOAD


def asked(history: History, name: str, status: JobStatus, *, blame: Blame = Blame.INPUT, hours: int = 0) -> str:
    """An upload of the day whose job ended that way; returns its id."""
    upload = history.uploads.add(an_upload(filename=name, created_at=NOON + timedelta(hours=hours)))
    claim = claimed(history, subject_id=upload.id)
    good = {
        "rtf": 2.0,
        "media_seconds": 10.0,
        "duration_ms": 5000,
        "bytes_out": 7,
        "cpu_seconds": 1.5,
        "max_rss_mb": 9.0,
    }
    bad = {"error_code": "CODE", "blame": blame, "error": f"{name} is broken."}
    is_made = status is JobStatus.COMPLETED
    how = AttemptStatus.SUCCESS if is_made else AttemptStatus.FAILURE
    history.leases.finish(ended(claim, how, **good if is_made else bad), job_status=status)
    return upload.id


def test_a_day_is_counted_by_its_subjects(history: History) -> None:
    """Made, dead, waiting; the figures are those of what was made. Other days and other types do not count."""
    asked(history, "a.mp4", JobStatus.COMPLETED)
    asked(history, "b.mp4", JobStatus.COMPLETED)
    second = asked(history, "d.mp4", JobStatus.DEAD, blame=Blame.SYSTEM, hours=2)
    first = asked(history, "c.mp4", JobStatus.DEAD, hours=1)
    asked(history, "e.mp4", JobStatus.FAILED)
    history.uploads.add(an_upload(filename="never asked for.mp4"))
    asked(history, "of another day.mp4", JobStatus.DEAD, hours=24)
    assert history.days.standing(THUMB, UPLOAD, DAY) == DayStanding(
        subjects=5,
        made=2,
        waiting=1,
        dead=2,
        faults=1,
        duration_ms=10_000,
        cpu_seconds=3.0,
        max_rss_mb=9.0,
        bytes_out=14,
        media_seconds=20.0,
        rtf_ms=10_000,
        ffmpeg_ms=0,
        bytes_in=0,
    )
    found = history.days.without_output(THUMB, UPLOAD, DAY, limit=5)
    assert [each.subject_id for each in found] == [first, second]
    assert found[0] == WithoutOutput(first, "c.mp4", found[0].job_id, "CODE", Blame.INPUT, "c.mp4 is broken.")
    assert len(history.days.without_output(THUMB, UPLOAD, DAY, limit=1)) == 1
    assert history.days.standing("another_v1", UPLOAD, DAY) == DayStanding()


def test_a_later_failure_takes_no_output_away(history: History) -> None:
    """What was made before is still there."""
    upload = history.uploads.add(an_upload())
    for status, job_status in ((AttemptStatus.SUCCESS, JobStatus.COMPLETED), (AttemptStatus.FAILURE, JobStatus.DEAD)):
        claim = claimed(history, subject_id=upload.id)
        history.leases.finish(ended(claim, status), job_status=job_status)
    standing = history.days.standing(THUMB, UPLOAD, DAY)
    assert (standing.subjects, standing.made, standing.dead) == (1, 1, 0)


@pytest.mark.parametrize("kind", [SubjectKind.TIMELINE, SubjectKind.TICK])
def test_timelines_and_ticks_have_their_names(history: History, kind: SubjectKind) -> None:
    """A timeline its title; a tick its id."""
    subject_id = "nightly_v1@2026-03-04T03:00:00Z"
    if kind is SubjectKind.TIMELINE:
        document = {"title": "A film"}
        timeline = Timeline(id="t", document=document, etag="e", created_at=NOON, trace_id=TRACE)
        subject_id = history.timelines.add(timeline).id
    claim = claimed(history, subject_id=subject_id)
    history.leases.finish(ended(claim, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    assert history.days.standing(THUMB, kind, DAY).dead == 1
    (found,) = history.days.without_output(THUMB, kind, DAY, limit=5)
    assert found.title == ("A film" if kind is SubjectKind.TIMELINE else subject_id)


def test_the_newest_job_of_each_subject(history: History) -> None:
    """With the blame of its last attempt."""
    broken, fine = asked(history, "a.mp4", JobStatus.DEAD), asked(history, "b.mp4", JobStatus.COMPLETED)
    found = history.days.newest_jobs(THUMB, [broken, fine, "unknown"])
    assert {each: (job.status, job.blame) for each, job in found.items()} == {
        broken: (JobStatus.DEAD, Blame.INPUT),
        fine: (JobStatus.COMPLETED, None),
    }


def test_the_first_day(history: History, history_url: str) -> None:
    """That of the first upload, timeline or job; it can be asked of a database that nobody has opened."""
    assert first_day_of(history_url, timeout_s=5) is None
    history.uploads.add(an_upload())
    assert first_day_of(history_url, timeout_s=5) == DAY
    history.uploads.add(an_upload(created_at=NOON - timedelta(days=9)))
    assert first_day_of(history_url, timeout_s=5) == date(2026, 2, 23)
