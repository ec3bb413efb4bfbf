"""What a job is about, and the uploads that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from mediajobs_dagster.errors import NotFoundError, PrerequisiteMissingError, StorageMissingError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.attempts import outputs_of
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.material import OutputUse, SourceUse
from mediajobs_dagster.models import JsonObject, Subject, SubjectKind, Tick, Upload
from mediajobs_dagster.storage import ObjectStat, Storage, upload_source_key


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

    def of_day(self, _day: date, /) -> Iterator[Tick]:
        """None."""
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
class AttemptOutput:
    """An output of another job type that an attempt reads."""

    name: str
    """Its name in the attempt's folder."""
    content: ObjectStat


@dataclass(frozen=True)
class Inputs:
    """A job's subject and the sources that it reads; the first is the primary one."""

    subject: Subject
    sources: tuple[AttemptSource, ...]
    etag: str
    """Identifies the content of all sources and outputs together."""
    outputs: tuple[AttemptOutput, ...] = ()
    """What is read of the outputs of other job types."""

    @property
    def bytes(self) -> int:
        """Size of all of them together."""
        return sum(each.content.bytes for each in (*self.sources, *self.outputs))


def inputs_of(job_type: JobType, subject: Subject, history: History, storage: Storage) -> Inputs:
    """The inputs of a job, as they are in the storage now.

    Raises NotFoundError, StorageMissingError, PrerequisiteMissingError.
    """
    uses = job_type.source_uses(subject)
    # If the subject itself is read, it need not be looked up again.
    known = {subject.id: subject} if isinstance(subject, Upload) else {}
    if others := [use.upload_id for use in uses if use.upload_id not in known]:
        known |= history.uploads.with_ids(others)
    sources: list[AttemptSource] = []
    for use in uses:
        upload = known.get(use.upload_id) or history.uploads.get(use.upload_id)
        sources.append(AttemptSource(upload, use, _stat_of(upload, storage)))
    etag = job_type.etag_of(subject, {each.upload.id: each.content.etag for each in sources})
    outputs = tuple(_output(use, subject, history, storage) for use in job_type.reads)
    return Inputs(subject, tuple(sources), etag_with(etag, [each.content for each in outputs]), outputs)


def _stat_of(upload: Upload, storage: Storage) -> ObjectStat:
    try:
        return storage.stat(upload.storage_key)
    except StorageMissingError as error:
        if not storage.is_there:
            raise
        is_ours = upload.storage_key == upload_source_key(upload.id)
        cure = "Add the same file again, which stores it again" if is_ours else "Put the object back"
        raise StorageMissingError(
            f"The content of {upload.title} is gone. {error.message} {cure}; then retry what died of this."
        ) from error


def etag_with(etag: str, outputs: Sequence[ObjectStat]) -> str:
    """The etag of a job's inputs: `etag` of its sources, and the outputs that it reads."""
    return "\n".join([etag, *(f"{each.key} {each.etag}" for each in outputs)])


def key_in(result: JsonObject | None, filename: str) -> str | None:
    """The key of the output of that name in the result of a success; None if there is none."""
    keys = (str(output["key"]) for output in outputs_of(result))
    return next((key for key in keys if key.rpartition("/")[2] == filename), None)


def _output(use: OutputUse, subject: Subject, history: History, storage: Storage) -> AttemptOutput:
    made = history.current.of(use.job_type, subject.id)
    key = key_in(made.result, use.filename) if made else None
    if key is None:
        raise PrerequisiteMissingError(
            f"There is no {use.filename} of {subject.title} yet. Have it made first: `mediajobs add FILE --type "
            f"{use.job_type}` on the same file asks for it."
        )
    try:
        return AttemptOutput(use.filename, storage.stat(key))
    except StorageMissingError as error:
        if storage.is_there:
            raise PrerequisiteMissingError(
                f"{key} is gone from the storage. Have it made again: `mediajobs add FILE --type {use.job_type}` on "
                "the same file asks for it."
            ) from error
        raise
