"""What people call things, on both engines."""

from __future__ import annotations

import io
import json

import pandas
import pytest

from mediajobs_dagster.history import AttemptFilter, History, UploadFilter, attempt_frame, export
from mediajobs_dagster.models import Job, Timeline, UploadRole, new_id, new_trace_id
from tests.history.factories import NOON, THUMB, a_new_job, an_attempt, an_upload

OTHER = "other_v1"


def asked(history: History, **overrides: object) -> Job:
    """A new job."""
    (answer,) = history.jobs.enqueue([a_new_job(**overrides)])
    return answer.job


def found(history: History, text: str) -> list[str]:
    """The ids of the jobs that the text can mean."""
    return [job.id for job in history.naming.jobs(text, limit=10)]


def test_an_id_in_any_case_and_its_beginning(history: History) -> None:
    """Both with and without dashes; fewer digits than an id has are enough where they are its own."""
    job = asked(history)
    assert found(history, job.id) == found(history, job.id.upper()) == [job.id]
    assert found(history, job.id[:20]) == found(history, job.id[:-1].upper()) == [job.id]
    assert found(history, job.id.replace("-", "")[:31]) == [job.id]
    assert found(history, job.id[:3]) == []
    assert found(history, f"{job.id}0") == found(history, "%") == found(history, "") == []


def test_jobs_by_all_that_they_belong_to(history: History) -> None:
    """Attempt, run, trace, subject, and the name of the subject."""
    upload = history.uploads.add(an_upload(filename="Talk (final).MP4"))
    trace, run = new_trace_id(), "0d1c5a0e-52d5-4b0e-9f8e-3a5f6d7c8b90"
    job = asked(history, subject_id=upload.id, trace_id=trace)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch
    claim = history.leases.claim(dispatch.id, run_id=run, host="here", lease_s=60)
    assert claim
    for text in (claim.attempt.id, run, run[:8], trace, trace[:9], upload.id, "Talk (final).MP4", "talk (FINAL)"):
        assert found(history, text) == [job.id], text
    assert [each.id for each in history.naming.attempts(run[:6], limit=9)] == [claim.attempt.id]
    assert history.naming.runs(run[:5].upper(), limit=9) == [run]
    assert history.naming.traces(trace[:6], limit=9) == [trace]
    assert found(history, "talk") == []


def test_all_that_can_be_meant(history: History) -> None:
    """Newest first, and no more than were asked for."""
    upload = history.uploads.add(an_upload(filename="talk.mp4"))
    jobs = [asked(history, subject_id=upload.id, job_type=kind).id for kind in (THUMB, OTHER)]
    assert found(history, "talk.mp4") == sorted(jobs, reverse=True)
    assert len(history.naming.jobs("talk.mp4", limit=1)) == 1
    assert history.naming.subjects("TALK", limit=9) == [upload.id]
    assert [each.id for each in history.naming.uploads(upload.id[:18], limit=9)] == [upload.id]


def test_timelines_are_called_by_their_titles(history: History) -> None:
    """Also in lists; what has no title is untitled."""
    timelines = [
        history.timelines.add(
            Timeline(id=new_id(), document=document, etag=etag, created_at=NOON, trace_id=new_trace_id())
        )
        for etag, document in (("a", {"title": "First cut"}), ("b", {}))
    ]
    upload = history.uploads.add(an_upload(filename="a.mp4"))
    ids = [*(each.id for each in timelines), upload.id, "nightly@2026"]
    assert history.naming.of_subjects(ids) == dict(zip(ids, ("First cut", "Untitled", "a.mp4"), strict=False))
    job = asked(history, subject_id=timelines[0].id)
    assert found(history, "First cut") == [job.id]


@pytest.mark.parametrize(("name", "expected"), [("TALK", 2), ("final", 1), ("%", 0), ("_", 1), (None, 3)])
def test_uploads_by_part_of_their_name(history: History, name: str | None, expected: int) -> None:
    for filename in ("talk.mp4", "Talk_final.mov", "music.m4a"):
        history.uploads.add(an_upload(filename=filename))
    listed = history.uploads.list(UploadFilter(name=name))
    assert len(listed) == expected
    assert history.uploads.list(UploadFilter(name=name, role=UploadRole.EXPORT)) == []
    pages = [each for start in [None] for each in history.uploads.list(UploadFilter(name=name), limit=1, after=start)]
    rest = history.uploads.list(UploadFilter(name=name), after=pages[0].id) if pages else []
    assert [*pages, *rest] == listed


def test_attempts_are_exported_with_the_names_of_their_subjects(history: History) -> None:
    """In every format; one whose job is gone has none."""
    upload = history.uploads.add(an_upload(filename="talk.mp4"))
    asked(history, subject_id=upload.id)
    dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch
    assert history.leases.claim(dispatch.id, run_id="run", host="here", lease_s=60)
    history.attempts.record(an_attempt(created_at=NOON))
    written = io.StringIO()
    export(history.attempts.iterate(AttemptFilter()), "jsonl", written, history.naming.of_attempts)
    assert [json.loads(line)["subjectName"] for line in written.getvalue().splitlines()] == ["talk.mp4", None]
    frame = attempt_frame(history)
    assert [None if name is pandas.NA else name for name in frame["subject_name"]] == ["talk.mp4", None]


def test_names_in_other_letters_than_a_to_z(history: History) -> None:
    """They are found in any letter case, on every database."""
    upload = history.uploads.add(an_upload(filename="Übung 50% Ärger.mp4"))
    for text in ("Übung 50% Ärger", "übung 50% ärger.MP4", "ÜBUNG 50% ÄRGER"):
        assert [each.id for each in history.naming.uploads(text, limit=5)] == [upload.id]
        assert list(history.uploads.with_stems([text], limit=5).values()) == [[upload]]
    assert history.uploads.list(UploadFilter(name="übung 50%")) == [upload]
    assert history.uploads.list(UploadFilter(name="0_Ä")) == []
