"""What a job is about, and the uploads that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import SOURCE, JobType, SourceUse, SubjectKind
from mediajobs_dagster.models import Subject, Upload
from mediajobs_dagster.storage import ObjectStat, Storage


@dataclass(frozen=True)
class AttemptSource:
    """An upload that an attempt reads."""

    upload: Upload
    reading: SourceUse
    content: ObjectStat
    """What lies in the storage now."""
    name: str
    """What it is called in the attempt's folder."""

    @property
    def is_as_taken_in(self) -> bool:
        """Whether it is still the content that was registered."""
        return self.content.etag == self.upload.etag


@dataclass(frozen=True)
class Inputs:
    """A job's subject, and all that is read for it; the first is the primary one."""

    subject: Subject
    read: tuple[AttemptSource, ...]
    etag: str
    """Names the content of all of it."""

    @property
    def bytes(self) -> int:
        """Size of all objects that are read."""
        return sum(each.content.bytes for each in self.read)


def subject_of(job_type: JobType, subject_id: str, history: History) -> Subject:
    """The subject with that id. Raises NotFoundError."""
    if job_type.subject is SubjectKind.TIMELINE:
        return history.timelines.get(subject_id)
    return history.uploads.get(subject_id)


def subjects_of_day(job_type: JobType, day: date, history: History) -> Iterator[Subject]:
    """The subjects of that type of job that came up on a UTC day, oldest first."""
    if job_type.subject is SubjectKind.TIMELINE:
        return history.timelines.of_day(day)
    return history.uploads.of_day(day)


def inputs_of(job_type: JobType, subject: Subject, history: History, storage: Storage) -> Inputs:
    """What a job reads, as it lies in the storage now. Raises NotFoundError, StorageMissingError."""
    readings = job_type.source_uses(subject)
    single = isinstance(subject, Upload)
    uploads = {subject.id: subject} if single else history.uploads.with_ids([each.upload_id for each in readings])
    read: list[AttemptSource] = []
    for number, reading in enumerate(readings):
        upload = uploads.get(reading.upload_id) or history.uploads.get(reading.upload_id)
        content = storage.stat(upload.storage_key)
        read.append(AttemptSource(upload, reading, content, SOURCE if single else f"{SOURCE}_{number}"))
    etag = job_type.etag_of(subject, {each.upload.id: each.content.etag for each in read})
    return Inputs(subject, tuple(read), etag)
