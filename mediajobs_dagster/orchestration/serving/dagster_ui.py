"""Dagster's UI and its GraphQL interface, as an app that changes something only when it is sent JSON by POST.

Dagster's own server also executes mutations of a GET, and of a POST of any content type. Those two are what a page of
another site can have a browser send without asking the server first.
"""

# Dagster's web server is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mediajobs_dagster.history import Action
from mediajobs_dagster.orchestration.internals.web import create_app_from_workspace_process_context
from mediajobs_dagster.orchestration.internals.workspace import IWorkspaceProcessContext
from mediajobs_dagster.orchestration.serving.dagster_changes import Changes
from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.orchestration.serving.pinned_tags import PinnedTags

_LONGEST_QUERY = 16_384
"""Characters of a query in an address that are looked through, which takes some ten milliseconds."""


def dagster_ui(context: IWorkspaceProcessContext[Any], record: Callable[[Action], None]) -> ASGIApp:
    """Dagster's web app on that workspace, below `DAGSTER`; `record` keeps what operators do there."""
    app = create_app_from_workspace_process_context(context, DAGSTER, lifespan=_until_told_to_end)
    return ChangesByJsonOnly(Changes(PinnedTags(app), record))


@asynccontextmanager
async def _until_told_to_end(_app: object) -> AsyncGenerator[None]:
    with suppress(asyncio.CancelledError):  # a second Ctrl-C, which needs no traceback
        yield


class ChangesByJsonOnly:
    """Hands on to `app` what changes nothing, and what is sent as JSON by another method than GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


def _refusal(scope: Scope) -> Response | None:
    if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        if _is_json(Headers(scope=scope)):
            return None
        return PlainTextResponse(
            "Send JSON, and say so with the header Content-Type: application/json.\n", status_code=415
        )
    # Not the exact path: Starlette takes /graphql%0A for /graphql. And every query: Dagster reads the last one.
    queries = QueryParams(scope["query_string"]).getlist("query") if "/graphql" in scope["path"] else []
    if all(map(_only_asks, queries)):
        return None
    return PlainTextResponse(
        "By GET only a query can be sent, and a short one. Send anything else by POST, as JSON, such as "
        '{"query": "mutation { … }"}, with the header Content-Type: application/json.\n',
        status_code=405,
        headers={"Allow": "POST"},
    )


def _is_json(headers: Headers) -> bool:
    # The whole type: browsers send `text/plain; application/json` without asking first.
    return [each.partition(";")[0].strip().lower() for each in headers.getlist("content-type")] == ["application/json"]


def _only_asks(query: str) -> bool:
    if len(query) > _LONGEST_QUERY:
        return False
    try:
        document = parse(query, no_location=True)
    except GraphQLError:  # Dagster could read it all the same: how deep it may be nested depends on the thread
        return False
    # Each operation: `operationName` may choose any of them.
    operations = (each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    return all(each.operation is OperationType.QUERY for each in operations)
