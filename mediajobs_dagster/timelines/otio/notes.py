"""Collects notes for people about what an import left out or changed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mediajobs_dagster.fault_lists import MAX_FAULTS, shortened
from mediajobs_dagster.printable import in_one_line


class Notes:
    """Notes for people, without repetition, in the order they were added."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}
        self._left_out = 0

    def add(self, sentence: str) -> None:
        """Note something. The first hundred are kept; of the others, their number."""
        said = shortened(sentence[:1].upper() + sentence[1:])
        if len(self._sentences) < MAX_FAULTS:
            self._sentences[said] = None
        elif said not in self._sentences:
            self._left_out += 1

    @property
    def all(self) -> tuple[str, ...]:
        """All notes."""
        more = (f"There are {self._left_out:,} more notes.",) if self._left_out else ()
        return (*self._sentences, *more)


def named(thing: Any) -> str:
    """How notes name an object of OpenTimelineIO."""
    kind = thing.schema_name()
    if kind == "Gap":
        return "a gap"
    known = kind in ("Clip", "Track", "Stack", "Timeline")
    return f"the {kind.lower() if known else kind} {quoted(thing.name) or 'without a name'}"


def quoted(text: str | None) -> str:
    """A name in quotation marks; empty if there is none."""
    return f"“{in_one_line(text)}”" if text else ""


def rounded(value: Fraction) -> str:
    """A number with three decimals at most."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")
