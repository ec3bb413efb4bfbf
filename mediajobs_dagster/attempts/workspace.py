"""The workspace of an attempt: its folder, and its sources, which are files in it or are read by range."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.media.command import Command, Input, is_remote
from mediajobs_dagster.media.heif import HEAD_BYTES, heif_coding
from mediajobs_dagster.media.mp4_boxes import missing_bytes, missing_bytes_of_file
from mediajobs_dagster.storage.by_range import RangeReader

_MOST_BOXES_BY_RANGE = 16
"""Each box costs a request, and a fragmented file has thousands. A missing end shows when the job reads that far."""


@dataclass(frozen=True)
class Workspace:
    """The folder of an attempt, and its sources."""

    folder: Path
    ranges: RangeReader
    cancellation: Cancellation
    sources: dict[str, str] = field(default_factory=dict[str, str])
    """The argv form of each source, a file in the folder or an address, by the source's name in plans."""

    def addressed(self, command: Command) -> Command:
        """`command` with each source's name replaced by its file or address."""
        return replace(
            command,
            inputs=tuple(
                replace(part, source=self.sources.get(part.source, part.source)) if isinstance(part, Input) else part
                for part in command.inputs
            ),
        )

    @contextmanager
    def reading(self) -> Generator[None]:
        """A context for everything that reads sources: it records what was read by range.

        An error of the storage while reading is raised, whatever the command made of it.
        """
        try:
            yield
        except MediaJobsError as error:
            self.cancellation.check()
            if fault := self.ranges.fault:
                raise fault from error
            raise self.ranges.named(error) from error
        else:
            if fault := self.ranges.fault:
                raise fault
        finally:
            self.ranges.account()

    def is_heif(self, name: str, size: int) -> bool:
        """Whether a source of `size` bytes is a HEIC or AVIF picture, which ffmpeg takes for a video."""
        source = self.sources[name]
        if not is_remote(source):
            with (self.folder / source).open("rb") as file:
                return heif_coding(file.read(HEAD_BYTES)) is not None
        with self.reading():
            return heif_coding(self.ranges.read_at(source, 0, min(HEAD_BYTES, size))) is not None

    def missing_bytes(self, name: str, size: int) -> int:
        """How many bytes of its media are missing in a source of `size` bytes."""
        source = self.sources[name]
        if not is_remote(source):
            return missing_bytes_of_file(self.folder / source)
        with self.reading():
            return missing_bytes(partial(self.ranges.read_at, source), size, most_boxes=_MOST_BOXES_BY_RANGE)
