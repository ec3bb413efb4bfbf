"""Builds a filter graph: opens inputs, adds chains, and names every pad.

A chain is `[input pads]filter,filter[output pads]`. Every output pad has to be used exactly once: `text` refuses a
graph with loose pads, so a builder that forgets one fails in its tests, not in ffmpeg.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from mediajobs_dagster.media.command import Drawing, Generated, Input, Slideshow

Part = Input | Drawing | Generated | Slideshow


class Graph:
    """Inputs and chains, in the order they are added."""

    def __init__(self) -> None:
        self.inputs: list[Part] = []
        self._chains: list[str] = []
        self._loose: set[str] = set()
        self._names: set[str] = set()

    def open(self, part: Part) -> int:
        """Open an input; returns its number."""
        self.inputs.append(part)
        return len(self.inputs) - 1

    def add(self, pad: str, filters: Iterable[str], *taken: str) -> str:
        """Add a chain with one output pad; returns its name. Pads of inputs have ffmpeg's names, such as `0:1`."""
        (given,) = self.fan_out((pad,), filters, *taken)
        return given

    def fan_out(self, pads: Iterable[str], filters: Iterable[str], *taken: str) -> tuple[str, ...]:
        """Add a chain with several output pads; returns their names."""
        given = tuple(pads)
        for pad in taken:
            if ":" not in pad:
                self._loose.remove(pad)
        if self._names.intersection(given):
            raise ValueError(f"A pad of the graph is named twice: {', '.join(given)}.")
        self._names.update(given)
        self._loose.update(given)
        self._chains.append(f"{_bracketed(taken)}{','.join(filters)}{_bracketed(given)}")
        return given

    def text(self, *outputs: str) -> str:
        """The graph in ffmpeg's syntax; `outputs` are the pads that leave it. Raises ValueError for loose pads."""
        if self._loose != set(outputs):
            raise ValueError(f"Pads of the graph are loose: {', '.join(sorted(self._loose ^ set(outputs)))}.")
        return ";".join(self._chains)


def _bracketed(pads: Iterable[str]) -> str:
    return "".join(f"[{pad}]" for pad in pads)


def decimal(value: Fraction | float) -> str:
    """A number as ffmpeg reads it, to the microsecond."""
    return f"{float(value):.6f}".rstrip("0").rstrip(".")


def rate(fps: Fraction) -> str:
    """A frame rate as ffmpeg reads it, exactly."""
    return str(fps.numerator) if fps.denominator == 1 else f"{fps.numerator}/{fps.denominator}"


def hexadecimal(color: str) -> str:
    """A colour of a timeline as ffmpeg reads it."""
    return "0x" + color.removeprefix("#")
