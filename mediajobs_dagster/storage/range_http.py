"""The HTTP server from which processes of this machine read parts of objects."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any, cast

from typing_extensions import override

from mediajobs_dagster.errors import MediaJobsError, OutOfMemoryError, StorageDeniedError, StorageMissingError
from mediajobs_dagster.storage.partly_read import PartlyRead
from mediajobs_dagster.storage.redaction import redact

_log = logging.getLogger(__name__)

_GREETING_S = 10.0
"""A connection that sends no request for this long is closed, seconds."""
_POLL_S = 0.1
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_DIGITS = 18
"""The most digits of an offset; more lie beyond the end of any object. Python refuses to read thousands of them."""


class Http(ThreadingTCPServer):
    """A server that only this machine reaches. (HTTPServer would look up its own name, which may take seconds.)"""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, objects: Mapping[str, PartlyRead]) -> None:
        self.objects = objects
        super().__init__(("127.0.0.1", 0), _Handler)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # Readers close the connection when they have read enough.
        if not isinstance(sys.exception(), ConnectionError):
            _log.error("Serving a part of an object failed:\n%s", redact(traceback.format_exc()))


def started(server: Http) -> Http:
    """Start `server` in a thread of its own, and return it. Raises OutOfMemoryError."""
    try:
        Thread(target=server.serve_forever, args=(_POLL_S,), name="range-server", daemon=True).start()
    except RuntimeError as error:  # no more threads
        server.server_close()
        raise OutOfMemoryError(f"No thread could be started: {error}. Give the worker more processes.") from error
    return server


class _Handler(BaseHTTPRequestHandler):
    """One connection, which may ask for one range after another."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @override
    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(_GREETING_S)

    def do_GET(self) -> None:
        """Answer with the requested range, or with the whole object."""
        self.connection.settimeout(None)  # the reader may be slow
        served = cast(Http, self.server).objects.get(self.path)
        if served is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        size = served.stat.bytes
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        start, end = (_offset(wanted[1]), min(_offset(wanted[2]), size - 1) + 1) if wanted else (0, size)
        if start >= end:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        content = served.read_all(start, end)
        try:
            beginning = next(content)
        except MediaJobsError as error:
            self.send_error(_status(error))
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        self.wfile.write(beginning)
        try:
            for piece in content:
                self.wfile.write(piece)
        except MediaJobsError:
            self.close_connection = True  # the answer is cut off, and the reader asks for the rest

    @override
    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def _offset(digits: str) -> int:
    """The offset in a Range header; without digits, one beyond the end."""
    digits = digits.lstrip("0") or digits[:1]
    return int(digits) if 0 < len(digits) <= _DIGITS else 10**_DIGITS


def _status(error: MediaJobsError) -> HTTPStatus:
    """Always 4xx, which ffmpeg does not try again: the storage was tried several times already."""
    if isinstance(error, StorageDeniedError):
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.NOT_FOUND if isinstance(error, StorageMissingError) else HTTPStatus.FAILED_DEPENDENCY
