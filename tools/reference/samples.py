"""One of everything that a use case returns, to show how it serialises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from mediajobs_dagster.attempts.checkup import Finding
from mediajobs_dagster.attempts.forecast import Forecast
from mediajobs_dagster.history.enqueueing import Enqueued
from mediajobs_dagster.intake.adding import Added, AddedCounts, AddedUpload, Inspection
from mediajobs_dagster.intake.batch import Inspected
from mediajobs_dagster.intake.candidates import Candidate, Skipped
from mediajobs_dagster.intake.export_requests import Preview, Requested
from mediajobs_dagster.job_types.material import Access, SourceUse
from mediajobs_dagster.models import (
    IMAGE,
    Attempt,
    AttemptStatus,
    AudioStream,
    Job,
    JobStatus,
    MediaInfo,
    Upload,
    UploadRole,
    Value,
    VideoStream,
)
from mediajobs_dagster.orchestration.local_runs import WorkedOff
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.hosts import Quarantine
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.timelines.layout import Layout, Segment
from mediajobs_dagster.use_cases.answers import ExportPlan, JobDetails, JobResult, TraceResult, WrittenTimeline
from mediajobs_dagster.use_cases.overview import Disk, Failure, Overview, Queue, Running
from mediajobs_dagster.use_cases.references import NamedJob
from mediajobs_dagster.use_cases.removal import Removed, UploadDetails

_AT = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SKIPPED = (Skipped("/videos/.cache", "HIDDEN", "Its name begins with a dot."),)

JOB = Job(
    id="JOB_ID",
    job_type="upload_thumb_v1",
    subject_id="UPLOAD_ID",
    subject_day=_AT.date(),
    trace_id=_TRACE,
    idempotency_key="upload_thumb_v1/UPLOAD_ID/…",
    status=JobStatus.COMPLETED,
    attempts=1,
    not_before=_AT,
    dispatch_id=None,
    created_at=_AT,
    updated_at=_AT,
)
UPLOAD = Upload(
    id="UPLOAD_ID",
    role=UploadRole.SOURCE,
    storage_key="uploads/UPLOAD_ID/source",
    filename="talk.mp4",
    bytes=1048576,
    etag="…",
    created_at=_AT,
    trace_id=_TRACE,
)
ATTEMPT = Attempt(
    id="ATTEMPT_ID",
    job_id="JOB_ID",
    job_name="upload_thumb_v1",
    attempt=1,
    run_id="RUN_ID",
    trace_id=_TRACE,
    status=AttemptStatus.SUCCESS,
    started_at=_AT,
    duration_ms=130,
    rtf=76.9,
    created_at=_AT,
)
_PICTURE = (VideoStream(index=0, codec="h264", width=1920, height=1080),)
_SOUND = (AudioStream(index=0, codec="aac", channels=2, sample_rate=48000),)


def _upload_of(container: str, video: tuple[VideoStream, ...] = (), audio: tuple[AudioStream, ...] = ()) -> Upload:
    info = MediaInfo(container=container, duration_seconds=10, bytes=1, video=video, audio=audio)
    return UPLOAD.model_copy(update={"media_info": info})


ADDED_MEDIA = {
    "videos": _upload_of("mov", _PICTURE, _SOUND),
    "sound": _upload_of("mov", audio=_SOUND),
    "pictures": _upload_of(IMAGE, _PICTURE),
}
"""An upload of each kind."""
_NAMED_JOB = NamedJob(JOB, "talk.mp4")
_RESULT = JobResult(JOB, "talk.mp4", ATTEMPT, ("/data/objects/thumbs/uploads/UPLOAD_ID/thumb.jpg",))
_ADDED_UPLOAD = AddedUpload(upload=UPLOAD, jobs=(Enqueued(JOB, created=True),), created=True)
_CANDIDATE = cast(Candidate, SimpleNamespace(location="/videos/talk.mp4", bytes=1048576))
_LAYOUT = Layout(1920, 1080, Fraction(30), (cast(Segment, SimpleNamespace(end=300)),))
_PREVIEW = Preview(_LAYOUT, {"source": SourceUse("UPLOAD_ID", Access.RANGE)}, (), 250_000_000)

ADDED = Added(_TRACE, AddedCounts(), (_ADDED_UPLOAD,), _SKIPPED)
INSPECTION = Inspection((Inspected(_CANDIDATE),), _SKIPPED)
JOB_DETAILS = JobDetails(_NAMED_JOB, (ATTEMPT,), (_NAMED_JOB,))
TRACE = TraceResult(_TRACE, (_RESULT,))
REQUESTED = Requested(JOB, created=True, notes=("…",))
PLAN = ExportPlan(_PREVIEW, (("ffmpeg", "…"),), Forecast(12, 31.5, 24_000_000, 410.0), ("…",))
WRITTEN = WrittenTimeline(Path("edit.otio"), ("…",))
_HELD = Held(
    job_type="upload_thumb_v1",
    by=HeldBy.BREAKER,
    waiting=264,
    at=_AT,
    since=_AT,
    error_codes=("STORAGE_UNAVAILABLE",),
    retry_at=_AT,
)
UPLOAD_DETAILS = UploadDetails(UPLOAD, "/data/objects/uploads/UPLOAD_ID/source", (JOB,), _RESULT.outputs)
REMOVED = Removed(UPLOAD, ("uploads/UPLOAD_ID/source",), ("JOB_ID",), is_source_kept=False)
_ALSO_RUNNING = Running(_NAMED_JOB, ATTEMPT)
_QUEUE = Queue(JOB.job_type, "thumbnail", "light", queued=12, paused=1, processing=2, dead=1, oldest_at=JOB.created_at)
_DISKS = (Disk("data", "/data", 1, 64_000_000_000, 256_000_000_000),)
_QUARANTINE = Quarantine(
    host="render-2",
    state=BreakerState.OPEN,
    at=_AT,
    since=_AT,
    error_codes=("FFMPEG_MISSING",),
    jobs=3,
    retry_at=_AT,
)
_FAILURES = (Failure(ATTEMPT, "talk.mp4", JobStatus.COMPLETED),)
_OVERVIEW = Overview(JOB.created_at, (_QUEUE,), (_HELD,), (_QUARANTINE,), (_ALSO_RUNNING,), _FAILURES, _DISKS)
OVERVIEW: dict[str, Any] = {"up": "process 42, console at http://127.0.0.1:3000", **_OVERVIEW.to_json()}
FINDINGS = [Finding("ffmpeg", fine=True, detail="ffmpeg 8.1.2, …")]
WORKED_OFF: dict[str, Any] = {**WorkedOff(runs=3, held={"upload_thumb_v1": _HELD}).to_json(), "attempts": ["…"]}
FAILURE = {"error": {"code": "NOT_FOUND", "message": "There is no job nope.", "blame": "input", "retryable": False}}
FAULTS = {
    "error": {
        "code": "TIMELINE_INVALID",
        "message": "The timeline has 1 fault, and nothing was enqueued: …",
        "blame": "input",
        "retryable": False,
        "faults": [{"path": "track[0].source", "message": "…"}],
        "more": 0,
    }
}

_NAMED: tuple[Value, ...] = (JOB, UPLOAD, ATTEMPT)


def shown(document: object) -> str:
    """A document as JSON. In place of a job, an upload or an attempt stands what it is."""
    folded = json.dumps(_folded(_plain(document)), indent=2, ensure_ascii=False)
    return f"```json\n{folded}\n```"


def _plain(document: object) -> object:
    if isinstance(document, list):
        return [_plain(each) for each in cast("list[object]", document)]
    return cast("Any", document).to_json() if hasattr(document, "to_json") else document


def _folded(document: object) -> object:
    if isinstance(document, list):
        return [_folded(each) for each in cast("list[object]", document)]
    if not isinstance(document, dict):
        return document
    fields = cast("dict[str, object]", document)
    for value in _NAMED:
        known = value.to_json()
        if known.items() <= fields.items():
            rest = {name: each for name, each in fields.items() if name not in known}
            return {"…": f"every field of {type(value).__name__}", **rest}
    return {name: _folded(each) for name, each in fields.items()}
