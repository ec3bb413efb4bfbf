"""The OpenAPI document: FastAPI's, with our form of refusals in it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mediajobs_dagster.console.api.shapes import Problem
from mediajobs_dagster.console.api.uploads import NewUpload

ABOUT = """Submit media, follow what becomes of it, and act on it.

What is wrong is told as problem details (RFC 9457) with a stable `code` and an `errorId` that the server's log has too.
Lists are read page by page: `next` is the path of the next page. Answers to GET have an ETag. Requests that change
something take an `Idempotency-Key`. Moments are ISO 8601, in UTC where no zone is given."""


def document_of(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Problem"] = Problem.model_json_schema(mode="serialization", by_alias=True)
        schemas["NewUpload"] = NewUpload.model_json_schema(by_alias=True)
        app.openapi_schema = made
    return app.openapi_schema
