"""How traces are named beyond mediajobs: W3C Trace Context, and the ids of OpenTelemetry.

A trace id of ours is an id of OpenTelemetry as it is. Ids of spans are derived from what they are about, so what is
told twice is the same span.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from mediajobs_dagster.models import new_trace_id

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_INVALID_VERSION = "ff"
_LONGEST = 512
"""Longer texts are no header of a version to come."""


@dataclass(frozen=True)
class TraceParent:
    """A span, as one program names it to the next."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""

    @classmethod
    def parse(cls, text: str) -> TraceParent | None:
        """What a header `traceparent` says; None if it is not valid, and then to be ignored.

        By https://www.w3.org/TR/trace-context/#traceparent-header: a later version may have more behind the flags.
        """
        found = _FORM.fullmatch(text.strip(" \t")) if len(text) <= _LONGEST else None
        if found is None:
            return None
        version, trace_id, span_id, _, more = found.groups()
        if version == _INVALID_VERSION or (version == "00" and more):
            return None
        return cls(trace_id, span_id) if trace_id.strip("0") and span_id.strip("0") else None

    def __str__(self) -> str:
        """The header's value. The span is recorded, so the flag says so."""
        return f"00-{self.trace_id}-{self.span_id}-01"


_followed: ContextVar[TraceParent | None] = ContextVar("followed", default=None)


@contextmanager
def following(parent: TraceParent | None) -> Generator[None]:
    """What is asked for within the block, in this thread or task, was caused by that span; None: it is not known."""
    token = _followed.set(parent)
    try:
        yield
    finally:
        _followed.reset(token)


def followed() -> TraceParent | None:
    """The span that caused what is asked for here."""
    return _followed.get()


@contextmanager
def within_trace(given: str | None) -> Generator[str]:
    """The trace id for what is asked for within the block.

    `given` is a trace id, or the value of a header `traceparent`. None: the trace that is followed, else a new one.
    """
    parent = TraceParent.parse(given) if given else followed()
    if parent is None:
        yield given or new_trace_id()
    else:
        with following(parent):
            yield parent.trace_id


def otel_trace_id(trace_id: str) -> str:
    """The id by which OpenTelemetry knows a trace: itself, where it is one.

    Programs may give a trace any name. One that is no id is told as the beginning of its SHA-256.
    """
    if _TRACE_ID.fullmatch(trace_id) and trace_id.strip("0"):
        return trace_id
    return hashlib.sha256(trace_id.encode("utf-8", "replace")).hexdigest()[:32]


def span_id_of(*about: object) -> str:
    """The id of the span about something: the beginning of the SHA-256 of its parts; always the same."""
    return hashlib.sha256("/".join(map(str, about)).encode()).hexdigest()[:16]


def attempt_span_id(attempt_id: str) -> str:
    """The id of the span of an attempt."""
    return span_id_of(attempt_id, "attempt")


def new_span_id() -> str:
    """A fresh span id."""
    return secrets.token_hex(8)
