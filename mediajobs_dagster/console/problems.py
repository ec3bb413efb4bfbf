"""What is answered when a request cannot be: problem details (RFC 9457), with our code and an id that is logged too."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediajobs_dagster import errors
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.fault_lists import plain_words
from mediajobs_dagster.models import JsonObject, new_id
from mediajobs_dagster.storage.redaction import redact

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[MediaJobsError], int] = {
    MediaJobsError: 500,
    errors.RequestError: 422,
    errors.NotFoundError: 404,
    errors.AmbiguousError: 409,
    errors.IllegalTransitionError: 409,
    errors.AlreadyRunningError: 409,
    errors.RequestTooLargeError: 413,
    errors.RangeError: 416,
    errors.KeyBusyError: 409,
    errors.TooManyClientsError: 503,
    errors.LoginNeededError: 401,
    errors.LoginRefusedError: 401,
    errors.LoginPausedError: 429,
    errors.NotAllowedError: 403,
    errors.CrossSiteError: 403,
    errors.NotEncryptedError: 403,
    errors.SettingsError: 500,
    errors.ExtraMissingError: 501,
    errors.InputError: 422,
    errors.DiskFullError: 507,
    errors.DeadlineError: 504,
    errors.DatabaseBusyError: 503,
    errors.DatabaseUnavailableError: 503,
    errors.StorageError: 502,
    errors.StorageMissingError: 404,
    errors.StorageDeniedError: 503,
    errors.StorageUnavailableError: 503,
    errors.KeyRefusedError: 422,
    errors.ServiceError: 502,
    errors.ServiceUnavailableError: 503,
    errors.ServiceTimeoutError: 504,
    errors.ServiceLimitedError: 503,
    errors.QuotaExhaustedError: 429,
    errors.CancelledError: 409,
}
"""The HTTP status of an error: that of its class, else of the nearest class that it is a kind of."""

_LONGEST_ECHO = 200
"""How much of what was sent is repeated in an answer, characters."""
_MOST_FAULTS = 20
_OWN_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE", 415: "MEDIA_TYPE_UNSUPPORTED"}

_log = logging.getLogger(__name__)


def status_of(error: type[MediaJobsError]) -> int:
    """The HTTP status that stands for an error."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    """An answer that says what is wrong. `more` are further members, such as `faults`.

    Its `errorId` is logged with it: whoever reports the id can be told what happened.
    """
    title = HTTPStatus(status).phrase
    error_id = new_id()
    detail = redact(detail)
    _log.log(logging.ERROR if status >= 500 else logging.INFO, "%s %s: %s (errorId %s)", status, code, detail, error_id)
    body: JsonObject = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body |= {"code": code, "errorId": error_id, **{name: value for name, value in more.items() if value is not None}}
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE)


def answer_with_problems(app: FastAPI) -> None:
    """Have `app` answer with problem details whatever goes wrong: errors of ours, bad requests, unknown addresses."""
    app.add_exception_handler(MediaJobsError, _of_error)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_middleware(Unexpected)


def problem_of(error: MediaJobsError) -> JSONResponse:
    """The answer for an error of ours."""
    wait = error.retry_after_s if error.retry_after_s is not None else _OUTAGE_S if error.is_outage else None
    headers = {"Retry-After": str(max(1, round(wait)))} if wait is not None else None
    faults = list(error.faults) if isinstance(error, errors.TimelineError) else None
    return problem(status_of(type(error)), error.code, error.message, headers=headers, faults=faults)


_OUTAGE_S = 5
"""When to ask again after an outage, if nothing else is known, seconds."""


async def _of_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MediaJobsError)
    return problem_of(error)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _OWN_CODES.get(error.status_code, HTTPStatus(error.status_code).name)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"There is no {_shown(request.url.path)} here. /openapi.json lists what there is."
    elif error.status_code == 400:  # FastAPI's word for what its parser does not even reject
        return problem(422, errors.RequestError.code, "The body is no JSON in UTF-8, or is nested too deeply.")
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request))
        detail = f"{_shown(request.method)} is not possible here. Allowed: {allowed}."
        return problem(405, code, detail, headers={"Allow": allowed})
    return problem(error.status_code, code, detail, headers=error.headers)


def _methods(request: Request) -> list[str]:
    """What the path allows: Starlette tells the methods of its first route alone."""
    routes: Sequence[BaseRoute] = request.app.routes
    fitting = (each for each in routes if each.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for each in fitting for method in getattr(each, "methods", None) or ()})


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: Sequence[Any] = error.errors()
    faults = [_fault(each) for each in found[:_MOST_FAULTS]]
    known = _known_parameters(request) if any(each["type"] == "extra_forbidden" for each in found) else None
    told = "; ".join(f"{each['where']}: {each['message']}" for each in faults[:3])
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    hint = f". Known here: {', '.join(known)}" if known else ""
    return problem(422, "REQUEST_INVALID", f"{told}{more}{hint}.", faults=faults, known=known)


def _fault(found: Any) -> JsonObject:
    place = [str(part) for part in found["loc"]]
    where = " ".join((*place[:1], ".".join(place[1:]))).strip()
    return {"where": _shown(where), "message": _shown(plain_words(found["type"], found["msg"]))}


def _known_parameters(request: Request) -> list[str] | None:
    route = request.scope.get("route")
    schema = request.app.openapi()["paths"].get(getattr(route, "path", ""), {}).get(request.method.lower(), {})
    return sorted(each["name"] for each in schema.get("parameters", ()) if each["in"] == "query")


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_ECHO else f"{text[:_LONGEST_ECHO]}…"


class Unexpected:
    """An ASGI app that answers for an exception that nobody foresaw, and logs it with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            _log.info("A client went away before it was answered: %s %s", scope["method"], _shown(scope["path"]))
        except Exception:  # the edge: an answer for what nobody foresaw
            _log.exception("A request failed: %s %s", scope["method"], _shown(scope["path"]))
            if has_begun:
                raise
            answer = problem(500, errors.InternalError.code, "An unexpected error; the log of the server has it.")
            await answer(scope, receive, send)
