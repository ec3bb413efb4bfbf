"""Takes a media file in: stores it, registers the upload, and enqueues the jobs on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import Enqueued, History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import Upload, UploadRole, new_id, new_trace_id, utc_now
from mediajobs_dagster.storage import ObjectStat, Storage, upload_source_key

_CONTENT_TYPE = "application/octet-stream"  # what it really is, only a probe can tell

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Intake:
    """The way into the system for files. The same file, unchanged, is the same upload however often it is added."""

    history: History
    storage: Storage

    def add(
        self,
        location: str,
        job_types: Iterable[JobType],
        *,
        priority: int = 0,
        max_attempts: int = 3,
        force: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> tuple[Upload, list[Enqueued]]:
        """Register the file at `location` (a path or an `s3://` address) and enqueue one job of each type.

        Raises RequestError when there is no such file, and StorageError when it cannot be stored.
        """
        trace_id = new_trace_id()
        upload = self.register(location, trace_id=trace_id, on_bytes=on_bytes)
        requests = [
            job_type.request(upload, trace_id=trace_id, priority=priority, max_attempts=max_attempts, force=force)
            for job_type in job_types
        ]
        return upload, self.history.jobs.enqueue(requests)

    def register(self, location: str, *, trace_id: str, on_bytes: OnBytes | None = None) -> Upload:
        """Make the file at `location` known, and store it unless it lies in our storage already. Raises as `add`."""
        if location.startswith("s3://"):
            return self._register_object(location, trace_id)
        return self._register_file(Path(location).expanduser(), trace_id, on_bytes)

    def _register_file(self, path: Path, trace_id: str, on_bytes: OnBytes | None) -> Upload:
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise RequestError(f"{path} {what}. Give the path of a media file, or an s3:// address.")
        status = path.stat()
        origin = _origin("file", path.resolve(), status.st_size, status.st_mtime_ns)
        if known := self.history.uploads.find_by_origin(origin):
            return known
        upload_id = new_id()
        stat = self.storage.put(path, upload_source_key(upload_id), content_type=_CONTENT_TYPE, on_bytes=on_bytes)
        return self._record(upload_id, stat, path.name, origin, trace_id)

    def _register_object(self, url: str, trace_id: str) -> Upload:
        upload_id = new_id()
        own_key = self.storage.key_of(url)
        if own_key is not None:
            stat = self.storage.stat(own_key)
        else:
            stat = self.storage.import_object(url, upload_source_key(upload_id))
        origin = _origin("s3", url, stat.bytes, stat.etag)
        filename = url.rsplit("/", 1)[-1]
        return self._record(upload_id, stat, filename, origin, trace_id, is_copy=own_key is None)

    def _record(
        self, upload_id: str, stat: ObjectStat, filename: str, origin: str, trace_id: str, *, is_copy: bool = True
    ) -> Upload:
        upload = Upload(
            id=upload_id,
            role=UploadRole.SOURCE,
            storage_key=stat.key,
            filename=filename,
            bytes=stat.bytes,
            etag=stat.etag,
            origin=origin,
            created_at=utc_now(),
            trace_id=trace_id,
        )
        known = self.history.uploads.add(upload)
        if is_copy and known.storage_key != stat.key:
            self.storage.delete(stat.key)  # the same file was registered before: one copy of ours is enough
        return known


def _origin(kind: str, location: object, size: int, version: object) -> str:
    digest = hashlib.sha256(f"{location}\n{size}\n{version}".encode(errors="surrogateescape")).hexdigest()
    return f"{kind}:{digest}"
