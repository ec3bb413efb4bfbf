"""The cohort of an attempt: what its cost depends on. Attempts that are alike in it can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.job_types.base import RtfBasis
from mediajobs_dagster.models import FfmpegCommand, JsonObject


def cohort_of(manifest: Manifest, *, threads: int | None = None, side_by_side: int | None = None) -> JsonObject:
    """The fields of `models.Attempt` that say which cohort an attempt belongs to; what is not known is None.

    `threads` is what each ffmpeg was granted; without it, the most that a command of the manifest was told to use.
    `side_by_side` is how many attempts the worker made at the same time.
    """
    metrics, source = manifest.metrics, manifest.metrics.input
    size = manifest.input_summary.get("bytes")
    return {
        "width": source.width if source else None,
        "height": source.height if source else None,
        "fps": source.fps if source else None,
        "video_codec": source.video_codec if source else None,
        "media_seconds": _media_seconds(manifest),
        "input_bytes": size if isinstance(size, int) else None,
        "instance_type": metrics.host.instance_type,
        "threads": threads or _threads(manifest.ffmpeg_commands),
        "side_by_side": side_by_side,
    }


def _media_seconds(manifest: Manifest) -> float | None:
    metrics = manifest.metrics
    if metrics.media_seconds is None and metrics.rtf_basis is RtfBasis.INPUT and metrics.input:
        return metrics.input.duration_seconds
    return metrics.media_seconds


def _threads(commands: Iterable[FfmpegCommand]) -> int | None:
    # Inputs may get fewer threads than the output: of many at once each gets one.
    given = (
        int(value)
        for command in commands
        for option, value in pairwise(command.argv)
        if option == "-threads" and value.isdecimal()
    )
    return max(given, default=None)
