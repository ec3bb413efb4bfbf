"""Uploads: listed, shown, added by key, by address or as a file, and deleted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import anyio
from fastapi import APIRouter, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ConfigDict, Field, ValidationError, model_validator

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.console.api.answers import IdempotencyKey, Media, answer, once, page
from mediajobs_dagster.console.api.files import FILE_ANSWERS, serve_object
from mediajobs_dagster.console.api.parameters import (
    CallsBack,
    Flag,
    Moment,
    Paged,
    Parameters,
    Priority,
    Reference,
    Text,
    TraceId,
)
from mediajobs_dagster.console.api.shapes import UploadPage, UploadShown, problems
from mediajobs_dagster.console.bodies import is_json
from mediajobs_dagster.console.problems import problem
from mediajobs_dagster.console.received import place_for_files, receive, room
from mediajobs_dagster.history import UploadFilter
from mediajobs_dagster.models import JsonObject, ServiceCall, UploadRole
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.http import HttpClient
from mediajobs_dagster.system import MediaJobs

router = APIRouter(prefix="/api/uploads", tags=["uploads"])

_SERVICE = "upload"
_LONGEST_DOWNLOAD_S = 3600.0
_LONGEST_NAME = 255


class UploadListing(Paged):
    """Which uploads are listed."""

    name: Text | None = Field(default=None, description="Part of the file name, in any letter case.")
    role: UploadRole | None = Field(default=None, description="Whether they were taken in or made here.")
    trace: Text | None = Field(default=None, description="The trace that they came with.")
    since: Moment | None = Field(default=None, description="Registered at this moment or later.")
    until: Moment | None = Field(default=None, description="Registered before this moment.")


class Orders(CallsBack):
    """What is done with an upload once it is added."""

    types: list[Text] | None = Field(
        None, max_length=50, description="Job types, by name; default: all that fit; an empty list: none."
    )
    priority: Priority = Field(default=0, description="Higher goes first.")
    trace: TraceId | None = Field(default=None, description="The trace it belongs to; default: a new one.")
    force: bool = Field(default=False, description="Make the outputs again even if they are up to date.")

    def given(self, media: MediaJobs) -> dict[str, Any]:
        """As the use cases take it."""
        return {
            "types": self.types,
            "priority": self.priority,
            "trace_id": self.trace,
            "force": self.force,
            "callback": self.called_back(media),
        }


class NewUpload(Orders):
    """An upload that lies in the storage already, or at an address."""

    force: Flag = Field(default=False, description="Make the outputs again even if they are up to date.")
    priority: Priority = Field(default=0, strict=True, description="Higher goes first.")
    key: Text | None = Field(default=None, description="Its key in the storage.")
    address: Text | None = Field(
        default=None, description="An http(s) address on the public Internet, which is downloaded."
    )
    name: Text | None = Field(default=None, description="Its file name; default: the end of the address.")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"key": "uploads/holiday.mp4", "types": ["upload_thumb_v1"]},
            "oneOf": [{"required": ["key"]}, {"required": ["address"]}],
        }
    )

    @model_validator(mode="after")
    def _is_one(self) -> NewUpload:
        if (self.key is None) == (self.address is None):
            raise ValueError("give either `key` or `address`")
        if self.key is not None and self.name is not None:
            raise ValueError("an object in the storage has the name in its key")
        return self


class SentFile(Orders):
    """A file that is sent as the body of the request."""

    name: Text | None = Field(default=None, description="Its file name; the header X-Filename says it as well.")
    only_register: bool = Field(default=False, alias="onlyRegister", description="Enqueue no job on it.")

    def given(self, media: MediaJobs) -> dict[str, Any]:
        """As the use cases take it."""
        return {**super().given(media), **({"types": ()} if self.only_register else {})}


FileName = Annotated[
    str | None, Header(alias="X-Filename", max_length=1000, description="The file name, percent-encoded UTF-8.")
]

_BODY: JsonObject = {
    "requestBody": {
        "required": True,
        "description": "What lies in the storage or at an address, as JSON; or the content of a file, of any size.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/NewUpload"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("", response_model=UploadPage, responses=problems(404, 409))
def list_uploads(request: Request, media: Media, asked: Annotated[UploadListing, Query()]) -> Response:
    """Uploads, newest first."""
    chosen = UploadFilter(name=asked.name, role=asked.role, trace_id=asked.trace, since=asked.since, until=asked.until)
    found = media.uploads(media.choices.uploads(chosen), limit=asked.limit + 1, after=asked.after)
    return page(request, asked, "uploads", found, lambda each: each.id)


@router.post(
    "",
    status_code=201,
    response_model=JsonObject,
    responses=problems(404, 409, 413, 415, 502, 504, 507),
    openapi_extra=_BODY,
)
async def add(
    request: Request,
    media: Media,
    asked: Annotated[SentFile, Query()],
    x_filename: FileName = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Add a media file and enqueue jobs on it. An unchanged file is always the same upload.

    Send JSON to name a `key` of the storage or an `address`; what the query says counts only for a file. Send a file as
    the body itself, with its name in the query or in X-Filename; it is not read as a form.
    """
    kind = request.headers.get("content-type", "")
    if is_json(kind):
        new = await _parsed(request)
        downloads: anyio.CapacityLimiter = request.app.state.downloads
        do = partial(_add, media, new)
        return await anyio.to_thread.run_sync(once, request, idempotency_key, new, do, limiter=downloads)
    if kind.partition(";")[0].strip().lower() == "multipart/form-data":
        return problem(
            415, "MEDIA_TYPE_UNSUPPORTED", "Send the file itself as the body, not a form: curl -X POST -T FILE."
        )
    name = _file_name(asked.name or unquote(x_filename or ""))
    if name is None:
        return problem(
            422, "REQUEST_INVALID", "A file needs a name of at most 255 bytes: ?name=holiday.mp4, or X-Filename."
        )
    for each in asked.types or ():
        media.registry.name_of(each)  # refused before the file has arrived, not after
    given = asked.given(media)  # what is wrong with that is said before the file is received
    async with _folder(media) as folder:
        length = request.headers.get("content-length", "")
        declared = int(length) if length.isdecimal() and len(length) < 19 else None
        received = await receive(request.stream(), folder, media.settings, declared)

        def register() -> Response:
            added = media.add_received(received.path, name, sha256=received.sha256, **given)
            return answer(added, status=201)

        told = asked.model_copy(update={"name": f"{name} {received.sha256}"})
        arrivals: anyio.CapacityLimiter = request.app.state.arrivals
        return await anyio.to_thread.run_sync(once, request, idempotency_key, told, register, limiter=arrivals)


@router.get("/{reference}", response_model=UploadShown, responses=problems(404, 409))
def show_upload(media: Media, reference: Reference) -> Response:
    """An upload, its jobs, and where its content and current outputs are."""
    return answer(media.upload(reference))


@router.get("/{reference}/content", responses={**problems(404, 409, 416, 502), **FILE_ANSWERS})
@router.head("/{reference}/content", include_in_schema=False)
def content(request: Request, media: Media, reference: Reference) -> Response:
    """The content of an upload as a file, or a part of it."""
    upload = media.references.upload(reference)
    return serve_object(request, media.storage, upload.storage_key, upload.filename)


class Deleting(Parameters):
    """How an upload is deleted."""

    dry_run: bool = Field(default=False, alias="dryRun", description="Only say what would be deleted.")


@router.delete("/{reference}", response_model=JsonObject, responses=problems(404, 409, 502))
def delete_upload(
    request: Request,
    media: Media,
    reference: Reference,
    asked: Annotated[Deleting, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Delete an upload: its content, its outputs, and its entry; waiting jobs on it are cancelled."""
    return once(
        request,
        idempotency_key,
        asked,
        lambda: answer(media.delete_upload(reference, dry_run=asked.dry_run)),
    )


def _add(media: MediaJobs, asked: NewUpload) -> Response:
    given = asked.given(media)
    if asked.key is not None:
        return answer(media.add_stored(asked.key, **given), status=201)
    assert asked.address is not None
    name = _file_name(asked.name or unquote(urlsplit(asked.address).path.rpartition("/")[2]))
    with place_for_files(media.settings) as folder:
        path = folder / "downloaded"
        sha256 = _download(media, asked.address, path)
        return answer(media.add_received(path, name or "download", sha256=sha256, **given), status=201)


def _download(media: MediaJobs, address: str, path: Path) -> str:
    """Download what lies at an address; returns its SHA-256."""

    def record(_call: ServiceCall) -> None:
        """Nothing keeps it: no attempt is under way."""

    limits = Cancellation(), Deadline.after(_LONGEST_DOWNLOAD_S)
    client = HttpClient.open(ServiceContext(media.settings, *limits, record))
    try:
        client.download(address, path, service=_SERVICE, op="download", max_bytes=room(media.settings))
    finally:
        client.close()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@asynccontextmanager
async def _folder(media: MediaJobs) -> AsyncGenerator[Path]:
    """A folder for a file; made and removed in a thread, because there may be much to remove."""
    stack = ExitStack()
    try:
        yield await anyio.to_thread.run_sync(stack.enter_context, place_for_files(media.settings))
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(stack.close)


async def _parsed(request: Request) -> NewUpload:
    try:
        return NewUpload.model_validate_json(await request.body())
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from None


def _file_name(text: str) -> str | None:
    """The last part of what somebody calls a file; None if it is no name."""
    name = re.split(r"[/\\\\]", text)[-1].strip()
    is_name = name not in ("", ".", "..") and name.isprintable() and len(name.encode(errors="replace")) <= _LONGEST_NAME
    return name if is_name else None
