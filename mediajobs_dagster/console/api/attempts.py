"""Attempts: listed, shown, and their outputs as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.console.api.answers import Media, answer, page
from mediajobs_dagster.console.api.files import FILE_ANSWERS, serve_object
from mediajobs_dagster.console.api.parameters import AttemptConditions, Paged, Reference
from mediajobs_dagster.console.api.shapes import AttemptPage, AttemptShown, problems
from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.system import MediaJobs

router = APIRouter(prefix="/api/attempts", tags=["attempts"])


class AttemptListing(Paged, AttemptConditions):
    """Which attempts are listed."""


@router.get("", response_model=AttemptPage, responses=problems(404, 409))
def list_attempts(request: Request, media: Media, asked: Annotated[AttemptListing, Query()]) -> Response:
    """Attempts without their manifests, newest first."""
    found = media.history.attempts.list(asked.chosen(media), limit=asked.limit + 1, after=asked.after)
    return page(request, asked, "attempts", found, lambda each: each.id)


@router.get("/{reference}", response_model=AttemptShown, responses=problems(404, 409))
def show_attempt(media: Media, reference: Reference) -> Response:
    """The manifest of an attempt; while it is under way, its row and how far it is."""
    return answer(media.attempt(reference))


@router.get("/{reference}/manifest", response_model=Manifest, responses=problems(404, 409))
def manifest(media: Media, reference: Reference) -> Response:
    """The full record of an attempt that is over."""
    return answer(_manifest(media, reference))


@router.get("/{reference}/envelope", response_model=JsonObject, responses=problems(404, 409, 502))
def envelope(media: Media, reference: Reference) -> Response:
    """How loud the sound of what an attempt made is, from 0 to 1 at even distances, for drawing a waveform."""
    found = media.envelope(media.references.attempt(reference))
    if found is None:
        raise NotFoundError(f"There is no current envelope of what attempt {reference} is about. Ask for one.")
    return answer(found)


@router.get("/{reference}/outputs/{number}", responses={**problems(404, 409, 416, 502), **FILE_ANSWERS})
@router.head("/{reference}/outputs/{number}", include_in_schema=False)
def output(
    request: Request,
    media: Media,
    reference: Reference,
    number: Annotated[int, Path(ge=0, le=10_000, description="Its place in `outputs` of the manifest, from 0.")],
) -> Response:
    """An output of an attempt as a file, or a part of it."""
    outputs = _manifest(media, reference).outputs
    if number >= len(outputs):
        raise NotFoundError(f"Attempt {reference} has {len(outputs)} outputs, so there is no number {number}.")
    return serve_object(request, media.storage, outputs[number].key)


def _manifest(media: MediaJobs, reference: str) -> Manifest:
    found = media.attempt(reference)
    if found.manifest is None:
        raise NotFoundError(f"Attempt {found.attempt.id} is {found.attempt.status} and has no manifest.")
    return found.manifest
