"""What an attempt adds to the totals. Both `folding.py` and `statistics.py` use this one rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

SOURCES = (
    "duration_ms",
    "output_files",
    "output_bytes",
    "rtf",
    "media_seconds",
    "cpu_seconds",
    "bytes_in",
    "bytes_out",
    "wasted_ms",
)
"""The columns that the figures are computed from; an attempt's row and its entry in `metric_entries` have them."""


class Figures(NamedTuple):
    """Sums over attempts, in the order of the columns of `metric_totals`. Whole numbers, so that sums are exact."""

    duration_ms: int = 0
    output_files: int = 0
    output_bytes: int = 0
    rtf_media_ms: int = 0
    """Media milliseconds of the attempts that have a real-time factor."""
    rtf_duration_ms: int = 0
    """The duration of these attempts."""
    cpu_ms: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    wasted_ms: int = 0


def figures_of(sources: Sequence[Any]) -> Figures:
    """The figures of one attempt, from its values of `SOURCES`."""
    duration_ms, output_files, output_bytes, rtf, media_seconds, cpu_seconds, bytes_in, bytes_out, wasted_ms = sources
    duration_ms = duration_ms or 0
    rated_seconds = None if rtf is None else media_seconds
    return Figures(
        duration_ms=duration_ms,
        output_files=output_files,
        output_bytes=output_bytes,
        rtf_media_ms=round(rated_seconds * 1000) if rated_seconds is not None else 0,
        rtf_duration_ms=duration_ms if rated_seconds is not None else 0,
        cpu_ms=round((cpu_seconds or 0.0) * 1000),
        bytes_in=bytes_in or 0,
        bytes_out=bytes_out or 0,
        wasted_ms=wasted_ms or 0,
    )
