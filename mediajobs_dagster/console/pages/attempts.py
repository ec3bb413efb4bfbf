"""One attempt: what it made, why it ended as it did, where its time went, and all that it did, in tabs."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.console.pages import words
from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.commands import failed_first, readable
from mediajobs_dagster.console.pages.drawings.curves import curve_of
from mediajobs_dagster.console.pages.drawings.ledger import parts_of, verdict
from mediajobs_dagster.console.pages.drawings.waterfall import waterfall
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.pages.results import result_of
from mediajobs_dagster.console.pages.viewer import page_in_viewer
from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.storage.redaction import redact_values

router = APIRouter(include_in_schema=False)

TABS = ("summary", "commands", "storage", "calls", "errors", "resources", "manifest")


@router.get("/attempts/{reference}")
def show_attempt(request: Request, media: Media, reference: str) -> Response:
    """The summary, which is the first tab."""
    return _tab(request, media, reference, "summary")


@router.get("/attempts/{reference}/{tab}")
def show_tab(request: Request, media: Media, reference: str, tab: str) -> Response:
    """Another tab."""
    if tab not in TABS:
        raise NotFoundError(f"An attempt has no tab {tab[:50]!r}; it has {', '.join(TABS)}.")
    return _tab(request, media, reference, tab)


def _tab(request: Request, media: Media, reference: str, tab: str) -> Response:
    found = media.attempt(reference)
    of_job = media.job(found.attempt.job_id) if found.attempt.job_id else None
    manifest = found.manifest
    return render(
        request,
        "attempt.html",
        tab=tab,
        attempt=found.attempt,
        name=found.name or found.attempt.job_name,
        manifest=manifest,
        of_job=of_job,
        live=found.progress,
        of_input=_input(manifest),
        viewer=page_in_viewer(media, found.attempt.trace_id),
        result=result_of(media, found),
        **(_drawn(manifest) if manifest else {"verdict": None, "parts": (), "lines": (), "numbers": {}}),
        commands=[readable(each) for each in manifest.ffmpeg_commands] if manifest else [],
        failed_first=failed_first,
        curve_of=curve_of,
        raw=json.dumps(redact_values(found.to_json()), indent=2, ensure_ascii=False) if tab == "manifest" else "",
    )


def _input(manifest: Manifest | None) -> str | None:
    found = manifest.metrics.input if manifest else None
    if found is None:
        return None
    codecs = (found.video_codec, found.audio_codec)
    return words.media(size=(found.width, found.height), codecs=codecs, seconds=found.duration_seconds)


def _drawn(manifest: Manifest) -> dict[str, Any]:
    return {
        "verdict": verdict(manifest),
        "parts": parts_of(manifest.time_ledger),
        "lines": waterfall(manifest),
        "numbers": {
            "commands": len(manifest.ffmpeg_commands),
            "storage": len(manifest.s3_ops),
            "calls": len(manifest.calls),
            "errors": len(manifest.errors),
        },
    }
