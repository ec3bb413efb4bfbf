"""CPU and memory of processes over their time, and the loudness of sound, as points of SVG lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediajobs_dagster.models import FfmpegCommand

_WIDTH, _HEIGHT = 1000, 100
_COLUMNS = 500


@dataclass(frozen=True)
class Curve:
    """CPU and memory of one process; the points are those of SVG polylines in a box of 1000 by 100."""

    seconds: float
    cpu: str
    cpu_max: float
    memory: str
    memory_max: float


def curve_of(command: FfmpegCommand) -> Curve | None:
    """The curve of a command; None: it was too short to be sampled twice."""
    samples = command.samples
    if len(samples) < 2:
        return None
    cpu_max = max(100.0, *(each.cpu_pct for each in samples))
    memory_max = max(1.0, *(each.rss_mb for each in samples))
    seconds = max(samples[-1].seconds, command.duration_ms / 1000)
    cpu = [(each.seconds / seconds, each.cpu_pct / cpu_max) for each in samples]
    memory = [(each.seconds / seconds, each.rss_mb / memory_max) for each in samples]
    return Curve(seconds, _points(cpu), cpu_max, _points(memory), memory_max)


def wave_path(points: Sequence[float]) -> str:
    """The path of a waveform in a box of 500 by 100, from levels between 0 and 1."""
    if not points:
        return ""
    columns = min(_COLUMNS, len(points))
    parts: list[str] = []
    width = _COLUMNS / columns
    for column in range(columns):
        begin, end = column * len(points) // columns, (column + 1) * len(points) // columns
        level = max(points[begin : max(end, begin + 1)])
        half = max(0.6, 48 * max(0.0, min(1.0, level)))
        left = column * width
        parts.append(f"M{left:.1f} {50 - half:.1f}h{0.8 * width:.2f}v{2 * half:.1f}h-{0.8 * width:.2f}z")
    return "".join(parts)


def spark_of(counts: Sequence[int]) -> str:
    """The path of a small column for each count, in a box of as many by 10."""
    top = max(counts, default=0)
    heights = [max(1.0, 10 * each / top) if each else 0.0 for each in counts]
    return "".join(f"M{x} 10v-{height:.1f}h.8v{height:.1f}z" for x, height in enumerate(heights) if height)


def _points(shares: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x * _WIDTH:.1f},{_HEIGHT - y * (_HEIGHT - 4) - 2:.1f}" for x, y in shares)
