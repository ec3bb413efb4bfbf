"""Exports of timelines."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once
from mediajobs_dagster.console.api.parameters import CallsBack, Document, Flag, Priority, TraceId
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.job_types.video_export.encoding import Codec, ExportParams, Hardware, Profile
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/exports", tags=["exports"])


class NewExport(CallsBack):
    """An export that is asked for."""

    timeline: Document = Field(description="The edit, in the format create_video_v1.")
    profile: Profile = Field(default=Profile.STANDARD, description="draft is fast, high looks best.")
    codec: Codec = Field(default=Codec.H264, description="Video codec; every player supports h264.")
    hardware: Hardware | None = Field(default=None, description="Encode on this graphics hardware, if it works.")
    allow_untonemapped: Flag = Field(
        False, alias="allowUntonemapped", description="Render HDR sources even where they cannot be tone-mapped."
    )
    priority: Priority = Field(default=0, strict=True, description="Higher goes first.")
    trace: TraceId | None = Field(default=None, description="The trace it belongs to; default: a new one.")
    force: Flag = Field(default=False, description="Render it again even if an export is up to date.")
    dry_run: Flag = Field(default=False, alias="dryRun", description="Only show the commands, and a forecast.")


@router.post("", status_code=202, response_model=JsonObject, responses=problems(404, 409, 502))
def export(request: Request, media: Media, asked: NewExport, idempotency_key: IdempotencyKey = None) -> Response:
    """Enqueue the rendering of a timeline. With `dryRun`, say how it would be done; nothing is enqueued then.

    If the timeline has faults, `faults` lists them, each with its JSON path.
    """
    params = ExportParams(
        profile=asked.profile,
        codec=asked.codec,
        hardware=asked.hardware,
        allow_untonemapped=asked.allow_untonemapped,
    )

    def do() -> Response:
        callback = asked.called_back(media)
        prepared = media.prepare_export(asked.timeline)
        if asked.dry_run:
            return answer(media.plan_export(prepared, params))
        requested = media.export(
            prepared,
            params=params,
            priority=asked.priority,
            trace_id=asked.trace,
            force=asked.force,
            callback=callback,
        )
        return answer(requested, status=202)

    return once(request, idempotency_key, asked, do)
