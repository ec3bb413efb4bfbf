"""Events as they happen, by server-sent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from mediajobs_dagster.console.api.answers import Media
from mediajobs_dagster.console.api.parameters import Parameters, Reference, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.console.live import Interest, Live

router = APIRouter(prefix="/api", tags=["events"])

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events called `job` with the state of a job as JSON, and `reset`: read the list again.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


async def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    live.check_room()
    return live


Following = Annotated[Live, Depends(_live)]
LastId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=100, description="The id of the last event; what came after it is told."),
]


class Followed(Parameters):
    """Which jobs are followed."""

    trace: Text | None = Field(default=None, description="Only jobs of this trace.")
    type: Text | None = Field(default=None, description="Only jobs of this type.")
    last_event_id: Text | None = Field(
        default=None,
        alias="lastEventId",
        description="As the header Last-Event-ID, which counts first: microseconds since 1970.",
    )


@router.get("/events", response_class=StreamingResponse, responses={**problems(404, 409), **_STREAM})
def events(
    media: Media, live: Following, asked: Annotated[Followed, Query()], last_event_id: LastId = None
) -> StreamingResponse:
    """Each job whenever it changes, and how far it is: one event a job a second at most."""
    interest = Interest(
        trace_id=media.references.trace(asked.trace) if asked.trace else None,
        job_type=media.registry.name_of(asked.type) if asked.type else None,
    )
    return _stream(live, interest, last_event_id or asked.last_event_id)


@router.get("/jobs/{reference}/events", response_class=StreamingResponse, responses={**problems(404, 409), **_STREAM})
def events_of_job(
    media: Media, live: Following, reference: Reference, last_event_id: LastId = None
) -> StreamingResponse:
    """One job: how it stands now, and then whenever it changes."""
    return _stream(live, Interest(job_id=media.references.job(reference).id), last_event_id)


def _stream(live: Live, interest: Interest, last_id: str | None) -> StreamingResponse:
    return StreamingResponse(live.follow(interest, last_id), media_type="text/event-stream", headers=_HEADERS)
