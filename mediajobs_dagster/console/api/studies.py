"""Study guides of talks."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once
from mediajobs_dagster.console.api.parameters import CallsBack, Document, Flag, Priority, Reference, Text, TraceId
from mediajobs_dagster.console.api.shapes import StudiesAsked, StudyGuides, problems

router = APIRouter(prefix="/api/studies", tags=["studies"])


class NewStudy(CallsBack):
    """Talks of which study guides are asked for."""

    talks: list[Text] = Field(
        min_length=1, max_length=1000, description="Each an upload, by its id or name, or an address to fetch it from."
    )
    params: Document = Field(default_factory=dict, description="Parameters of `study_guide_v1`.")
    transcript: Document = Field(default_factory=dict, description="Parameters of `transcript_v1`.")
    limit: int | None = Field(default=None, strict=True, ge=1, description="Take this many videos of a playlist.")
    priority: Priority = Field(default=0, strict=True, description="Higher goes first.")
    trace: TraceId | None = Field(default=None, description="The trace they belong to; default: a new one.")
    force: Flag = Field(default=False, description="Make everything again even if it is up to date.")

    model_config = ConfigDict(json_schema_extra={"example": {"talks": ["lecture.mp4"], "params": {"subject": "AI"}}})


@router.post("", status_code=202, response_model=StudiesAsked, responses=problems(404, 409, 502))
def study(request: Request, media: Media, asked: NewStudy, idempotency_key: IdempotencyKey = None) -> Response:
    """Ask for the study guide of each talk, and for what it needs on the way, all in one trace."""

    def do() -> Response:
        studied = media.studies.ask(
            *asked.talks,
            params=asked.params,
            transcript=asked.transcript,
            with_files=False,
            limit=asked.limit,
            priority=asked.priority,
            force=asked.force,
            trace_id=asked.trace,
            callback=asked.called_back(media),
        )
        return answer(studied, status=202)

    return once(request, idempotency_key, asked, do)


@router.get("/{reference}", response_model=StudyGuides, responses=problems(404, 409))
def guides(media: Media, reference: Reference) -> Response:
    """The study guides of a trace, as far as they are."""
    trace_id = media.references.trace(reference)
    return answer({"traceId": trace_id, "guides": [each.to_json() for each in media.studies.guides(trace_id)]})
