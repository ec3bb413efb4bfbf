"""What the ffmpeg of this machine can do, as planners want to know it."""

from __future__ import annotations

from mediajobs_dagster.job_types.base import Capabilities, ToneMapping
from mediajobs_dagster.media.run import Runner


def capabilities_of(runner: Runner) -> Capabilities:
    """The capabilities of a runner's ffmpeg, each asked of it only when a planner asks."""
    return Capabilities(
        tone_mapping=lambda: _tone_mapping(runner),
        works=runner.tools.can_encode,
        decodes=runner.tools.can_decode,
        max_pixels=runner.guards.max_pixels,
    )


def _tone_mapping(runner: Runner) -> ToneMapping | None:
    if runner.tools.scales_transfer:
        return ToneMapping.SWSCALE
    return ToneMapping.ZSCALE if {"zscale", "tonemap"} <= runner.tools.filters else None
