"""How routes reach the use cases, and in which form they answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import to_json

from mediajobs_dagster.console.api.parameters import Paged, given
from mediajobs_dagster.console.outside import Outside
from mediajobs_dagster.history.requests import Answered
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.storage.redaction import may_hold_secrets, redact_values
from mediajobs_dagster.system import MediaJobs


class HasJson(Protocol):
    """A value with a JSON form."""

    def to_json(self) -> JsonObject: ...


async def _media(request: Request) -> MediaJobs:
    media: MediaJobs = request.app.state.media
    return media


async def _outside(request: Request) -> Outside:
    outside: Outside = request.app.state.outside
    return outside


Media = Annotated[MediaJobs, Depends(_media)]
"""The use cases, as a parameter of a route. Routes that call one are plain functions: they run in threads.

This one is not: getting at the object takes no time, and a thread would.
"""
FromOutside = Annotated[Outside, Depends(_outside)]
"""What only Dagster knows, as a parameter of a route."""
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="With the same key, the same request is carried out once; the answer is kept for a day.",
    ),
]


def answer(value: HasJson | JsonObject, *, status: int = 200) -> Response:
    """The JSON form of a use case's answer, without secrets."""
    return _without_secrets(value if isinstance(value, dict) else value.to_json(), status)


def page(request: Request, asked: Paged, name: str, found: Sequence[HasJson], id_of: Callable[[Any], str]) -> Response:
    """A page of a list. `found` has one more than was asked for if there is a next page.

    `next` is the path of the next page, null on the last one; the header Link has it too.
    """
    shown, following = found[: asked.limit], None
    if len(found) > asked.limit:
        query = {**given(asked), "limit": asked.limit, "after": id_of(shown[-1])}
        following = f"{request.url.path}?{urlencode(query, doseq=True)}"
    headers = {"Link": f'<{following}>; rel="next"'} if following else None
    return _without_secrets({name: as_json(shown), "next": following}, headers=headers)


_write = partial(to_json, inf_nan_mode="null")
"""Writes JSON in a quarter of the time that Python takes; by itself it would write NaN, which is no JSON."""


def _without_secrets(body: JsonObject, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # Most answers have nothing that looks like a secret: one look at all their text is much quicker than one at each.
    text = _write(body)
    if may_hold_secrets(text):
        text = _write(redact_values(body))
    return Response(text, status, headers, media_type="application/json")


def once(request: Request, key: str | None, asked: BaseModel | None, do: Callable[[], Response]) -> Response:
    """What `do` answers; with a key that came with the same request before, what was answered then.

    Only what succeeded is kept. Raises KeyReusedError and KeyBusyError.
    """
    if key is None:
        return do()
    media: MediaJobs = request.app.state.media
    requests = media.history.requests
    body = asked.model_dump_json(by_alias=True) if asked else ""
    told = f"{request.method} {request.url.path}?{request.url.query}\n{body}"
    claimed = requests.begin(key, hashlib.sha256(told.encode()).hexdigest())
    if isinstance(claimed, Answered):
        headers = {"Idempotency-Replayed": "true"}
        return Response(claimed.body, claimed.status, headers, media_type="application/json")
    try:
        with claimed.kept():
            answered = do()
    except BaseException:
        claimed.forget()
        raise
    claimed.end(Answered(answered.status_code, bytes(answered.body).decode()))
    return answered


def as_json(values: Sequence[HasJson]) -> list[JsonObject]:
    """The JSON forms of several values."""
    return [each.to_json() for each in values]
