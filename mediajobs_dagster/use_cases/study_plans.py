"""What asking for study guides would make, and what is up to date. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from mediajobs_dagster.attempts.freshness import fresh_outputs
from mediajobs_dagster.attempts.subjects import inputs_of
from mediajobs_dagster.errors import PrerequisiteMissingError, StorageMissingError
from mediajobs_dagster.history import History
from mediajobs_dagster.intake.candidates import Skipped
from mediajobs_dagster.job_types.ingest_video.containers import SUFFIXES
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import JsonObject, Upload, Video, result_origin
from mediajobs_dagster.storage import Storage

if TYPE_CHECKING:
    from mediajobs_dagster.intake.adding import Inspection
    from mediajobs_dagster.use_cases.ingesting import Ingested

INGEST = "ingest_video_v1"
TRANSCRIPT = "transcript_v1"
STUDY_GUIDE = "study_guide_v1"
SILENT = Skipped("", "NO_SOUND", "It has no sound, so there is nothing to study.")
"""What is said of a talk without sound; its location is left to whoever says it."""


@dataclass(frozen=True)
class PlannedTalk:
    """A talk, and what would be done to make its study guide."""

    title: str
    """Its title, or where its file lies."""
    makes: tuple[str, ...]
    """The job types that would make something, in their order; none: the guide is up to date."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"title": self.title, "makes": list(self.makes)}


@dataclass(frozen=True)
class StudyPlan:
    """What asking for study guides would do."""

    talks: tuple[PlannedTalk, ...]
    skipped: tuple[Skipped, ...] = ()

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "dryRun": True,
            "talks": [each.to_json() for each in self.talks],
            "skipped": [asdict(each) for each in self.skipped],
        }


@dataclass
class StudyPlanning:
    """Finds out what would be made of talks; of one that is named twice, once."""

    history: History
    storage: Storage
    registry: Registry
    params: Mapping[str, Mapping[str, object]]
    """Of transcripts and of study guides, by job type, in their order."""
    force: bool
    talks: list[PlannedTalk] = field(default_factory=list[PlannedTalk])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    _seen: set[str] = field(default_factory=set[str])

    def add_videos(self, found: Ingested) -> None:
        """Take in what a dry run of `MediaJobs.ingest` has found."""
        for each in found.videos:
            upload = None if each.created else self._fetched(each.video)
            if upload is None:
                self.talks.append(PlannedTalk(each.video.title, (INGEST, *self.params)))
            else:
                self.add_upload(upload)
        self.skipped += [Skipped(each.address, each.error.code, each.error.message) for each in found.refused]

    def add_files(self, found: Inspection) -> None:
        """Take in what `MediaJobs.inspect` has found."""
        uploads = self.history.uploads.known([each.candidate.origin for each in found.files if each.known])
        for each in found.files:
            upload = uploads.get(each.candidate.origin)
            info = upload.media_info if upload else each.info
            if info is not None and not info.audio:
                self.skipped.append(replace(SILENT, location=each.candidate.location))
            elif upload:
                self.add_upload(upload)
            else:
                self.talks.append(PlannedTalk(each.candidate.location, tuple(self.params)))
        self.skipped += found.skipped

    def add_upload(self, upload: Upload) -> None:
        """Take in an upload."""
        if upload.id not in self._seen:
            self._seen.add(upload.id)
            self.talks.append(PlannedTalk(upload.title, tuple(self._due(upload))))

    def _due(self, upload: Upload) -> Iterator[str]:
        """The job types whose output is missing or stale; what follows one of them is stale with it."""
        is_due = self.force
        for name, params in self.params.items():
            is_due = is_due or not self._is_fresh(name, params, upload)
            if is_due:
                yield name

    def _is_fresh(self, name: str, params: Mapping[str, object], upload: Upload) -> bool:
        job_type = self.registry[name]
        try:
            inputs = inputs_of(job_type, upload, self.history, self.storage)
        except (StorageMissingError, PrerequisiteMissingError):
            return False  # the attempt will say so
        fingerprint = job_type.fingerprint(params, inputs.etag)
        return fresh_outputs(self.history, self.storage, name, upload.id, fingerprint) is not None

    def _fetched(self, video: Video) -> Upload | None:
        """The upload that a video became; None if there is none, or it was deleted."""
        made = self.history.current.of(INGEST, video.id)
        origins = [result_origin(made.job_id, f"source.{each}") for each in SUFFIXES] if made and made.job_id else []
        return next(iter(self.history.uploads.known(origins).values()), None)
