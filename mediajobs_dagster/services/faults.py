"""Turns the failure of one try into an error of the error tree, and says whether trying again soon may help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses

from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    InvalidHeader,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from mediajobs_dagster.errors import (
    ServiceAnswerError,
    ServiceError,
    ServiceLimitedError,
    ServiceRefusedError,
    ServiceTimeoutError,
    ServiceUnavailableError,
)
from mediajobs_dagster.storage.redaction import redact

BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may soon succeed."""

_TRANSIENT_4XX = frozenset({408, 425})
"""The service itself says that the request was fine, but came too slowly or too early."""
_SHOWN_CHARS = 200
_LONGEST_S = 365 * 24 * 3600.0


@dataclass(frozen=True)
class Fault:
    """A try that failed."""

    error: ServiceError
    may_pass: bool
    """Whether a further try within the same call may help."""


def fault_of_status(what: str, status: int, answer: str, retry_after: str | None) -> Fault:
    """The fault behind an answer other than 2xx; `answer` is the beginning of its body."""
    # A page for people says nothing that its status does not.
    shown = "" if answer.lstrip().startswith("<") else " ".join(redact(answer).split())[:_SHOWN_CHARS]
    said = f"{what} was answered with {status} {responses.get(status, '')}".rstrip() + (f": {shown}" if shown else "")
    kind, advice = _kind_of_status(status)
    wait_s = retry_after_s(retry_after, datetime.now(UTC))
    error = kind(f"{said}. {advice}", http_status=status, retry_after_s=wait_s, answer=answer)
    return Fault(error, may_pass=status in BUSY)


def _kind_of_status(status: int) -> tuple[type[ServiceError], str]:
    if status == 429:
        return ServiceLimitedError, "Send fewer requests, or have the limit raised."
    if status >= 500 or status in _TRANSIENT_4XX:
        return ServiceUnavailableError, "The service has a problem. Try again later."
    if status >= 400:
        return ServiceRefusedError, "Check the address, the credentials and the request."
    return ServiceAnswerError, "This status is not valid for this request."


def fault_in_asking(what: str, error: HTTPError) -> Fault:
    """The fault behind an exception that came before the headers of the answer."""
    shown = redact(str(error))
    if isinstance(error, NewConnectionError):  # a ConnectTimeoutError by its class, whatever the reason
        reason = shown.partition("): ")[2] or shown  # without the object of the connection
        return _unsent(ServiceUnavailableError(f"{what}: the service cannot be reached: {reason}"))
    if isinstance(error, ConnectTimeoutError):
        return _unsent(ServiceTimeoutError(f"{what}: the service did not accept the connection in time."))
    if isinstance(error, Urllib3TimeoutError):
        return Fault(ServiceTimeoutError(f"{what}: the service stopped sending. Try again later."), may_pass=False)
    if isinstance(error, SSLError):
        text = (
            f"{what}: no secure connection: {shown}. Check the address, and SSL_CERT_FILE for an authority of your own."
        )
        return Fault(ServiceUnavailableError(text), may_pass=False)
    if isinstance(error, InvalidHeader) or (
        isinstance(error, ProtocolError) and not isinstance(error.args[-1], OSError)
    ):
        return Fault(ServiceAnswerError(f"{what}: the answer is not HTTP: {shown}"), may_pass=False)
    return Fault(ServiceUnavailableError(f"{what}: the connection failed: {shown}"), may_pass=True)


def _unsent(error: ServiceError) -> Fault:
    error.was_sent = False
    return Fault(error, may_pass=True)


def fault_in_reading(what: str, error: HTTPError) -> Fault:
    """The fault behind an exception that came while the body of the answer was read."""
    if isinstance(error, ReadTimeoutError):
        return Fault(
            ServiceTimeoutError(f"{what}: the service stopped sending in the middle of its answer."), may_pass=False
        )
    if isinstance(error, DecodeError):
        return Fault(
            ServiceAnswerError(f"{what}: the answer cannot be decompressed: {redact(str(error))}"), may_pass=False
        )
    return Fault(ServiceAnswerError(f"{what}: the answer was cut off: {redact(str(error))}"), may_pass=True)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, section 10.2.3); None: no valid value."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,15}", value, re.ASCII):
        return min(float(value), _LONGEST_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": UTC, by RFC 5322
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_S)
