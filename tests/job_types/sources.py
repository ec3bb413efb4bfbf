"""Sources to plan from: what ffprobe once said of real clips, and small variations of it. No ffmpeg is run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.media.probe import parse_probe
from mediajobs_dagster.models import Job, JobStatus, MediaInfo, Upload, UploadRole, VideoStream

SAVED = Path(__file__).parent.parent / "media" / "probes"
UPLOAD_ID = "019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01"


def saved(name: str) -> MediaInfo:
    """What was probed of one of the test clips."""
    return parse_probe(json.loads((SAVED / f"{name}.json").read_text()))


def variant(name: str, *, picture: dict[str, Any] | None = None, **changes: Any) -> MediaInfo:
    """A saved probe with some figures changed; `picture` changes those of its video track."""
    info = saved(name)
    if picture:
        changes["video"] = tuple(track.model_copy(update=picture) for track in info.video)
    return info.model_copy(update=changes)


def sixty_fps() -> MediaInfo:
    """The plain clip at 60 frames a second."""
    return variant("video_with_cover", picture={"fps": 60.0})


def short() -> MediaInfo:
    """The plain clip, but 0.1 s of it."""
    return variant("video_with_cover", duration_seconds=0.1)


def streamed() -> MediaInfo:
    """A recording that was streamed, as browsers make them: nothing in it says how long it is."""
    return variant("matroska", duration_seconds=0.0, picture={"duration_seconds": None}, audio=())


def upload(**overrides: Any) -> Upload:
    """An upload with every field filled in."""
    values: dict[str, Any] = {
        "id": UPLOAD_ID,
        "role": UploadRole.SOURCE,
        "storage_key": f"uploads/{UPLOAD_ID}/source",
        "filename": "holiday.mov",
        "bytes": 1000,
        "etag": "abc",
        "created_at": datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC),
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    return Upload(**values | overrides)


def job() -> Job:
    """A job that is being attempted."""
    now = datetime(2026, 3, 5, tzinfo=UTC)
    return Job(
        id="019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c02",
        job_type="create_video_export_v1",
        subject_id="019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c03",
        subject_day=now.date(),
        trace_id="0af7651916cd43dd8448eb211c80319c",
        idempotency_key="export",
        status=JobStatus.PROCESSING,
        attempts=1,
        not_before=now,
        created_at=now,
        updated_at=now,
    )


def source(info: MediaInfo) -> Source:
    """That media as a planner gets it."""
    return Source(upload(), info)


def a_picture(**overrides: Any) -> VideoStream:
    """A video track of 640x360."""
    return VideoStream(**{"index": 0, "codec": "h264", "width": 640, "height": 360} | overrides)
