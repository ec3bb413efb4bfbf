"""Attempts: their outputs as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from mediajobs_dagster.console.api.answers import Media
from mediajobs_dagster.console.api.files import FILE_ANSWERS, serve_object
from mediajobs_dagster.errors import NotFoundError

router = APIRouter(prefix="/api/attempts", tags=["attempts"])


@router.get("/{reference}/outputs/{number}", responses={**FILE_ANSWERS})
@router.head("/{reference}/outputs/{number}", include_in_schema=False)
def output(
    request: Request,
    media: Media,
    reference: str,
    number: Annotated[int, Path(ge=0, le=10_000, description="Its place in `outputs` of the manifest, from 0.")],
) -> Response:
    """An output of an attempt as a file, or a part of it."""
    manifest = media.attempt(reference).manifest
    outputs = manifest.outputs if manifest else ()
    if number >= len(outputs):
        raise NotFoundError(f"Attempt {reference} has {len(outputs)} outputs, so there is no number {number}.")
    return serve_object(request, media.storage, outputs[number].key)
