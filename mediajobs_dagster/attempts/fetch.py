"""Makes a source readable for ffmpeg: fetched once per worker, or read by range where it is."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.attempts.workspace import Workspace
from mediajobs_dagster.errors import InputEmptyError
from mediajobs_dagster.job_types.material import SOURCE, Access
from mediajobs_dagster.storage import ObjectStat, OnBytes, Storage


@dataclass(frozen=True)
class SourceShelf:
    """The fetched sources that the attempts of one worker share. Threads may use it."""

    scratch: Scratch
    _fetching: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    """One lock per source: an attempt that needs a source which is being fetched waits for it."""

    def fetch(
        self,
        content: ObjectStat,
        access: Access,
        storage: Storage,
        workspace: Workspace,
        *,
        name: str = SOURCE,
        on_bytes: OnBytes = lambda _: None,
    ) -> str:
        """Make the object available at the attempt's `place`, as `name` where it is a file there.

        Returns its form in argv: that name, or an address on this machine.

        Raises a StorageError, DiskFullError, InputEmptyError, or the error of the cancellation.
        """
        if content.bytes == 0:
            raise InputEmptyError
        # How much is read of a file where it lies is known only if the job asks for all of it.
        local = storage.in_place(content, read_whole=access is Access.WHOLE)
        if local is not None:
            (workspace.folder / name).symlink_to(local)
        elif access is Access.RANGE:
            return workspace.ranges.address(content, name)
        else:

            def look(size: int) -> None:
                workspace.cancellation.check()
                on_bytes(size)

            self._fetch_whole(content, storage, workspace.folder, name, look)
        return name

    def _fetch_whole(self, content: ObjectStat, storage: Storage, folder: Path, link: str, on_bytes: OnBytes) -> None:
        name = hashlib.sha256(f"{content.key}\n{content.etag}".encode()).hexdigest()
        path = self.scratch.link_source(folder, name, link)
        with self._fetching[name]:
            if not path.exists():
                self.scratch.require(content.bytes, f"fetching {content.key}")
                storage.get(content.key, path, on_bytes=on_bytes)
