"""What an attempt adds to the totals. Both `folding.py` and `statistics.py` use this one rule."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

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


def figures_of(row: sa.RowMapping) -> Figures:
    """The figures of one attempt, from a row that has `SOURCES`."""
    duration_ms = row["duration_ms"] or 0
    media_seconds: float | None = row["media_seconds"] if row["rtf"] is not None else None
    return Figures(
        duration_ms=duration_ms,
        output_files=row["output_files"],
        output_bytes=row["output_bytes"],
        rtf_media_ms=round(media_seconds * 1000) if media_seconds is not None else 0,
        rtf_duration_ms=duration_ms if media_seconds is not None else 0,
        cpu_ms=round((row["cpu_seconds"] or 0.0) * 1000),
        bytes_in=row["bytes_in"] or 0,
        bytes_out=row["bytes_out"] or 0,
        wasted_ms=row["wasted_ms"] or 0,
    )
