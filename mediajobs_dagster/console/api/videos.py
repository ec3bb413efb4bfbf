"""Videos that discovery found, and the events that they are of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once, page
from mediajobs_dagster.console.api.parameters import Moment, Paged, Parameters, Reference, Text
from mediajobs_dagster.console.api.shapes import problems
from mediajobs_dagster.history import VideoFilter
from mediajobs_dagster.models import JsonObject

router = APIRouter(prefix="/api/videos", tags=["videos"])


class Link(Parameters):
    """The event that a video is of."""

    event: Text = Field(min_length=1, description="The event, by its id or title.")


class VideoListing(Paged):
    """Which videos are listed."""

    title: Text | None = Field(default=None, description="Part of the title, in any letter case.")
    channel: Text | None = Field(default=None, description="The channel, by its id or name.")
    event: Text | None = Field(default=None, description="Only those of this event, by its id or title.")
    linked: bool | None = Field(default=None, description="Whether they are linked to an event.")
    since: Moment | None = Field(default=None, description="Found at this moment or later.")
    removed: bool = Field(default=False, description="Also those that are gone.")


@router.get("", response_model=JsonObject, responses=problems(404, 409))
def list_videos(request: Request, media: Media, asked: Annotated[VideoListing, Query()]) -> Response:
    """Videos, the newest found first."""
    chosen = VideoFilter(
        title=asked.title,
        channel=asked.channel,
        event_id=media.references.event(asked.event).id if asked.event else None,
        linked=asked.linked,
        since=asked.since,
        with_removed=asked.removed,
    )
    found = media.videos.list(chosen, limit=asked.limit + 1, after=asked.after)
    return page(request, asked, "videos", found, lambda each: each.video.id)


@router.get("/{reference}", response_model=JsonObject, responses=problems(404, 409))
def show_video(media: Media, reference: Reference) -> Response:
    """A video, its event, and how well it fits those that it was compared with."""
    return answer(media.videos.show(reference))


@router.post("/{reference}/link", response_model=JsonObject, responses=problems(404, 409))
def link(
    request: Request, media: Media, reference: Reference, asked: Link, idempotency_key: IdempotencyKey = None
) -> Response:
    """Link a video to an event. Matching never changes that."""
    return once(request, idempotency_key, asked, lambda: answer(media.videos.link(reference, asked.event)))


@router.post("/{reference}/unlink", response_model=JsonObject, responses=problems(404, 409))
def unlink(request: Request, media: Media, reference: Reference, idempotency_key: IdempotencyKey = None) -> Response:
    """Say that a video is of no event. Matching never links it again."""
    return once(request, idempotency_key, None, lambda: answer(media.videos.unlink(reference)))
