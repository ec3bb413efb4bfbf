"""Spans in the form of OTLP, the protocol of OpenTelemetry: protobuf, as its HTTP transport takes it.

https://opentelemetry.io/docs/specs/otlp/. This module alone imports OpenTelemetry, and is itself imported when the
first span is sent.
"""

# What the protobuf compiler makes has its types elsewhere:
# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from mediajobs_dagster import __version__
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.telemetry.traces.span import Attribute, Attributes, Span

_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
"""The version of the semantic conventions that the names of attributes are from."""
_LONGEST = 4096
"""Characters of a text; collectors and stores have limits of their own."""
_MOST_ARGUMENTS = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SAMPLED = 1


def request_of(spans: Iterable[Span]) -> bytes:
    """The body of a request that tells these spans."""
    by_place: dict[tuple[str | None, str | None], list[Span]] = {}
    for span in spans:
        by_place.setdefault((span.host, span.version), []).append(span)
    return ExportTraceServiceRequest(
        resource_spans=[_resource_spans(*place, found) for place, found in by_place.items()]
    ).SerializeToString()


def _resource_spans(host: str | None, version: str | None, spans: Sequence[Span]) -> otlp.ResourceSpans:
    about: Attributes = {"service.name": "mediajobs", "service.version": version or __version__, "host.name": host}
    scope = InstrumentationScope(name="mediajobs", version=__version__)
    told = otlp.ScopeSpans(scope=scope, spans=[_span(each) for each in spans], schema_url=_SCHEMA)
    return otlp.ResourceSpans(resource=Resource(attributes=_attributes(about)), scope_spans=[told], schema_url=_SCHEMA)


def _span(span: Span) -> otlp.Span:
    message = otlp.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id or ""),
        flags=_SAMPLED,
        name=_text(in_one_line(span.name)),
        kind=otlp.Span.SpanKind.ValueType(span.kind.value + 0),
        start_time_unix_nano=_nanoseconds(span.period.start),
        end_time_unix_nano=_nanoseconds(span.period.end),
        attributes=_attributes(span.attributes),
    )
    if span.fault is not None:
        said = f"{span.fault.code}: {span.fault.message}" if span.fault.message else span.fault.code
        message.status.code = otlp.Status.STATUS_CODE_ERROR
        message.status.message = _text(said)
        if span.fault.message:
            about: Attributes = {"exception.type": span.fault.code, "exception.message": span.fault.message}
            at = _nanoseconds(span.period.end)
            message.events.append(otlp.Span.Event(name="exception", time_unix_nano=at, attributes=_attributes(about)))
    return message


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items() if value is not None]


def _value(value: Attribute) -> AnyValue:
    match value:
        case bool():  # first: it is an int too
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=_text(value))
        case tuple():
            return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value[:_MOST_ARGUMENTS]]))


def _text(text: str) -> str:
    # Protobuf takes no half of a surrogate pair. Redacted first: a text that is cut may hide that it holds a secret.
    return redact(text)[:_LONGEST].encode("utf-8", "replace").decode("utf-8")


def _nanoseconds(moment: datetime) -> int:
    return max(0, (moment - _EPOCH) // _MICROSECOND * 1000)
