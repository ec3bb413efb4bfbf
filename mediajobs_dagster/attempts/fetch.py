"""Brings a source within ffmpeg's reach: fetched once a worker, or addressed where it lies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.errors import InputEmptyError
from mediajobs_dagster.job_types.base import Access
from mediajobs_dagster.models import MediaInfo
from mediajobs_dagster.storage import ObjectStat, Storage

SOURCE = "source"
"""The name under which commands know a source in their scratch folder."""


@dataclass(frozen=True)
class Fetched:
    """A source that ffmpeg can open."""

    argument: str
    """What stands in argv: the name in scratch, or a signed address."""
    content: ObjectStat
    """The object as it was when it was fetched; its key and etag are what a probe of it is cached under."""


@dataclass
class SourceShelf:
    """The sources and probes that the attempts of one worker share."""

    scratch: Scratch
    _probes: dict[tuple[str, str], MediaInfo] = field(default_factory=dict[tuple[str, str], MediaInfo])

    def fetch(self, content: ObjectStat, access: Access, storage: Storage, folder: Path) -> Fetched:
        """Make the object available in `folder`; raises a StorageError, DiskFullError or InputEmptyError."""
        if content.bytes == 0:
            raise InputEmptyError
        local = storage.local_path(content.key)
        if local is None and access is Access.RANGE and (url := storage.reader_url(content.key)):
            return Fetched(url, content)
        if local is None:
            local = self.scratch.path_for_source(hashlib.sha256("\n".join(_identity(content)).encode()).hexdigest())
            if not local.exists():
                self.scratch.require(content.bytes, f"fetching {content.key}")
                storage.get(content.key, local)
        (folder / SOURCE).symlink_to(local)
        return Fetched(SOURCE, content)

    def probed(self, content: ObjectStat) -> MediaInfo | None:
        """What an earlier attempt of this worker found out about the same content."""
        return self._probes.get(_identity(content))

    def remember(self, content: ObjectStat, info: MediaInfo) -> None:
        """Keep what a probe found out."""
        self._probes[_identity(content)] = info


def _identity(content: ObjectStat) -> tuple[str, str]:
    return content.key, content.etag
