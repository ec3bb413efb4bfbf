"""What the machine of a worker can do, as job types ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

from mediajobs_dagster.job_types.material import Machine, ToneMapping
from mediajobs_dagster.media.run import Runner


@dataclass(frozen=True)
class ThisMachine(Machine):
    """Asks the ffmpeg of this machine. It is looked for by the first question that needs it."""

    runner: Callable[[], Runner]
    """Raises FfmpegMissingError."""

    @property
    @override
    def max_pixels(self) -> int:
        return self.runner().guards.max_pixels

    @override
    def tone_mapping(self) -> ToneMapping | None:
        tools = self.runner().tools
        if tools.scales_transfer:
            return ToneMapping.SWSCALE
        return ToneMapping.ZSCALE if {"zscale", "tonemap"} <= tools.filters else None

    @override
    def works(self, encoder: str) -> bool:
        return self.runner().tools.can_encode(encoder)

    @override
    def decodes(self, codec: str) -> bool:
        return self.runner().tools.can_decode(codec)
