"""A span, before it takes the form of a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum


class Kind(Enum):
    """What a span is to other programs. The values are those of OTLP."""

    INTERNAL = 1
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


Attribute = str | int | float | bool | tuple[str, ...]
Attributes = Mapping[str, Attribute | None]
"""None: not known, and not told."""


@dataclass(frozen=True)
class Period:
    """From one moment to another, which is not before it."""

    start: datetime
    end: datetime

    @classmethod
    def lasting(cls, start: datetime, milliseconds: int) -> Period:
        """That long, from a moment on."""
        return cls(start, start + timedelta(milliseconds=max(0, milliseconds)))

    def within(self, outer: Period) -> Period:
        """The part of it that lies in another one: clocks of two machines, or one that was set, can disagree."""
        start = min(max(self.start, outer.start), outer.end)
        return Period(start, min(max(self.end, start), outer.end))


@dataclass(frozen=True)
class Fault:
    """Why what a span is about failed."""

    code: str
    message: str = ""


@dataclass(frozen=True)
class Span:
    """One thing that took place."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    parent_id: str | None
    name: str
    period: Period
    kind: Kind = Kind.INTERNAL
    attributes: Attributes = field(default_factory=dict[str, Attribute | None])
    fault: Fault | None = None
    host: str | None = None
    """The machine on which it took place."""
    version: str | None = None
    """The version of mediajobs that did it."""

    def on(self, host: str | None, version: str | None) -> Span:
        """The same on that machine, by that version."""
        return replace(self, host=host, version=version)
