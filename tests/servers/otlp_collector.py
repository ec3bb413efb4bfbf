"""A collector of traces on loopback: it takes OTLP/HTTP apart with OpenTelemetry's own types."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

ERROR = 2
"""The code of a status that is an error."""


@dataclass(frozen=True)
class Got:
    """A span that arrived, and where it says it is from."""

    span: Span
    resource: dict[str, Any]

    @property
    def id(self) -> str:
        """Hexadecimal."""
        return self.span.span_id.hex()

    @property
    def parent_id(self) -> str:
        """Hexadecimal; empty: it has none."""
        return self.span.parent_span_id.hex()

    @property
    def trace_id(self) -> str:
        """Hexadecimal."""
        return self.span.trace_id.hex()

    @property
    def name(self) -> str:
        """Its name."""
        return self.span.name

    @property
    def start(self) -> int:
        """Nanoseconds since 1970."""
        return self.span.start_time_unix_nano

    @property
    def end(self) -> int:
        """Nanoseconds since 1970."""
        return self.span.end_time_unix_nano

    @property
    def attributes(self) -> dict[str, Any]:
        """What it says about itself."""
        return {each.key: value_of(each.value) for each in self.span.attributes}

    @property
    def error(self) -> str | None:
        """The message of its status, if that is an error."""
        return self.span.status.message if self.span.status.code == ERROR else None


@dataclass
class OtlpCollector:
    """Where it is, what it got, and how it answers."""

    port: int
    status: int = 200
    refuses: Callable[[Got], bool] = lambda _: False
    """It answers with `refusal` to a message with such a span."""
    refusal: int = 400
    said: bytes = b""
    """What it says if it does not take a message."""
    taken: Callable[[], None] = lambda: None
    """Called when a message was taken, before that is answered."""
    got: list[Got] = field(default_factory=list[Got])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    requests: int = 0
    largest: int = 0
    """The most spans that a message had."""

    @property
    def address(self) -> str:
        """Where it takes traces."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def named(self, name: str) -> list[Got]:
        """The spans of that name, in the order in which they began."""
        return sorted((each for each in self.got if each.name == name), key=lambda each: each.start)

    def one(self, name: str) -> Got:
        """The only span of that name."""
        (found,) = self.named(name)
        return found

    def times(self) -> Counter[str]:
        """How often each span arrived."""
        return Counter(each.id for each in self.got)

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Take a message; returns the status of the answer."""
        self.requests += 1
        assert headers["content-type"] == "application/x-protobuf"
        message = ExportTraceServiceRequest.FromString(
            gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        )
        found = [
            Got(span, {each.key: value_of(each.value) for each in of.resource.attributes})
            for of in message.resource_spans
            for scope in of.scope_spans
            for span in scope.spans
        ]
        if self.status != 200:
            return self.status
        if any(map(self.refuses, found)):
            return self.refusal
        self.got += found
        self.headers.append(headers)
        self.largest = max(self.largest, len(found))
        self.taken()
        return 200

    @classmethod
    @contextmanager
    def serving(cls, port: int = 0) -> Iterator[OtlpCollector]:
        """Serve until the block ends; then nobody listens there any more."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                answer = ExportTraceServiceResponse().SerializeToString() if status == 200 else collector.said
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            collector = cls(server.server_address[1])
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield collector
            finally:
                server.shutdown()
                thread.join()


def value_of(value: AnyValue) -> Any:
    """The value of an attribute."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
