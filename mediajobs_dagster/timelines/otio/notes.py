"""Collects notes for people about what an import left out or changed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


class Notes:
    """Notes for people, without repetition, in the order they were added."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        """Note something."""
        self._sentences[sentence[:1].upper() + sentence[1:]] = None

    @property
    def all(self) -> tuple[str, ...]:
        """All notes."""
        return tuple(self._sentences)


def named(thing: Any) -> str:
    """How notes name an object of OpenTimelineIO."""
    kind = thing.schema_name()
    if kind == "Gap":
        return "a gap"
    known = kind in ("Clip", "Track", "Stack", "Timeline")
    return f"the {kind.lower() if known else kind} {quoted(thing.name) or 'without a name'}"


def quoted(text: str | None) -> str:
    """A name in quotation marks; empty if there is none."""
    return f"“{text}”" if text else ""


def rounded(value: Fraction) -> str:
    """A number with three decimals at most."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")
