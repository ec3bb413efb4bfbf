"""Objects of the storage as files: read by range, a little at a time, and never as a page that could run scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from mediajobs_dagster.console.problems import problem_of
from mediajobs_dagster.errors import RangeError
from mediajobs_dagster.storage import ObjectStat, Storage

_PIECE = 256 * 1024
"""What is read at once for one client, bytes."""
_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".srt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
}
"""What browsers may show; all else is only saved. No type of these can run a script."""
_PLAIN = re.compile(r"[A-Za-z0-9 ._()+-]+")
_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.IGNORECASE)

FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": {"application/octet-stream": {}}},
    206: {"description": "The part that was asked for.", "content": {"application/octet-stream": {}}},
    304: {"description": "It has not changed."},
}


def serve_object(request: Request, storage: Storage, key: str, filename: str | None = None) -> Response:
    """The object, or the one range that is asked for; several ranges at once are answered with the whole.

    Raises StorageError and its kinds.
    """
    stat = storage.stat(key)
    name = filename or PurePosixPath(key).name
    headers = _headers(stat, name)
    if _matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    wanted = _wanted(request, stat.bytes, headers["ETag"])
    if wanted is not None and wanted[0] >= wanted[1]:
        refused = problem_of(RangeError(f"{name} has {stat.bytes} bytes, and the range lies beyond them."))
        refused.headers["Content-Range"] = f"bytes */{stat.bytes}"
        return refused
    start, end = wanted or (0, stat.bytes)
    headers["Content-Length"] = str(end - start)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stat.bytes}"
    status = 206 if wanted else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_pieces(storage, stat, start, end), status, headers)


def _headers(stat: ObjectStat, name: str) -> dict[str, str]:
    kind = _TYPES.get(PurePosixPath(name).suffix.lower())
    # Old clients read only the first of the two; what it cannot write is only in the second.
    plain = f'; filename="{name}"' if _PLAIN.fullmatch(name) else ""
    disposition = f"{'inline' if kind else 'attachment'}{plain}"
    return {
        "Content-Type": kind or "application/octet-stream",
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src 'self'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": f'"{quote(stat.etag, safe="")}"',
        "Last-Modified": format_datetime(stat.modified, usegmt=True),
        "Cache-Control": "private, no-cache",
    }


def _wanted(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """First byte and the one after the last; None: all of it. An empty range lies beyond the end."""
    asked = request.headers.get("range")
    if asked is None or request.headers.get("if-range", etag) != etag:
        return None
    found = _RANGE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return None  # several ranges, or another unit: RFC 9110 lets a server answer with the whole
    if not found[1]:
        return max(0, size - int(found[2])), size
    start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    return None if found[2] and int(found[2]) < start else (start, end)


def _matches(asked: str | None, etag: str) -> bool:
    return asked is not None and any(each.strip().removeprefix("W/") in (etag, "*") for each in asked.split(","))


def _pieces(storage: Storage, stat: ObjectStat, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        size = min(_PIECE, end - start)
        yield storage.read_part(stat, start, size)
        start += size
