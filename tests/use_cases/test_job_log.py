"""The job log of an installation: what its entries say, and that each job that ends gets one."""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from mediajobs_dagster import AttemptFilter, JobLogger
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import DiskFullError
from mediajobs_dagster.history.job_log_entry import KEYS
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, FollowUp, JobStatus, Upload, new_id, result_origin, utc_now
from mediajobs_dagster.records import LeaseLost, Record
from mediajobs_dagster.storage.keys import attempt_key
from mediajobs_dagster.transcripts.model import Method, Transcript
from mediajobs_dagster.use_cases.job_log import JobLogListener
from mediajobs_dagster.use_cases.job_log.entries import About, GuideFiles, Lengths, entry_of
from tests.clips import Clips
from tests.history.factories import NOON, an_attempt, claimed, ended
from tests.history.test_videos import found, only, stored
from tests.platform import Platform
from tests.study.guides import GivenTranscript, Guides
from tests.study.guides import registry as guide_registry
from tests.use_cases.talks import ASSESSMENT, NOTES, SAID, STAGES, TITLE, Studied, Transcribed

OpenPlatform = Callable[..., Platform]
THUMB = Thumbnail.name
ATTEMPT = "0190a1b2-c3d4-7e5f-8a9b-000000000001"
ABOUT = About("abc123", "Introduction to Machine Learning", "https://youtu.be/abc123")


def a_manifest(*stages: tuple[str, int, str], error_in: str | None = None, code: str = "", **more: Any) -> Any:
    """The manifest of an attempt with these stages: name, milliseconds, status."""
    error = {"code": code, "message": "…", "blame": "external", "retryable": False, "stage": error_in}
    return {
        "jobId": "job-1",
        "jobType": "study_guide_v1",
        "attempt": 1,
        "traceId": None,
        "runId": None,
        "status": "success",
        "startedAt": NOON.isoformat(),
        "finishedAt": NOON.isoformat(),
        "durationMs": 0,
        "queueMs": 0,
        "inputSummary": {"subjectId": "u", "params": {"subject": "AI"}},
        "stages": [
            {"name": name, "startedAt": NOON.isoformat(), "durationMs": took, "status": status}
            for name, took, status in stages
        ],
        "errors": [error] if code else [],
        "metrics": {"host": {"hostname": "worker-1"}},
        "timeLedger": {"queueMs": 0},
        "versions": {},
        **more,
    }


# --- what an entry says ----------------------------------------------------------------------------------------------


def test_the_entry_of_a_study_guide() -> None:
    """Every key of the guide, as it has it; files lie below the attempt's own folder."""
    files = [f"{TITLE}.md", f"Assessment_{TITLE}.md", f"pdfs/{TITLE}.pdf", f"pdfs/Assessment_{TITLE}.pdf"]
    notes, assessment, notes_pdf, assessment_pdf = (attempt_key(f"notes/AI/{each}", ATTEMPT) for each in files)
    made = (assessment_pdf, notes, notes_pdf, assessment)
    stages = zip(STAGES, (5200, 25_000, 10_000, 500, 4500), strict=True)
    attempt = an_attempt(
        job_id="job-1",
        job_name="study_guide_v1",
        trace_id="a" * 32,
        completed_at=NOON + timedelta(seconds=45.2),
        duration_ms=45_200,
        manifest=a_manifest(*((name, took, "ok") for name, took in stages)),
        result={"fingerprint": "f", "outputs": [{"key": key} for key in made], "children": []},
    )
    entry = entry_of(
        attempt, ABOUT, transcript=SAID, lengths=Lengths(5200, 3400), exists=lambda key: key != assessment_pdf
    )
    assert entry.to_json() == {
        "job_id": "job-1",
        "job_type": "study_guide_v1",
        "trace_id": "a" * 32,
        "video_id": "abc123",
        "url": "https://youtu.be/abc123",
        "subject": "AI",
        "worker_id": "worker-1",
        "video_title": "Introduction to Machine Learning",
        "transcript": "Machines learn from examples. Nobody tells them the rule.",
        "transcript_metadata": {"duration": "15:30", "length": 57, "method": "subtitles"},
        "has_notes": True,
        "has_assessment": True,
        "notes_length": 5200,
        "assessment_length": 3400,
        "output_dir": "notes/AI",
        "notes_filepath": f"notes/AI/{ATTEMPT}/{TITLE}.md",
        "assessment_filepath": f"notes/AI/{ATTEMPT}/Assessment_{TITLE}.md",
        "notes_file_exists": True,
        "assessment_file_exists": True,
        "pdf_subdir": "notes/AI/pdfs",
        "notes_pdf_path": f"notes/AI/pdfs/{ATTEMPT}/{TITLE}.pdf",
        "assessment_pdf_path": f"notes/AI/pdfs/{ATTEMPT}/Assessment_{TITLE}.pdf",
        "notes_pdf_exists": True,
        "assessment_pdf_exists": False,
        "stage": "completed",
        "success": True,
        "error": None,
        "error_code": None,
        "start_time": NOON.timestamp(),
        "end_time": NOON.timestamp() + 45.2,
        "processing_duration": 45.2,
        "timings": {
            "fetch_transcript": 5.2,
            "generate_notes": 25.0,
            "generate_assessment": 10.0,
            "write_files": 0.5,
            "export_pdfs": 4.5,
        },
        "files_created": [notes, assessment, notes_pdf, assessment_pdf],
        "total_files": 4,
        "logged_at": None,
    }


def test_the_entry_of_a_media_job_has_every_key() -> None:
    """What does not apply is null; what it made is told."""
    attempt = an_attempt(
        job_id="job-1",
        job_name=THUMB,
        manifest=a_manifest(("probe", 20, "ok"), ("ffmpeg", 30, "ok"), ("ffmpeg", 40, "ok"), inputSummary={}),
        result={"outputs": [{"key": f"thumbs/uploads/u/{ATTEMPT}/thumb.jpg"}]},
    )
    entry = entry_of(attempt, About("u", "talk.mp4"))
    plain = entry.to_json()
    assert tuple(plain) == KEYS
    assert plain["timings"] == {"probe": 0.02, "ffmpeg": 0.07}
    assert (plain["files_created"], plain["total_files"]) == ([f"thumbs/uploads/u/{ATTEMPT}/thumb.jpg"], 1)
    assert (plain["output_dir"], plain["stage"], plain["has_notes"]) == ("thumbs/uploads/u", "completed", False)
    nothing = {key for key, value in plain.items() if value is None}
    assert nothing == {
        *("url", "subject", "transcript", "transcript_metadata", "notes_length", "assessment_length"),
        *("notes_filepath", "assessment_filepath", "notes_file_exists", "assessment_file_exists"),
        *("pdf_subdir", "notes_pdf_path", "assessment_pdf_path", "notes_pdf_exists", "assessment_pdf_exists"),
        *("error", "error_code", "logged_at"),
    }


@pytest.mark.parametrize(
    ("stages", "error_in", "stage"),
    [
        ([("fetch_transcript", 1, "X")], "fetch_transcript", "fetching_transcript"),
        ([("fetch_transcript", 8300, "ok"), ("generate_notes", 4000, "X")], "generate_notes", "generating_notes"),
        ([("generate_assessment", 1, "X")], "generate_assessment", "generating_assessment"),
        ([("write_files", 1, "X")], "write_files", "writing_files"),
        ([("export_pdfs", 1, "X")], "export_pdfs", "exporting_pdfs"),
        ([("check", 1, "ok"), ("fetch_transcript", 1, "ok")], None, "transcript_fetched"),
        ([("generate_notes", 1, "ok")], None, "notes_generated"),
        ([("generate_notes", 1, "INTERRUPTED")], None, "generating_notes"),
        ([("check", 1, "ok"), ("probe", 1, "X")], "probe", "probe"),
        ([("check", 1, "ok")], None, "check"),
        ([], None, "started"),
    ],
)
def test_a_failure_says_where(stages: list[tuple[str, int, str]], error_in: str | None, stage: str) -> None:
    """Within a stage of a study guide, or behind it; of any other job by the stage's own name."""
    attempt = an_attempt(
        job_id="job-1",
        status=AttemptStatus.FAILURE,
        error_code="SERVICE_LIMITED",
        error="API rate limit exceeded: 429 Too Many Requests",
        manifest=a_manifest(*stages, error_in=error_in, code="SERVICE_LIMITED"),
    )
    entry = entry_of(attempt, ABOUT)
    assert (entry.stage, entry.success, entry.error_code) == (stage, False, "SERVICE_LIMITED")
    assert entry.error == "SERVICE_LIMITED: API rate limit exceeded: 429 Too Many Requests"
    assert (entry.files_created, entry.total_files) == ((), 0)


def test_an_attempt_without_a_manifest_makes_an_entry_too() -> None:
    """What is known is in its row."""
    entry = entry_of(an_attempt(job_id="j", status=AttemptStatus.LOST, error_code="WORKER_LOST"), ABOUT)
    assert (entry.stage, entry.timings, entry.subject) == ("started", {}, None)
    assert entry.error == "WORKER_LOST: not known"


def test_what_was_up_to_date_is_complete_and_made_nothing() -> None:
    """Its files are named all the same; what was not worth starting is neither complete nor failed."""
    keys = [f"notes/AI/{ATTEMPT}/Talk.md"]
    skipped = an_attempt(job_id="j", status=AttemptStatus.SKIPPED)
    entry = entry_of(skipped.model_copy(update={"result": {"skipped": "up_to_date", "upToDate": keys}}), ABOUT)
    assert (entry.stage, entry.success, entry.files_created, entry.has_notes) == ("completed", True, (), True)
    assert (entry.notes_filepath, entry.notes_file_exists) == (keys[0], None)
    entry = entry_of(skipped.model_copy(update={"result": {"skipped": "quota"}}), ABOUT)
    assert (entry.stage, entry.success, entry.error) == ("skipped", True, None)


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (930.2, "15:30"), (3723, "1:02:03")])
def test_lengths_are_told_as_people_say_them(seconds: float, shown: str) -> None:
    transcript = Transcript(method=Method.SPEECH, duration_seconds=seconds)
    metadata = entry_of(an_attempt(job_id="j"), ABOUT, transcript=transcript).transcript_metadata
    assert metadata is not None
    assert (metadata.duration, metadata.length, metadata.method) == (shown, 0, "speech")


def test_notes_that_are_called_as_an_assessment() -> None:
    """The assessment is the one that is called as the other, with a word before it."""
    keys = ["notes/AI/Assessment_Assessment_of_AI.md", "notes/AI/Assessment_of_AI.md", "thumbs/a.md"]
    assert GuideFiles.among(keys) == GuideFiles(notes=keys[1], assessment=keys[0])
    assert GuideFiles.among(keys[1:]) == GuideFiles(notes=keys[1])


# --- each job that ends gets one -------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> JobLogger:
    return JobLogger(tmp_path / "notes" / "processing_log.json")


@pytest.fixture
def logging_platform(open_platform: OpenPlatform, log: JobLogger) -> Platform:
    """One whose setting names a log, with the job types of study guides and a medium one."""
    registry = Registry([Transcribed(), Studied(), Thumbnail()])
    return open_platform(registry=registry, job_log=log.path, max_attempts=2)


def work(platform: Platform) -> None:
    """As a worker does, with the listeners that the settings name."""
    platform.work(platform.media.listeners.tell)


def ask(platform: Platform, upload: Upload, job_type: JobType, **params: Any) -> None:
    request = job_type.request(upload, trace_id=upload.trace_id, params=params, max_attempts=2)
    platform.history.jobs.enqueue([request])


def test_a_study_guide_is_logged_as_it_ends(logging_platform: Platform, clips: Clips, log: JobLogger) -> None:
    """With its transcript, the lengths of its texts, and whether its files are there."""
    platform = logging_platform
    upload = platform.add(clips.landscape(), Transcribed.name)
    work(platform)
    ask(platform, upload, Studied(), subject="Machine_Learning")
    work(platform)
    transcribed, studied = log.get_all_jobs()
    assert (transcribed["job_type"], transcribed["transcript"]) == ("transcript_v1", SAID.text)
    assert transcribed["output_dir"] == f"transcripts/uploads/{upload.id}"
    assert studied["job_id"] == platform.job(upload, Studied.name).id
    assert (studied["trace_id"], studied["video_id"], studied["url"]) == (upload.trace_id, upload.id, None)
    assert (studied["subject"], studied["video_title"]) == ("Machine_Learning", upload.filename)
    assert studied["transcript_metadata"] == {"duration": "15:30", "length": len(SAID.text), "method": "subtitles"}
    assert (studied["notes_length"], studied["assessment_length"]) == (len(NOTES), len(ASSESSMENT))
    assert all(studied[key] is True for key in KEYS if key.endswith("_exists"))
    assert set(STAGES) < set(studied["timings"])
    assert sum(studied["timings"].values()) <= studied["processing_duration"] + 0.001
    assert studied["files_created"] == sorted(
        platform.current_keys(upload, Studied.name), key=lambda key: "pdfs" in key
    )
    assert studied["worker_id"] == platform.settings.host
    assert 0 <= studied["end_time"] - studied["start_time"] - studied["processing_duration"] < 1


def test_a_chain_that_ends_early_is_found_by_its_subject(open_platform: OpenPlatform, tmp_path: Path) -> None:
    """What was to become a study guide of a field, however far it came; with the job types that there are."""
    platform = open_platform(registry=guide_registry())
    talks = [Guides(platform).talk(tmp_path / f"{name}.mp4", SAID) for name in ("whole", "broken")]
    guide = FollowUp(job_type=Studied.name, params={"subject": "AI"})
    for upload, document in zip(talks, (SAID.model_dump_json(by_alias=True), "{"), strict=True):
        request = GivenTranscript().request(
            upload, trace_id=upload.trace_id, params={"document": document}, anew=True, follow_up=[guide]
        )
        platform.history.jobs.enqueue([request])
    platform.work()
    platform.work()
    chain = [entry for entry in platform.media.job_log_entries() if entry.subject == "AI"]
    assert sorted((each.job_type, each.stage, each.total_files) for each in chain) == [
        (Studied.name, "completed", 4),
        (Transcribed.name, "completed", 1),
        (Transcribed.name, "verify", 0),
    ]
    (made,) = (each for each in chain if each.job_type == Studied.name)
    assert made.notes_filepath == made.files_created[0]
    assert made.transcript == SAID.text
    assert set(STAGES) < set(made.timings)
    assert all(getattr(made, key) is True for key in KEYS if key.endswith("_exists"))


def test_a_job_that_is_tried_again_is_logged_when_it_ends(
    logging_platform: Platform, clips: Clips, log: JobLogger
) -> None:
    """Once, by its last attempt."""
    platform = logging_platform
    upload = platform.add(clips.landscape(), Transcribed.name)
    ask(platform, upload, Studied(), fails_in="generate_notes", retryable=True)
    work(platform)
    assert [entry["job_type"] for entry in log.get_all_jobs()] == ["transcript_v1"]
    work(platform)
    (failed,) = log.get_failed_jobs()
    assert (failed["stage"], failed["error"]) == ("generating_notes", "SERVICE_FAILED: The writer is busy")
    assert platform.job(upload, Studied.name).status is JobStatus.DEAD
    assert log.get_statistics()["error_types"] == {"SERVICE_FAILED": 1}


def test_a_job_that_ends_with_its_worker_is_logged(logging_platform: Platform, clips: Clips, log: JobLogger) -> None:
    """No attempt tells of that end: recovery does. One that will be tried again has not ended."""
    platform = logging_platform
    upload, history = platform.add(clips.landscape(), THUMB), platform.history
    platform.media.dispatcher.next(THUMB, batch_size=1)
    claim = history.leases.claim(platform.job(upload, THUMB).dispatch_id or "", run_id="run", host="w7", lease_s=60)
    assert claim
    lost = LeaseLost(job=claim.job, attempt_id=claim.attempt.id, host="w7")
    platform.media.listeners.tell(lost)
    assert log.get_all_jobs() == []
    ended = {"status": AttemptStatus.LOST, "completed_at": utc_now(), "duration_ms": 1, "error_code": "WORKER_LOST"}
    assert history.leases.finish(claim.attempt.model_copy(update=ended), job_status=JobStatus.DEAD)
    platform.media.listeners.tell(lost)
    (entry,) = log.get_all_jobs()
    assert (entry["worker_id"], entry["error_code"], entry["stage"]) == ("w7", "WORKER_LOST", "started")


def test_a_job_whose_worker_died_before_it_logged_it(
    open_platform: OpenPlatform, logging_platform: Platform, clips: Clips, log: JobLogger
) -> None:
    """Killed just after it had recorded the end: the next attempt on that machine logs the job, and it does so once."""
    platform = logging_platform
    platform.add(clips.landscape(), THUMB)

    def die(record: Record) -> None:
        if isinstance(record, AttemptEnded):
            os.kill(os.getpid(), signal.SIGKILL)

    def work_and_die() -> None:
        own = open_platform(registry=platform.registry, job_log=log.path)
        own.work(die, own.media.listeners.tell)

    worker = multiprocessing.get_context("fork").Process(target=work_and_die)
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    assert log.get_all_jobs() == []

    platform.add(clips.no_audio(), THUMB)
    work(platform)
    told = [entry.to_json() for entry in platform.media.job_log_entries()]
    assert len(told) == 2
    assert sorted(map(without_moment, log.get_all_jobs())) == sorted(map(without_moment, told))
    assert list(platform.settings.unlogged.iterdir()) == []


def test_what_was_logged_is_not_logged_again(logging_platform: Platform, clips: Clips, log: JobLogger) -> None:
    """A process may die after it has logged a job, before it forgets it; what nobody knows is forgotten too."""
    platform = logging_platform
    upload = platform.add(clips.landscape(), THUMB)
    work(platform)
    for each in (platform.attempts(upload, THUMB)[0].id, new_id()):
        (platform.settings.unlogged / each).touch()
    platform.add(clips.no_audio(), THUMB)
    work(platform)
    assert len(log.get_all_jobs()) == 2
    assert list(platform.settings.unlogged.iterdir()) == []


def test_what_a_full_disk_kept_out_is_logged_later(
    logging_platform: Platform, clips: Clips, log: JobLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, by the next attempt on that machine."""
    platform = logging_platform
    first = platform.add(clips.landscape(), THUMB)
    with monkeypatch.context() as full:
        full.setattr(JobLogger, "log_jobs_batch", Mock(side_effect=DiskFullError()))
        work(platform)
    assert platform.job(first, THUMB).status is JobStatus.COMPLETED
    assert log.get_all_jobs() == []
    for clip in (clips.no_audio(), clips.detailed()):
        platform.add(clip, THUMB)
        work(platform)
    told = [entry.to_json() for entry in platform.media.job_log_entries()]
    assert sorted(map(without_moment, log.get_all_jobs())) == sorted(map(without_moment, told))
    assert list(platform.settings.unlogged.iterdir()) == []


def test_a_job_that_is_cancelled_is_logged_by_its_last_attempt(
    logging_platform: Platform, clips: Clips, log: JobLogger
) -> None:
    """One that waits for its next attempt at once, one at work when that has stopped, one without any not at all."""
    platform, history, media = logging_platform, logging_platform.history, logging_platform.media
    media.cancel(platform.job(platform.add(clips.landscape(), Transcribed.name), Transcribed.name).id)
    upload = platform.register(clips.landscape())
    ask(platform, upload, Studied(), fails_in="write_files", retryable=True)
    work(platform)
    assert log.get_all_jobs() == []
    media.cancel(platform.job(upload, Studied.name).id)
    assert [entry["stage"] for entry in log.get_all_jobs()] == ["writing_files"]

    running = claimed(history, subject_id=upload.id)
    media.cancel(running.job.id)
    assert list(media.job_log_entries(AttemptFilter(job_id=running.job.id))) == []
    assert len(log.get_all_jobs()) == 1
    history.leases.give_up(ended(running, AttemptStatus.CANCELLED, error_code="CANCELLED", error="It was cancelled."))
    (entry,) = media.job_log_entries(AttemptFilter(job_id=running.job.id))
    assert (entry.success, entry.error, entry.stage) == (False, "CANCELLED: It was cancelled.", "started")


def test_a_log_that_cannot_be_written_is_not_felt(
    logging_platform: Platform, clips: Clips, log: JobLogger, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs are done; the process's log says once what is wrong, and the file is left as it is."""
    log.path.parent.mkdir()
    log.path.write_text("somebody's notes")
    uploads = [logging_platform.add(each, THUMB) for each in (clips.landscape(), clips.text_named_mp4())]
    with caplog.at_level(logging.ERROR):
        work(logging_platform)
    assert [logging_platform.job(each, THUMB).status for each in uploads] == [JobStatus.COMPLETED, JobStatus.DEAD]
    assert log.path.read_text() == "somebody's notes"
    (said,) = [each.getMessage() for each in caplog.records if "is not a job log" in each.getMessage()]
    assert str(log.path) in said


def test_a_storage_that_is_away_costs_what_is_read_from_it(
    logging_platform: Platform, clips: Clips, log: JobLogger, caplog: pytest.LogCaptureFixture
) -> None:
    """The entry is written all the same."""
    platform = logging_platform
    upload = platform.add(clips.landscape(), Transcribed.name)
    ask(platform, upload, Studied())
    platform.work()
    (transcript,) = platform.current_keys(upload, Transcribed.name)
    platform.output(transcript).write_text("{}")
    for key in platform.current_keys(upload, Studied.name):
        platform.storage.delete(key)
    entries = {entry.job_type: entry for entry in platform.media.job_log_entries()}
    studied = entries[Studied.name]
    assert (studied.transcript, studied.has_notes, studied.notes_length) == (None, True, None)
    assert studied.notes_file_exists is studied.assessment_pdf_exists is False
    assert "is no transcript" in caplog.text


def test_what_was_fetched_has_its_address(logging_platform: Platform, clips: Clips) -> None:
    """The job on a video, and a job on the upload that it made, are both about that video. Passwords are left out."""
    platform, history = logging_platform, logging_platform.history
    stored(history, found("abc123", title="A talk", address="https://me:pass@example.com/w?v=abc123"))
    fetching = claimed(history, job_type="ingest_video_v1", subject_id=only(history).id)
    history.leases.finish(ended(fetching), job_status=JobStatus.COMPLETED)
    upload = platform.register(clips.landscape())
    made = upload.model_copy(update={"id": new_id(), "origin": result_origin(fetching.job.id, "talk.mp4")})
    ask(platform, history.uploads.add(made), Thumbnail())
    platform.work()
    entries = list(platform.media.job_log_entries())
    assert [each.job_type for each in entries] == [THUMB, "ingest_video_v1"]
    assert {(each.video_id, each.video_title) for each in entries} == {("abc123", "A talk")}
    assert {each.url for each in entries} == {"https://<redacted>@example.com/w?v=abc123"}


# --- the whole history -----------------------------------------------------------------------------------------------


def test_the_history_gives_the_same_log(
    logging_platform: Platform, clips: Clips, log: JobLogger, tmp_path: Path
) -> None:
    """Entry by entry, the newest first, as a file that a logger goes on with."""
    platform = logging_platform
    upload = platform.add(clips.landscape(), Transcribed.name, THUMB)
    platform.add(clips.text_named_mp4(), THUMB)
    work(platform)
    ask(platform, upload, Studied(), fails_in="export_pdfs")
    ask(
        platform,
        platform.add(clips.landscape(), THUMB, force=True),
        Studied(),
        fails_in="fetch_transcript",
        retryable=True,
    )
    work(platform)
    out = io.StringIO()
    count = platform.media.export_job_log(out)
    exported = JobLogger(tmp_path / "exported.json")
    exported.path.write_text(out.getvalue())
    entries = exported.get_all_jobs()
    assert count == len(entries) == 5
    assert set(map(without_moment, entries)) == set(map(without_moment, log.get_all_jobs()))
    starts = [each["start_time"] for each in entries]
    assert starts == sorted(starts, reverse=True)
    exported.log_job(entries[0])
    assert len(json.loads(exported.path.read_bytes())) == 6
    failed = platform.media.job_log_entries(AttemptFilter(statuses=(AttemptStatus.FAILURE,)))
    assert sorted(entry.stage for entry in failed) == ["exporting_pdfs", "probe"]


def without_moment(entry: dict[str, Any]) -> str:
    return json.dumps(entry | {"logged_at": None})


def test_a_history_without_an_end_is_an_empty_log(platform: Platform) -> None:
    out = io.StringIO()
    assert platform.media.export_job_log(out) == 0
    assert out.getvalue() == "[\n]\n"


def test_only_who_wants_a_log_pays_for_it(platform: Platform) -> None:
    """Without the setting there is no such listener."""
    assert platform.settings.job_log is None
    assert not any(isinstance(each, JobLogListener) for each in platform.media.listeners._listeners)
