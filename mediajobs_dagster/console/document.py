"""The OpenAPI document: FastAPI's, with our form of refusals in it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mediajobs_dagster.console.api.shapes import Problem
from mediajobs_dagster.console.api.uploads import NewUpload
from mediajobs_dagster.trace_context import HEADER

ABOUT = """Submit media, follow what becomes of it, and act on it.

What is wrong is told as problem details (RFC 9457) with a stable `code` and an `errorId` that the server's log has too.
Lists are read page by page: `next` is the path of the next page. Answers to GET have an ETag. Requests that change
something take an `Idempotency-Key`. Moments are ISO 8601, in UTC where no zone is given."""


_ASKED = {"201", "202"}
"""What is answered when jobs were asked for."""
_TRACEPARENT = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The caller's span, by W3C Trace Context: the jobs belong to its trace, unless the request names "
    "another one. What is not valid counts as none.",
    "schema": {"type": "string"},
    "example": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Problem"] = Problem.model_json_schema(mode="serialization", by_alias=True)
        schemas["NewUpload"] = NewUpload.model_json_schema(by_alias=True)
        _tell_of_traces(made["paths"])
        app.openapi_schema = made
    return app.openapi_schema


def _tell_of_traces(paths: dict[str, Any]) -> None:
    """Add the header to what asks for jobs: an app around all routes reads it, so no route has it among its own."""
    for methods in paths.values():
        for operation in methods.values():
            if not _ASKED.isdisjoint(operation["responses"]):
                operation.setdefault("parameters", []).append(_TRACEPARENT)
