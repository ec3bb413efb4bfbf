"""The cohort of an attempt: the facts that its cost depends on. Attempts of the same cohort can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.job_types.base import RtfBasis
from mediajobs_dagster.models import FfmpegCommand, JsonObject


def cohort_of(manifest: Manifest, *, threads: int | None = None, side_by_side: int | None = None) -> JsonObject:
    """The cohort fields of `models.Attempt`; unknown ones are None.

    `threads` is how many threads each ffmpeg could use; by default, the most that a command of the manifest was given.
    `side_by_side` is how many attempts the worker made at once.
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
    # Inputs may get fewer threads than the output: with many inputs, each gets one.
    given = (
        int(value)
        for command in commands
        for option, value in pairwise(command.argv)
        if option == "-threads" and value.isdecimal()
    )
    return max(given, default=None)
