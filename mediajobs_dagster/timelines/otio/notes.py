"""Tells people what of a timeline was left out, or is another than it was."""

from __future__ import annotations

from fractions import Fraction
from typing import Any


class Notes:
    """Sentences for people, each of them once, in the order of finding."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        """Note something."""
        self._sentences[sentence[:1].upper() + sentence[1:]] = None

    @property
    def all(self) -> tuple[str, ...]:
        """What was noted."""
        return tuple(self._sentences)


def named(thing: Any) -> str:
    """An object of OpenTimelineIO, as notes call it."""
    kind = thing.schema_name()
    if kind == "Gap":
        return "a gap"
    known = kind in ("Clip", "Track", "Stack", "Timeline")
    return f"the {kind.lower() if known else kind} {quoted(thing.name) or 'without a name'}"


def quoted(text: str | None) -> str:
    """A name, as notes show it; empty where there is none."""
    return f"“{text}”" if text else ""


def told(value: Fraction) -> str:
    """A number, as notes show it."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")
