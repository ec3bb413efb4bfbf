"""How routes reach the use cases, and in which form they answer."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.system import MediaJobs


class HasJson(Protocol):
    """A value with a JSON form."""

    def to_json(self) -> JsonObject: ...


def _media(request: Request) -> MediaJobs:
    media: MediaJobs = request.app.state.media
    return media


Media = Annotated[MediaJobs, Depends(_media)]
"""The use cases, as a parameter of a route. Routes that call one are plain functions: they run in threads."""


class Parameters(BaseModel):
    """The query parameters of a route. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def answer(value: HasJson | Any, *, status: int = 200) -> JSONResponse:
    """The JSON form of a use case's answer."""
    return JSONResponse(value.to_json() if hasattr(value, "to_json") else value, status)
