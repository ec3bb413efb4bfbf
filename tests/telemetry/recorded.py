"""Attempts with manifests, for traces of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from mediajobs_dagster.attempts.manifest import Manifest, StageRecord
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.history import Claim
from mediajobs_dagster.models import (
    Attempt,
    AttemptStatus,
    FfmpegCommand,
    HostFacts,
    ServiceCall,
    StorageOp,
)
from tests.history.factories import ended

SIGNED = "https://host.example/video.mp4?X-Amz-Signature=0123456789abcdef&X-Amz-Credential=AKIAABCDEFGHIJKLMNOP"


def at(begin: datetime, milliseconds: int) -> datetime:
    """So many milliseconds after a moment."""
    return begin + timedelta(milliseconds=milliseconds)


def a_manifest(claim: Claim, status: AttemptStatus = AttemptStatus.SUCCESS, **overrides: Any) -> Manifest:
    """What an attempt of 900 ms did: it fetched, asked a service, ran ffmpeg and published."""
    begin = claim.attempt.started_at
    values: dict[str, Any] = {
        "started_at": begin,
        "finished_at": at(begin, 900),
        "duration_ms": 900,
        "stages": (
            StageRecord(name="fetch", started_at=at(begin, 10), duration_ms=100, status="ok"),
            StageRecord(name="ask", started_at=at(begin, 110), duration_ms=90, status="ok"),
            StageRecord(name="ffmpeg", started_at=at(begin, 200), duration_ms=600, status="ok"),
            StageRecord(name="publish", started_at=at(begin, 800), duration_ms=90, status="ok"),
        ),
        "ffmpeg_commands": (
            FfmpegCommand(
                argv=("/usr/bin/ffmpeg", "-i", SIGNED, "out.jpg"),
                started_at=at(begin, 220),
                duration_ms=500,
                exit_code=0,
                status="ok",
                cpu_seconds=0.4,
                speed=2.5,
            ),
        ),
        "s3_ops": (
            StorageOp(
                op="get",
                bucket="media",
                key="uploads/one/source",
                bytes=1000,
                started_at=at(begin, 20),
                duration_ms=80,
                status="ok",
            ),
            StorageOp(op="range_read", bucket="media", key="uploads/one/source", bytes=9, duration_ms=5, status="ok"),
            StorageOp(
                op="put",
                bucket="media",
                key="thumbs/one.jpg",
                bytes=50,
                started_at=at(begin, 810),
                duration_ms=70,
                status="ok",
            ),
        ),
        "calls": (
            ServiceCall(
                service="games",
                op="list",
                target="https://games.example:8443/v1/games?day",
                method="GET",
                http_status=200,
                started_at=at(begin, 120),
                duration_ms=60,
                status="ok",
                tries=2,
                bytes=77,
                span_id="00f067aa0ba902b7",
            ),
        ),
    }
    whole = Recorder.of(claim, HostFacts(hostname="worker-1"), lambda _: None).manifest(status)
    return whole.model_copy(update=values | overrides)


def with_manifest(claim: Claim, status: AttemptStatus = AttemptStatus.SUCCESS, **overrides: Any) -> Attempt:
    """The attempt as its worker reports it at the end, with a manifest; `overrides` change that."""
    manifest = a_manifest(claim, status, **overrides)
    return ended(
        claim,
        status,
        completed_at=manifest.finished_at,
        duration_ms=manifest.duration_ms,
        manifest=manifest.to_json(),
    )
