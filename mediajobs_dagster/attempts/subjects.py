"""What a job is about, and the uploads that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.material import SourceUse
from mediajobs_dagster.models import Subject, SubjectKind, Tick, Upload
from mediajobs_dagster.storage import ObjectStat, Storage


class SubjectResolver(Protocol):
    """Looks up the subjects of one kind."""

    def get(self, subject_id: str, /) -> Subject:
        """The subject with that id. Raises NotFoundError."""
        ...

    def of_day(self, day: date, /) -> Iterator[Subject]:
        """The subjects created on a UTC day, oldest first."""
        ...


class Ticks:
    """The moments of schedules. They are not stored: the id holds everything, and a backfill finds none."""

    def get(self, subject_id: str, /) -> Tick:
        """The tick with that id. Raises NotFoundError."""
        try:
            return Tick.parse(subject_id)
        except ValueError as error:
            raise NotFoundError(f"There is no such tick: {error}.") from error

    def of_day(self, day: date, /) -> Iterator[Tick]:
        """None."""
        del day
        return iter(())


def resolver_of(kind: SubjectKind, history: History) -> SubjectResolver:
    """The resolver for subjects of that kind."""
    resolvers: Mapping[SubjectKind, SubjectResolver] = {
        SubjectKind.UPLOAD: history.uploads,
        SubjectKind.TIMELINE: history.timelines,
        SubjectKind.VIDEO: history.videos,
        SubjectKind.TICK: Ticks(),
    }
    return resolvers[kind]


@dataclass(frozen=True)
class AttemptSource:
    """An upload that an attempt reads."""

    upload: Upload
    use: SourceUse
    content: ObjectStat
    """The object that is in the storage now."""

    @property
    def name(self) -> str:
        """Its name in the attempt's folder."""
        return self.use.name

    @property
    def is_unchanged(self) -> bool:
        """Whether the content is still the one that was registered."""
        return self.content.etag == self.upload.etag


@dataclass(frozen=True)
class Inputs:
    """A job's subject and the sources that it reads; the first is the primary one."""

    subject: Subject
    sources: tuple[AttemptSource, ...]
    etag: str
    """Identifies the content of all sources together."""

    @property
    def bytes(self) -> int:
        """Size of all sources together."""
        return sum(each.content.bytes for each in self.sources)


def inputs_of(job_type: JobType, subject: Subject, history: History, storage: Storage) -> Inputs:
    """The inputs of a job, as they are in the storage now. Raises NotFoundError, StorageMissingError."""
    uses = job_type.source_uses(subject)
    # If the subject itself is read, it need not be looked up again.
    known = {subject.id: subject} if isinstance(subject, Upload) else {}
    if others := [use.upload_id for use in uses if use.upload_id not in known]:
        known |= history.uploads.with_ids(others)
    sources: list[AttemptSource] = []
    for use in uses:
        upload = known.get(use.upload_id) or history.uploads.get(use.upload_id)
        sources.append(AttemptSource(upload, use, storage.stat(upload.storage_key)))
    etag = job_type.etag_of(subject, {each.upload.id: each.content.etag for each in sources})
    return Inputs(subject, tuple(sources), etag)
