"""The input of a planner: the sources of a job, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Protocol

from mediajobs_dagster.models import Job, MediaInfo, Subject, Upload


class Access(StrEnum):
    """How a job type reads its source when the source is not on this machine."""

    WHOLE = "whole"
    """The whole object is fetched, once for all jobs of the run."""
    RANGE = "range"
    """ffmpeg reads only the parts it needs; an object on this machine is read in place."""


SOURCE = "source"
"""The name of a source in commands and in the attempt's folder; with a number if there are several."""


@dataclass(frozen=True)
class SourceUse:
    """An upload that a job reads, and how it reads it."""

    upload_id: str
    access: Access
    is_image: bool = False
    """Images are read by Pillow, so they have to be files, and are not probed as media."""
    name: str = SOURCE
    """Its name in the scratch folder and in commands."""


@dataclass(frozen=True)
class OutputUse:
    """A file that a job reads of what another job type has made of the same subject."""

    job_type: str
    """The name of the job type that makes it."""
    filename: str
    """The file's name at the end of its key, and in the scratch folder."""


@dataclass(frozen=True)
class Source:
    """A media file that an attempt reads."""

    upload: Upload
    info: MediaInfo
    name: str = SOURCE
    """Its name in the scratch folder and in commands."""


class ToneMapping(StrEnum):
    """How HDR, and colours beyond those of BT.709, can be converted to BT.709, which every screen shows."""

    SWSCALE = "swscale"
    """With ffmpeg's own scaler, since version 8."""
    ZSCALE = "zscale"
    """With the library zimg and the filter `tonemap`."""


class Machine(Protocol):
    """What `JobType.prepare` may ask about the machine that does the work. Each answer may start a process."""

    @property
    def max_pixels(self) -> int:
        """The largest picture that may be decoded."""
        ...

    def tone_mapping(self) -> ToneMapping | None:
        """How its ffmpeg can tone-map HDR; None: not at all."""
        ...

    def works(self, encoder: str) -> bool:
        """Whether a hardware encoder works here. It may be built into ffmpeg and still not work."""
        ...

    def decodes(self, codec: str) -> bool:
        """Whether ffmpeg can decode pictures in that codec."""
        ...

    def entry(self, source: Source, at: Fraction) -> Fraction:
        """Where to open a source, seconds, so that decoding it shows what is on show at `at`."""
        ...


@dataclass(frozen=True)
class Material:
    """The input of a planner."""

    job: Job
    subject: Subject
    sources: Mapping[str, Source] = field(default_factory=dict[str, Source])
    """Sources by upload id; the first is the primary one. Empty for a subject that is not media."""
    attempt_id: str = ""
    """The attempt that the plan is for. It is part of the key of an output that becomes an upload."""
    prepared: Any = None
    """What `JobType.prepare` returned."""

    @property
    def primary(self) -> Source:
        """The source that the attempt's figures are about."""
        return next(iter(self.sources.values()))
