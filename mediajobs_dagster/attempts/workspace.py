"""Where an attempt works: its folder, and its sources, which lie there or are read by range."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.media.command import Command, Input, is_remote
from mediajobs_dagster.media.mp4_boxes import missing_bytes, missing_bytes_of_file
from mediajobs_dagster.storage.by_range import RangeReader

_MOST_BOXES_BY_RANGE = 16
"""Each is a request. A file in fragments has thousands; that its end is missing is seen by whoever reads that far."""


@dataclass(frozen=True)
class Workspace:
    """The folder of an attempt, and what it reads."""

    folder: Path
    ranges: RangeReader
    cancellation: Cancellation
    sources: dict[str, str] = field(default_factory=dict[str, str])
    """What stands in argv for each source, by the name that plans know it by: a file here, or an address."""

    def addressed(self, command: Command) -> Command:
        """`command` with the sources where they really are."""
        return replace(
            command,
            inputs=tuple(
                replace(part, source=self.sources.get(part.source, part.source)) if isinstance(part, Input) else part
                for part in command.inputs
            ),
        )

    @contextmanager
    def reading(self) -> Generator[None]:
        """Around a command, or whatever else reads sources: what it read by range is put on record.

        What kept it from reading is raised, whatever a command made of that.
        """
        try:
            yield
        except MediaJobsError as error:
            self.cancellation.check()
            if fault := self.ranges.fault:
                raise fault from error
            raise
        else:
            if fault := self.ranges.fault:
                raise fault
        finally:
            self.ranges.account()

    def missing_bytes(self, name: str, size: int) -> int:
        """How many bytes of its media a source of `size` bytes lacks."""
        source = self.sources[name]
        if not is_remote(source):
            return missing_bytes_of_file(self.folder / source)
        with self.reading():
            return missing_bytes(partial(self.ranges.read_at, source), size, most_boxes=_MOST_BOXES_BY_RANGE)
