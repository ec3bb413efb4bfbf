"""Forecasts time, size and memory of an export from earlier exports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median

from pydantic.alias_generators import to_camel

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.job_types.video_export.encoding import ExportParams
from mediajobs_dagster.job_types.video_export.job_type import VideoExport
from mediajobs_dagster.models import Attempt, AttemptStatus, JsonObject
from mediajobs_dagster.timelines.layout import Layout

_LOOKED_AT = 100
"""How many of the latest exports are read; those with the same profile, codec and hardware count."""


@dataclass(frozen=True)
class Forecast:
    """The medians of earlier exports, scaled to this one's pixels."""

    attempts: int
    """How many earlier exports it is based on."""
    seconds: float
    """Processing time."""
    bytes: int
    memory_mb: float
    """Peak memory of ffmpeg, MiB; it hardly depends on the length."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {to_camel(name): value for name, value in asdict(self).items()}


def forecast(history: History, layout: Layout, params: ExportParams) -> Forecast | None:
    """The forecast for an export of that layout; None if there is no earlier export like it."""
    known = list(_comparable(history, params))
    if not known:
        return None
    pixels = layout.width * layout.height * layout.frames
    return Forecast(
        attempts=len(known),
        seconds=round(pixels * median((attempt.duration_ms or 0) / 1000 / made for attempt, made in known), 1),
        bytes=round(pixels * median((attempt.bytes_out or 0) / made for attempt, made in known)),
        memory_mb=round(median(attempt.max_rss_mb or 0.0 for attempt, _ in known), 1),
    )


def _comparable(history: History, params: ExportParams) -> Iterator[tuple[Attempt, float]]:
    """Earlier exports with those parameters, each with the number of pixels it made."""
    succeeded = AttemptFilter(job_name=VideoExport.name, statuses=(AttemptStatus.SUCCESS,))
    wanted = params.to_json()
    for attempt in history.attempts.list(succeeded, limit=_LOOKED_AT, with_manifest=True):
        manifest = Manifest.model_validate(attempt.manifest)
        info = manifest.outputs[0].media_info if manifest.outputs else None
        video = info.main_video if info else None
        if manifest.input_summary["params"] == wanted and info and video:
            yield attempt, video.width * video.height * info.duration_seconds * (video.fps or 30.0)
