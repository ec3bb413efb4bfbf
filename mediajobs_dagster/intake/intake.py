"""Adds one media file: stores it, registers the upload, and enqueues the jobs on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mediajobs_dagster.errors import InputUnreadableError, StorageMissingError
from mediajobs_dagster.history import Enqueued, History, Registered
from mediajobs_dagster.intake.candidates import Candidate
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Callback, MediaInfo, NewJob, Upload, UploadRole, new_id, new_trace_id, utc_now
from mediajobs_dagster.records import JobQueued
from mediajobs_dagster.storage import OnBytes, Storage, upload_source_key


@dataclass(frozen=True)
class Order:
    """What to do with every file that one request adds."""

    job_types: tuple[JobType, ...] = ()
    by_name: bool = True
    """Whether the job types were requested by name; if not, each type decides which uploads get a job."""
    trace_id: str = field(default_factory=new_trace_id)
    priority: int = 0
    max_attempts: int = 3
    force: bool = False
    """Make the outputs again even if they are up to date."""
    callback: Callback | None = None
    """Who is told what becomes of it."""

    @property
    def asked_types(self) -> tuple[str, ...] | None:
        """The job types that were requested by name; None if there are none."""
        return tuple(job_type.name for job_type in self.job_types) or None if self.by_name else None

    def jobs_of(self, upload: Upload) -> list[NewJob]:
        """One job for each type that fits `upload`. An image gets none: it is only used in timelines."""
        if upload.media_info and upload.media_info.is_image:
            return []
        return [
            job_type.request(
                upload,
                trace_id=self.trace_id,
                priority=self.priority,
                max_attempts=self.max_attempts,
                force=self.force,
            )
            for job_type in self.job_types
            if self.by_name or job_type.gets(upload)
        ]


@dataclass(frozen=True)
class Intake:
    """Adds files. An unchanged file is the same upload, however often it is added."""

    history: History
    storage: Storage
    listeners: Listeners = field(default_factory=Listeners)

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

        The file is not probed; its attempts will do that. Raises RequestError when there is no such file,
        InputUnreadableError, and StorageError when it cannot be stored.
        """
        order = Order(tuple(job_types), priority=priority, max_attempts=max_attempts, force=force)
        found = self._take(location, order, on_bytes)
        return found.upload, list(found.jobs)

    def register(self, location: str, *, trace_id: str, on_bytes: OnBytes | None = None) -> Upload:
        """Register the file at `location`, and store it unless it is in our storage already. Raises as `add`."""
        return self._take(location, Order(trace_id=trace_id), on_bytes).upload

    def _take(self, location: str, order: Order, on_bytes: OnBytes | None) -> Registered:
        candidate = Search(self.storage).file(location)
        upload = self.history.uploads.find_by_origin(candidate.origin)
        return self.commit([upload or self.store(candidate, new_id(), order.trace_id, on_bytes=on_bytes)], order)[0]

    # --- the steps, for many files too -------------------------------------------------------------------------------

    def store(
        self,
        candidate: Candidate,
        upload_id: str,
        trace_id: str,
        *,
        info: MediaInfo | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Upload:
        """Store the candidate, unless it is in our storage already; returns the upload to register.

        `info` is the candidate's media info from a probe. Raises StorageError, and InputUnreadableError when the
        candidate has changed since it was found and probed. After an error nothing stays stored.
        """
        if candidate.own_key is None:
            stat = candidate.store(self.storage, upload_source_key(upload_id), on_bytes)
        else:
            stat = self.storage.stat(candidate.own_key)
        try:
            candidate.check()
        except InputUnreadableError:
            if candidate.own_key is None:
                self.storage.delete(stat.key)
            raise
        return Upload(
            id=upload_id,
            role=UploadRole.SOURCE,
            storage_key=stat.key,
            filename=candidate.filename,
            bytes=stat.bytes,
            etag=stat.etag,
            origin=candidate.origin,
            media_info=info,
            created_at=utc_now(),
            trace_id=trace_id,
        )

    def restore(self, candidate: Candidate, upload: Upload, on_bytes: OnBytes | None = None) -> Upload:
        """Store the content of a registered upload again if its object is gone; returns the upload as it is then.

        Raises as `store`.
        """
        if candidate.own_key is not None:
            return upload
        try:
            self.storage.stat(upload.storage_key)
        except StorageMissingError:
            stat = candidate.store(self.storage, upload.storage_key, on_bytes)
            self.history.uploads.set_etag(upload.id, stat.etag)
            return upload.model_copy(update={"etag": stat.etag})
        return upload

    def commit(self, uploads: Sequence[Upload], order: Order) -> list[Registered]:
        """Register uploads, new or known, and enqueue their jobs, all in one transaction."""
        asked = [upload.model_copy(update={"asked_types": order.asked_types}) for upload in uploads]
        if order.callback:
            self.history.webhook_events.subscribe(order.callback, order.trace_id)
        registered = self.history.uploads.register(asked, order.jobs_of)
        if order.callback:
            known = [entry.job for found in registered for entry in found.jobs if not entry.created]
            self.history.webhook_events.follow(order.callback, known)
        for new, found in zip(uploads, registered, strict=True):
            if found.upload.id != new.id and new.storage_key == upload_source_key(new.id):
                # Another process has just registered the same file; one copy in our storage is enough.
                self.storage.delete(new.storage_key)
            for entry in found.jobs:
                if entry.created:
                    self.listeners.tell(JobQueued(job=entry.job))
        return registered
