"""What the machine of a worker can do, for `JobType.prepare`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from typing_extensions import override

from mediajobs_dagster.job_types.material import Machine, Source, ToneMapping
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.seeking import entry


@dataclass(frozen=True)
class ThisMachine(Machine):
    """Asks the ffmpeg of this machine, which the first question that needs it looks for."""

    runner: Callable[[], Runner]
    """Raises FfmpegMissingError."""
    read: Callable[[Command, Callable[[bytes], None]], object] | None = None
    """Runs a command on the sources, and hands over what it writes; None: the sources are not at hand."""

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

    @override
    def entry(self, source: Source, at: Fraction) -> Fraction:
        return entry(self.read, source.name, source.info, at) if self.read else at
