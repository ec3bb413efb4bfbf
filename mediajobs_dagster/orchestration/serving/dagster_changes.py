"""Who may change something through Dagster's web app: operators, and what they do is recorded first.

Dagster's own permissions do not cover all of its mutations, so each request is read here, as Dagster reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import anyio.to_thread
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster.access.visitor import Visitor, visitor_in
from mediajobs_dagster.errors import MediaJobsError, NotAllowedError, RequestError, RequestTooLargeError
from mediajobs_dagster.history import Action
from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.storage.redaction import redact

_GRAPHQL = f"{DAGSTER}/graphql"
_LARGEST = 5 << 20
"""Of a body, bytes: as for the API."""
_LONGEST_QUERY = 1 << 18
_MOST_TOKENS = 50_000
_LONGEST_VARIABLES = 2000
"""How much of the variables is recorded, characters."""
_BY_ITSELF = frozenset({"logTelemetry", "setNuxSeen"})
"""Mutations that Dagster's pages send without anybody asking; viewers are refused them, but nobody records them."""
_POLICY_VIOLATED = 1008
"""The code with which a WebSocket is closed (RFC 6455)."""


class UnreadableError(RequestError):
    """The GraphQL request cannot be read."""


@dataclass(frozen=True)
class Asked:
    """A GraphQL request."""

    mutations: tuple[str, ...]
    """The fields of its mutations, whichever operation is named; empty: it only asks."""
    operation: str | None = None
    variables: str = ""


class Changes:
    """An ASGI app that lets operators alone change something through `app`, and records it with `record`.

    What cannot be recorded is not done. A visitor is in the scope: see `access/visitor.py`; nobody may change nothing.
    """

    def __init__(self, app: ASGIApp, record: Callable[[Action], None]) -> None:
        self._app, self._record = app, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._app(scope, _only_asking(receive, send), send)
        elif scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            await self._decide(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _decide(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = visitor_in(scope)
        try:
            body = await _body_of(receive)
            if (action := await _action(scope, body, visitor)) is not None:
                await anyio.to_thread.run_sync(self._record, action)
        except MediaJobsError as error:
            await _answer(error)(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)


async def _action(scope: Scope, body: bytes, visitor: Visitor | None) -> Action | None:
    """What is to be recorded of a request; None: it changes nothing. Raises NotAllowedError for one that may not."""
    may_change = visitor is not None and visitor.may_change
    who = visitor.who if visitor else ""
    if (scope["method"], scope["path"]) != ("POST", _GRAPHQL):
        if not may_change:
            raise NotAllowedError
        return Action(action="dagster request", target=f"{scope['method']} {scope['path'][:200]}", count=1, who=who)
    asked = await anyio.to_thread.run_sync(asked_by, body)
    if not asked.mutations:
        return None
    if not may_change:
        raise NotAllowedError
    if _BY_ITSELF.issuperset(asked.mutations):
        return None
    details = {"operation": asked.operation, "variables": asked.variables}
    target = ", ".join(asked.mutations)[:200]
    return Action(action="dagster mutation", target=target, count=len(asked.mutations), who=who, details=details)


def asked_by(body: bytes) -> Asked:
    """What a body in JSON asks Dagster for. Raises UnreadableError for what Dagster could read otherwise than we do."""
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError("The body is no JSON.") from None
    if not isinstance(given, dict):
        raise UnreadableError('Send one request at a time, such as {"query": "…"}.')
    asked = cast("dict[str, Any]", given)
    query, operation = asked.get("query"), asked.get("operationName")
    if not isinstance(query, str):
        raise UnreadableError('The body has no text "query".')
    mutations = mutations_in(query)
    variables = redact(json.dumps(asked.get("variables")))[:_LONGEST_VARIABLES] if mutations else ""
    return Asked(mutations, operation if isinstance(operation, str) else None, variables)


def mutations_in(query: str) -> tuple[str, ...]:
    """The fields of every mutation of a document, those in fragments too. Raises UnreadableError."""
    if "mutation" not in query:  # the word cannot be written otherwise, and most queries are long
        return ()
    if len(query) > _LONGEST_QUERY:
        raise UnreadableError(f"A query with a mutation has {_LONGEST_QUERY:,} characters at most.")
    try:
        document = parse(query, no_location=True, max_tokens=_MOST_TOKENS)
    except (GraphQLError, RecursionError) as error:
        raise UnreadableError(f"The query cannot be read: {str(error)[:200]}") from None
    fields: list[str] = []
    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode) and each.operation is OperationType.MUTATION:
            fields += _fields(each.selection_set, document) or ["nothing"]
    return tuple(dict.fromkeys(fields))


def _fields(selected: SelectionSetNode, document: DocumentNode) -> list[str]:
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    found: list[str] = []
    waiting, seen = [selected], set[str]()
    while waiting:
        for each in waiting.pop().selections:
            if isinstance(each, FieldNode):
                found.append(each.name.value)
            elif isinstance(each, InlineFragmentNode):
                waiting.append(each.selection_set)
            elif isinstance(each, FragmentSpreadNode) and (name := each.name.value) not in seen and name in fragments:
                seen.add(name)
                waiting.append(fragments[name].selection_set)
    return found


async def _body_of(receive: Receive) -> bytes:
    parts: list[bytes] = []
    taken = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part: bytes = message.get("body", b"")
        parts.append(part)
        taken += len(part)
        if taken > _LARGEST:
            raise RequestTooLargeError(f"The body has more than {_LARGEST >> 20} MiB.")
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    is_told = False

    async def receiving() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _only_asking(receive: Receive, send: Send) -> Receive:
    """What comes by a WebSocket, which is for queries and subscriptions: with a mutation, it ends."""

    async def receiving() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and await anyio.to_thread.run_sync(_changes, message):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATED, "reason": "Mutations go by POST."})
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATED}
        return message

    return receiving


def _changes(message: Message) -> bool:
    given = message.get("text") or message.get("bytes") or b""
    try:
        told: Any = json.loads(given)
        query: Any = told["payload"]["query"]
        return bool(mutations_in(query))
    except UnreadableError:
        return True
    except (ValueError, RecursionError, KeyError, TypeError):  # nothing that Dagster would execute
        return False


def _answer(error: MediaJobsError) -> Response:
    """Problem details, in which Dagster's pages find their `errors` too."""
    status = 413 if isinstance(error, RequestTooLargeError) else 400
    if isinstance(error, NotAllowedError):
        status = 403
    elif not isinstance(error, RequestError):
        status = 503
    body = {"status": status, "code": error.code, "detail": error.message, "errors": [{"message": error.message}]}
    return JSONResponse(body, status, media_type="application/problem+json")
