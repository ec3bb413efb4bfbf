"""One HTTP client for every outside service: limits, retries where they are safe, and a record of each call.

It uses urllib3 and not requests. With urllib3, another thread can shut a connection down; and what requests adds
(cookies, netrc, its own redirects) must not happen here. Schemes other than http and https are refused.

Proxies and certificates: see `connections`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from typing_extensions import override
from urllib3 import BaseHTTPResponse, HTTPHeaderDict
from urllib3.exceptions import HTTPError, IncompleteRead

from mediajobs_dagster import __version__
from mediajobs_dagster.errors import (
    InternalError,
    MediaJobsError,
    ServiceAnswerError,
    ServiceTooLargeError,
)
from mediajobs_dagster.models import ServiceCall, utc_now
from mediajobs_dagster.services.answers import Download, HttpAnswer, decoded
from mediajobs_dagster.services.base import ServiceClient, ServiceContext
from mediajobs_dagster.services.connections import Connections
from mediajobs_dagster.services.faults import Fault, fault_in_asking, fault_in_reading, fault_of_status
from mediajobs_dagster.services.guard import CallGuard
from mediajobs_dagster.services.kept import KeptAnswer
from mediajobs_dagster.services.received import InFile, InMemory, KeptFile, Received
from mediajobs_dagster.services.redirects import (
    MAX_REDIRECTS,
    REDIRECTS,
    Query,
    Request,
    body_of,
    shown_address,
    with_query,
)
from mediajobs_dagster.trace_context import HEADER, TraceParent, new_span_id

MIB = 1024 * 1024

_SAFE = frozenset({"GET", "HEAD"})
_NOT_MODIFIED = 304
_PARTIAL, _NOT_SATISFIABLE = 206, 416
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:(\d{1,18})|\*)")
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_RETRY_CAP_S = 10.0
_LONGEST_WAIT_S = 30.0
"""If a service asks for a longer pause, the call fails: its job is tried later, and the worker does other work."""
_SILENCE_S = 60.0
"""A call fails when the service sends nothing for this long, however long the whole call may take."""
_USER_AGENT = f"mediajobs/{__version__}"
_PIECE_BYTES = 65536
_EXCERPT_BYTES = 4096


@dataclass
class _Call:
    """One call under way: its limits, and the figures for its record."""

    method: str
    service: str
    op: str
    url: str
    units: float | None
    max_bytes: int
    retry_safe: bool
    hides_path: bool = False
    is_conditional: bool = False
    span_id: str | None = None
    http_status: int | None = None
    follows: bool = True
    tries: int = 0
    bytes: int = 0
    status: str = InternalError.code

    @property
    def target(self) -> str:
        """The address, without secrets."""
        return shown_address(self.url, self.hides_path)

    @property
    def what(self) -> str:
        """The name of the call, for messages."""
        return f"{self.service} {self.op} ({self.target})"


class HttpClient(ServiceClient):
    """Calls services over HTTP. A client for one service uses its `request` and `download`, or derives from it."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._connections = Connections(context.settings.private_addresses)
        self._chance = random.Random()

    @property
    def silence_s(self) -> float:
        """How long a service may send nothing, seconds."""
        return _SILENCE_S

    @override
    @classmethod
    def open(cls, context: ServiceContext) -> Self:
        return cls(context)

    @override
    def close(self) -> None:
        self._connections.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        service: str,
        op: str,
        params: Query | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | Query | None = None,
        retry_safe: bool | None = None,
        max_bytes: int = 16 * MIB,
        timeout_s: float | None = None,
        connect_timeout_s: float | None = None,
        units: float | None = None,
        trusted: bool = False,
        hides_path: bool = False,
        follows: bool = True,
    ) -> HttpAnswer:
        """Send a request and return the answer, which is 2xx. `service`, `op` and `units` are for the call's record.

        The host has to be public, or in a network of MEDIAJOBS_PRIVATE_ADDRESSES; with `trusted` it may be anywhere:
        for addresses that operators have set, never for those of users or feeds. Redirects to another host are not
        trusted. `hides_path`: the path is a secret. An answer 304 is returned if `headers` have a condition
        (If-None-Match, If-Modified-Since). Without `follows`, a redirect is an answer that is not valid.

        `json` is sent as JSON, `data` as it is or as a form. When the service is busy or the connection breaks, the
        request is sent again if that is safe: for GET and HEAD, or as `retry_safe` says. `timeout_s` is for all tries
        together; default: MEDIAJOBS_SERVICE_TIMEOUT_S. `max_bytes` limits the answer after decompression.

        Raises ServiceError and its kinds, RequestError for an address that is not valid, AddressRefusedError,
        DeadlineError, and the error of the cancellation.
        """
        method = method.upper()
        is_safe = method in _SAFE if retry_safe is None else retry_safe
        is_conditional = any(name.lower() in _CONDITIONS for name in headers or ())
        call = _Call(
            *(method, service, op, url, units, max_bytes, is_safe),
            hides_path=hides_path,
            is_conditional=is_conditional,
            span_id=self._new_span_id(),
            follows=follows,
        )
        limit_s = self._context.settings.service_timeout_s if timeout_s is None else timeout_s
        with self._recorded(call), self._guarded(call, limit_s) as guard:
            body, about_body = body_of(json, data)
            own = {"User-Agent": _USER_AGENT, "Accept-Encoding": "gzip, deflate", **self._traced(call)}
            sent = {**own, **about_body, **(headers or {})}
            received = InMemory()
            asked = Request.of(method, with_query(url, params), sent, body, is_trusted=trusted, hides_path=hides_path)
            status, answered = self._answered(call, asked, guard, received, connect_timeout_s)
        return HttpAnswer(status, answered, received.body, call.what, is_unchanged=status == _NOT_MODIFIED)

    def get_kept(
        self,
        url: str,
        *,
        service: str,
        op: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 16 * MIB,
        units: float | None = None,
        trusted: bool = False,
        hides_path: bool = False,
    ) -> HttpAnswer:
        """The answer to a GET, fetched only if it has changed since the last time; see `HttpAnswer.is_unchanged`.

        It is kept in MEDIAJOBS_HOME for the next time, if the service names it by an ETag or a date. All else as in
        `request`.
        """
        given = headers or {}
        kept = KeptAnswer.read(self._context.settings.home / "answers", url, given, max_bytes)
        answer = self.request(
            "GET",
            url,
            service=service,
            op=op,
            headers={**given, **kept.conditions},
            max_bytes=max_bytes,
            units=units,
            trusted=trusted,
            hides_path=hides_path,
        )
        if answer.is_unchanged:
            return HttpAnswer(200, HTTPHeaderDict(kept.headers), kept.body, answer.what, is_unchanged=True)
        kept.replace_by(answer)
        return answer

    def download(
        self,
        url: str,
        path: Path,
        *,
        service: str,
        op: str,
        max_bytes: int,
        params: Query | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        connect_timeout_s: float | None = None,
        units: float | None = None,
        trusted: bool = False,
        resumes: bool = False,
        on_bytes: Callable[[int, int | None], None] | None = None,
    ) -> Download:
        """Download `url` to the file `path`, which appears whole or not at all.

        With `resumes`, what came in of it stays beside `path` when it fails, and the next try or call goes on there, if
        the service knows the same version again.
        `on_bytes` gets the bytes received so far and the total, if it is known; a new try starts at 0 again. Without
        `timeout_s`, only the deadline of the work limits the call. All else as in `request`; also raises DiskFullError.
        """
        call = _Call("GET", service, op, url, units, max_bytes, retry_safe=True, span_id=self._new_span_id())
        in_file = KeptFile if resumes else InFile
        with self._recorded(call), self._guarded(call, timeout_s) as guard, in_file(path, on_bytes) as received:
            # Not compressed: the file is wanted as it is, and Content-Length is then its length.
            own = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", **self._traced(call)}
            sent = {**own, **(headers or {})}
            asked = Request.of("GET", with_query(url, params), sent, None, is_trusted=trusted)
            _, answered = self._answered(call, asked, guard, received, connect_timeout_s)
            received.publish()
        return Download(path, call.bytes, answered)

    def _new_span_id(self) -> str | None:
        return None if self._context.trace is None else new_span_id()

    def _traced(self, call: _Call) -> dict[str, str]:
        """The header by which a service goes on with the trace. It holds two random numbers and nothing else."""
        trace_id, span_id = self._context.trace, call.span_id
        return {} if trace_id is None or span_id is None else {HEADER: str(TraceParent(trace_id, span_id))}

    # --- one call ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _recorded(self, call: _Call) -> Generator[None]:
        started_at, started = utc_now(), time.monotonic()
        self._context.begin(call.service, call.op, call.target)
        try:
            yield
            call.status = "ok"
        except MediaJobsError as error:
            call.status = error.code
            raise
        finally:
            self._context.record(
                ServiceCall(
                    service=call.service,
                    op=call.op,
                    target=call.target,
                    started_at=started_at,
                    duration_ms=round((time.monotonic() - started) * 1000),
                    status=call.status,
                    tries=call.tries,
                    bytes=call.bytes,
                    units=call.units,
                    method=call.method,
                    http_status=call.http_status,
                    span_id=call.span_id,
                )
            )

    @contextmanager
    def _guarded(self, call: _Call, limit_s: float | None) -> Generator[CallGuard]:
        guard = CallGuard(self._context.cancellation, self._context.deadline, limit_s, call.what)
        with guard.watching():
            yield guard

    def _answered(
        self, call: _Call, asked: Request, guard: CallGuard, received: Received, connect_s: float | None
    ) -> tuple[int, Mapping[str, str]]:
        """Status and headers of the answer; its body is in `received`. Tries again if that is safe and may help."""
        while True:
            call.tries, call.http_status = call.tries + 1, None
            outcome = self._try(call, asked.also(received.wanted), guard, received, connect_s)
            if not isinstance(outcome, Fault):
                return outcome.status, outcome.headers
            if outcome.error.http_status in (_NOT_SATISFIABLE, _PARTIAL) and received.drop():
                continue
            pause_s = self._pause_s(call, outcome, guard)
            if pause_s is None:
                raise outcome.error
            guard.pause(pause_s)

    def _pause_s(self, call: _Call, fault: Fault, guard: CallGuard) -> float | None:
        """Seconds to wait before the next try, with full jitter; None: no further try."""
        settings = self._context.settings
        if not (call.retry_safe and fault.may_pass and call.tries < settings.service_tries):
            return None
        longest_s = min(_RETRY_CAP_S, settings.service_retry_base_s * 2.0 ** (call.tries - 1))
        asked_s = fault.error.retry_after_s or 0.0
        pause_s = max(asked_s, self._chance.uniform(0.0, longest_s))
        return None if asked_s > _LONGEST_WAIT_S or pause_s >= guard.left_s else pause_s

    # --- one try -----------------------------------------------------------------------------------------------------

    def _try(
        self, call: _Call, asked: Request, guard: CallGuard, received: Received, connect_s: float | None
    ) -> BaseHTTPResponse | Fault:
        connect_s = self._context.settings.service_connect_timeout_s if connect_s is None else connect_s
        try:
            answer = self._followed(call, asked, guard, connect_s)
        except HTTPError as error:
            guard.check()  # a connection that the guard shut down fails like any other
            return fault_in_asking(call.what, error)
        call.http_status = answer.status
        with closing(answer):
            try:
                is_unchanged = answer.status == _NOT_MODIFIED and call.is_conditional
                if not (200 <= answer.status < 300 or is_unchanged):
                    fault = _fault_of(call, asked, answer)
                    self._context.cancellation.check()
                    return fault
                if not _is_as_wanted(answer, received.wanted):
                    told = f"{call.what} was answered with a part that nobody asked for."
                    return Fault(ServiceAnswerError(told, http_status=answer.status), may_pass=False)
                _receive(call, answer, received)
            except HTTPError as error:
                guard.check()
                return fault_in_reading(call.what, error)
            guard.check()  # a body without a declared length just ends when the connection is shut down
            return answer

    def _followed(self, call: _Call, asked: Request, guard: CallGuard, connect_s: float) -> BaseHTTPResponse:
        """The answer at the end of all redirects."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._connections.send(asked, guard, connect_s=connect_s, silence_s=self.silence_s)
            location = answer.headers.get("Location") if call.follows and answer.status in REDIRECTS else None
            if location is None:
                return answer
            answer.close()
            asked = asked.redirected(answer.status, location)
        raise ServiceAnswerError(f"{call.what} was redirected more than {MAX_REDIRECTS} times. Correct the address.")


def _fault_of(call: _Call, asked: Request, answer: BaseHTTPResponse) -> Fault:
    beginning = b""
    try:
        for piece in answer.stream(_EXCERPT_BYTES):
            beginning += piece
            if len(beginning) >= _EXCERPT_BYTES:
                break
    except HTTPError:
        pass  # even at the deadline, the status says enough
    excerpt = asked.without_secrets(decoded(beginning[:_EXCERPT_BYTES], answer.headers))
    return fault_of_status(call.what, answer.status, excerpt, answer.headers.get("Retry-After"))


def _receive(call: _Call, answer: BaseHTTPResponse, received: Received) -> None:
    """Read the body. Raises urllib3's HTTPError, ServiceTooLargeError, and what `received` raises."""
    # The length of a compressed answer after decompression is unknown.
    total = None if "Content-Encoding" in answer.headers else answer.length_remaining
    start, whole = _part_of(answer)
    _check_size(call, start + (total or 0))
    call.bytes = 0
    received.begin(None if total is None else start + total, start, answer.headers)
    for piece in answer.stream(_PIECE_BYTES):
        call.bytes += len(piece)
        _check_size(call, start + call.bytes)
        received.add(piece)
    if whole is not None and start + call.bytes < whole:
        raise IncompleteRead(call.bytes, whole - start - call.bytes)


def _is_as_wanted(answer: BaseHTTPResponse, wanted: Mapping[str, str]) -> bool:
    """Whether an answer is the whole, or begins where it was asked for: a service may take a range for another one."""
    if answer.status != _PARTIAL:
        return True
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return found is not None and wanted.get("Range", "bytes=0-") == f"bytes={int(found[1])}-"


def _part_of(answer: BaseHTTPResponse) -> tuple[int, int | None]:
    """Where a body begins, and how long the whole is if it may be a part of it that ends earlier."""
    if answer.status != _PARTIAL:
        return 0, None
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    assert found is not None  # it is as wanted
    return int(found[1]), int(found[2]) if found[2] else None


def _check_size(call: _Call, size: int) -> None:
    if size > call.max_bytes:
        raise ServiceTooLargeError(f"The answer to {call.what} is larger than the limit of {call.max_bytes:,} bytes.")
