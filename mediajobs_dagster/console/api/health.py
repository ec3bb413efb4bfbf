"""Whether the server lives, and whether it can work."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mediajobs_dagster.console.api.answers import FromOutside, Media
from mediajobs_dagster.console.outside import Outside
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.models import JsonObject, utc_now
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.system import MediaJobs

router = APIRouter(tags=["health"])

_PATIENCE_S = 5.0
"""A check that has no answer by then has failed, seconds."""
_NO_OBJECT = ".readyz"
"""A key that is asked for to see whether the storage answers; there is no such object."""

Check = Callable[[], str]
"""What was found, in a few words; raises MediaJobsError, or NotReady, when it is not as it should be."""

_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not ready; `failed` names what is not."}}


class NotReady(Exception):  # no error: it is the answer
    """Why a check has failed."""


@router.get("/healthz", response_model=dict[str, str])
@router.head("/healthz", include_in_schema=False)
async def lives() -> Response:
    """Answers as long as the process does."""
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@router.get("/readyz", response_model=JsonObject, responses=_READY)
@router.head("/readyz", include_in_schema=False)
async def is_ready(request: Request, media: Media, outside: FromOutside) -> Response:
    """Whether database, storage, daemon and disk are as they should be; 503 if one is not, and which."""
    readiness: Readiness = request.app.state.readiness
    body = await readiness.ask(media, outside)
    return JSONResponse(body, 503 if body["failed"] else 200, {"Cache-Control": "no-store"})


class Readiness:
    """Makes the checks once for all who ask at the same time: one that hangs keeps its thread."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[JsonObject] | None = None

    async def ask(self, media: MediaJobs, outside: Outside) -> JsonObject:
        """What the checks have found."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(_check(media, outside))
        return await asyncio.shield(self._asking)


async def _check(media: MediaJobs, outside: Outside) -> JsonObject:
    checks: dict[str, Check] = {
        "database": partial(_database, media),
        "storage": partial(_storage, media),
        "daemon": partial(_daemon, media, outside),
        "disk": partial(_disk, media),
    }
    found: dict[str, JsonObject] = {}
    limiter = anyio.CapacityLimiter(len(checks))
    async with anyio.create_task_group() as group:
        for name, check in checks.items():
            group.start_soon(_try, name, check, found, limiter)
    failed = [name for name in checks if not found[name]["ok"]]
    return {"status": "not ready" if failed else "ready", "failed": failed, "checks": {n: found[n] for n in checks}}


async def _try(name: str, check: Check, found: dict[str, JsonObject], limiter: anyio.CapacityLimiter) -> None:
    started = time.monotonic()
    result: JsonObject = {"ok": False, "detail": f"There was no answer within {_PATIENCE_S:g} s."}
    with anyio.move_on_after(_PATIENCE_S):
        result = await anyio.to_thread.run_sync(_result, check, abandon_on_cancel=True, limiter=limiter)
    found[name] = {**result, "ms": round((time.monotonic() - started) * 1000)}


def _result(check: Check) -> JsonObject:
    try:
        return {"ok": True, "detail": check()}
    except NotReady as reason:
        return {"ok": False, "detail": str(reason)}
    except MediaJobsError as error:
        return {"ok": False, "code": error.code, "detail": redact(error.message)}


def _database(media: MediaJobs) -> str:
    media.history.check_writable()
    return "answers, and can be written to"


def _storage(media: MediaJobs) -> str:
    media.storage.find(_NO_OBJECT)
    return "answers"


def _daemon(media: MediaJobs, outside: Outside) -> str:
    latest = outside.heartbeat()
    if latest is None:
        raise NotReady("No daemon has given a sign of life yet. Start `mediajobs up`, or `mediajobs daemon`.")
    silent = utc_now() - latest
    if silent > timedelta(seconds=media.settings.alert_daemon_silent_s):
        raise NotReady(f"The daemon has given no sign of life for {silent.total_seconds():.0f} s. Start it again.")
    return f"gave a sign of life {max(0.0, silent.total_seconds()):.0f} s ago"


def _disk(media: MediaJobs) -> str:
    limit = media.settings.alert_disk_percent or 100.0
    fullest = 0.0
    for place in (media.settings.home, media.settings.scratch):
        usage = shutil.disk_usage(next(each for each in (place, *place.absolute().parents) if each.exists()))
        percent = 100 * usage.used / max(1, usage.used + usage.free)
        if percent >= limit:
            raise NotReady(f"The disk of {place} is {percent:.1f} % full; {limit:g} % is the limit.")
        fullest = max(fullest, percent)
    return f"{fullest:.0f} % full"
