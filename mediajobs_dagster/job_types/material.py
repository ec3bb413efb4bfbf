"""What a planner plans from: the sources of a job, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from mediajobs_dagster.models import Job, MediaInfo, Subject, Upload


class Access(StrEnum):
    """How a job type reads its source when the source is not on this machine."""

    WHOLE = "whole"
    """The object is fetched once, and shared with the other jobs of the run."""
    RANGE = "range"
    """ffmpeg reads the few parts it needs, where the object is not on this machine."""


SOURCE = "source"
"""The name under which commands know a source in their attempt's folder; numbered, where there are several."""


@dataclass(frozen=True)
class SourceUse:
    """That a job reads an upload, and how."""

    upload_id: str
    access: Access
    is_image: bool = False
    """Read by Pillow, so it has to be a file, and is not probed as media."""
    name: str = SOURCE
    """What it is called in the scratch folder, and so in commands."""


@dataclass(frozen=True)
class Source:
    """A media file that an attempt reads."""

    upload: Upload
    info: MediaInfo
    name: str = SOURCE
    """What it is called in the scratch folder, and so in commands."""


class ToneMapping(StrEnum):
    """How HDR can be brought down to what every screen shows."""

    SWSCALE = "swscale"
    """By ffmpeg's own scaler, from version 8 on."""
    ZSCALE = "zscale"
    """By the library zimg and the filter `tonemap`."""


class Machine(Protocol):
    """What `JobType.prepare` may ask of the machine that will do the work. Each answer may start a process."""

    @property
    def max_pixels(self) -> int:
        """The largest picture that may be decoded."""
        ...

    def tone_mapping(self) -> ToneMapping | None:
        """How its ffmpeg can tone-map HDR; None: not at all."""
        ...

    def works(self, encoder: str) -> bool:
        """Whether an encoder of graphics hardware does encode here: that it is built in says little."""
        ...

    def decodes(self, codec: str) -> bool:
        """Whether pictures in a codec can be decoded."""
        ...


@dataclass(frozen=True)
class Material:
    """What a planner plans from."""

    job: Job
    subject: Subject
    sources: Mapping[str, Source] = field(default_factory=dict[str, Source])
    """By the id of the upload; the first is the primary one. Empty for a subject that is no media."""
    attempt_id: str = ""
    """The attempt that the plan is for. The key of an output that becomes an upload is built of it."""
    prepared: Any = None
    """What `JobType.prepare` returned."""

    @property
    def primary(self) -> Source:
        """The source that the attempt's figures are about."""
        return next(iter(self.sources.values()))
