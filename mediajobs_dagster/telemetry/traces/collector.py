"""The collector that traces are sent to, over OTLP/HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.errors import (
    DeadlineError,
    ExtraMissingError,
    MediaJobsError,
    ServiceAnswerError,
    ServiceError,
    ServiceTimeoutError,
)
from mediajobs_dagster.models import ServiceCall
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.http import HttpClient
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.traces.span import Span

TIMEOUT_S = 20.0
"""How long the collector may take to answer, seconds."""
_CONNECT_S = 5.0
_LONGEST_ANSWER = 1 << 20
_BAD_CONTENT = (400, 413, 422)
"""Answers by which it is the content that is not taken. After any other, such as 401 or 404, the same content is taken
once operators have mended what is wrong."""
_FAILED = 500


@dataclass(frozen=True)
class Collector:
    """Where traces go."""

    settings: Settings
    cancellation: Cancellation = field(default_factory=Cancellation)
    """Ends what is being sent."""

    def send(self, spans: Sequence[Span]) -> None:
        """Send spans; returns when the collector has them.

        Raises ServiceError and its kinds, RequestError for an address that is not valid, DeadlineError,
        ExtraMissingError, and the error of the cancellation.
        """
        try:
            from mediajobs_dagster.telemetry.traces.otlp import request_of
        except ModuleNotFoundError:
            raise ExtraMissingError.of("MEDIAJOBS_TRACES_URL needs", "traces") from None
        body = gzip.compress(request_of(spans), 5)
        given = (each.get_secret_value().partition("=") for each in self.settings.traces_headers)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        context = ServiceContext(self.settings, self.cancellation, Deadline.after(TIMEOUT_S), _no_record)
        client = HttpClient.open(context)
        try:
            client.request(
                "POST",
                self.settings.traces_url or "",
                service="traces",
                op="export",
                headers={**headers, **{name: value for name, _, value in given}},
                data=body,
                max_bytes=_LONGEST_ANSWER,
                connect_timeout_s=_CONNECT_S,
                trusted=True,
            )
        finally:
            client.close()

    def check(self) -> str:
        """Send no spans, and say what came of it. Raises as `send`."""
        self.send(())
        return "the collector takes what it is sent"


def is_of_content(error: ServiceError) -> bool:
    """Whether the collector will never take what it was sent."""
    return error.http_status in _BAD_CONTENT


def may_be_of_content(error: MediaJobsError) -> bool:
    """Whether the collector may have failed at what it was sent, and take something else."""
    failed = isinstance(error, ServiceError) and (error.http_status or 0) >= _FAILED
    return failed or isinstance(error, DeadlineError | ServiceTimeoutError | ServiceAnswerError)


def _no_record(_call: ServiceCall) -> None:
    """It is part of no attempt."""
