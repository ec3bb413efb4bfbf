"""Requests for exports: a timeline is checked against the uploads it refers to, stored, and its job is enqueued."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mediajobs_dagster.errors import NotFoundError, StorageMissingError, TimelineError
from mediajobs_dagster.fault_lists import MAX_FAULTS, listed
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.job_types.material import Machine, Source, SourceUse
from mediajobs_dagster.job_types.transcript.current import current_transcript
from mediajobs_dagster.job_types.video_export.encoding import ExportParams
from mediajobs_dagster.job_types.video_export.job_type import FILENAME, VideoExport
from mediajobs_dagster.job_types.video_export.memory import estimated_bytes, render_faults
from mediajobs_dagster.job_types.video_export.preparing import Capabilities
from mediajobs_dagster.job_types.video_export.renderer import Renderer
from mediajobs_dagster.job_types.video_export.source_uses import source_uses_of
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import (
    Callback,
    Job,
    JobStatus,
    JsonObject,
    NewJob,
    Upload,
    new_id,
    new_trace_id,
    result_origin,
    utc_now,
)
from mediajobs_dagster.models import Timeline as StoredTimeline
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.timelines.layout import Layout, Media, canvas_size
from mediajobs_dagster.timelines.model import Timeline
from mediajobs_dagster.timelines.otio.conforming import Library
from mediajobs_dagster.timelines.parsing import Fault, Parsed, in_order, parse_timeline
from mediajobs_dagster.timelines.references import references_of
from mediajobs_dagster.timelines.resolving import Found, References, Unresolved, with_references
from mediajobs_dagster.timelines.spoken import captions_of, heard_of
from mediajobs_dagster.timelines.text.fonts import Fonts, UnknownFontError
from mediajobs_dagster.timelines.text.lettering import TextTooLongError
from mediajobs_dagster.timelines.texts import set_text_of
from mediajobs_dagster.transcripts.model import VERSION as TRANSCRIPT
from mediajobs_dagster.transcripts.model import Transcript
from mediajobs_dagster.transcripts.reading import TranscriptError
from mediajobs_dagster.transcripts.subtitles import CaptionsError

_NOWHERE: Mapping[str, str] = {}
_PART = re.compile(r"\$\.\w+\[\d+\]")
"""The path of an item, at the beginning of the path to something in it."""


@dataclass(frozen=True)
class Prepared:
    """A timeline without faults, with its references resolved."""

    timeline: Timeline
    uploads: Mapping[str, Upload]
    """The uploads it refers to, by id; the first is the primary one."""
    texts: Texts
    """Its texts, typeset."""
    notes: tuple[str, ...] = ()
    """What could not be imported from another program's timeline."""


@dataclass(frozen=True)
class Requested:
    """The result of a request for an export."""

    job: Job
    created: bool
    """False if the same edit of the same content was requested before."""
    export: Upload | None = None
    """The earlier export, if it is up to date."""
    notes: tuple[str, ...] = ()
    """The notes of `Prepared`."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "job": self.job.to_json(),
            "created": self.created,
            "upToDate": self.export.to_json() if self.export else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class ExportRequests:
    """Checks timelines and enqueues their exports."""

    history: History
    storage: Storage
    job_type: VideoExport = field(default_factory=VideoExport)
    fonts: Fonts = field(default_factory=Fonts)

    def library(self, named: Mapping[str, str]) -> Library:
        """The uploads for timelines of other programs, some of which are `named` differently there."""
        return Library(self._references.resolve, named)

    @property
    def _references(self) -> References:
        return References(self.history.uploads, Search(self.storage).origin_of)

    def prepare(
        self,
        document: JsonObject,
        known_faults: Iterable[Fault] = (),
        *,
        notes: tuple[str, ...] = (),
        places: Mapping[str, str] | None = None,
    ) -> Prepared:
        """Check a timeline; nothing is enqueued.

        `known_faults` are those found while reading the file. `places` says what the parts of the document were called
        there, by their JSON paths. Raises TimelineError, which lists the faults with their JSON paths, in the order of
        the document.
        """
        parsed = parse_timeline(document)
        faults = [*known_faults, *parsed.faults]
        places = places or {}
        if parsed.timeline is None:
            raise refused(in_order(document, faults), places)
        found = self._references.resolve(reference for _, reference in references_of(parsed.timeline))
        uploads = {name: answer for name, answer in found.items() if isinstance(answer, Upload)}
        faults += self._reference_faults(parsed, found, is_imported=bool(places))
        media = {name: upload.media_info for name, upload in uploads.items() if upload.media_info}
        texts = Texts()
        faults += render_faults(parsed, media, self.fonts, texts.keep)
        if faults:
            raise refused(in_order(document, faults), places)
        timeline = with_references(parsed.timeline, uploads)
        if timeline.captions:
            timeline, said = self._with_captions(timeline, uploads, texts)
            notes = (*notes, said)
        by_id = {upload.id: upload for upload in uploads.values()}
        return Prepared(timeline, {each: by_id[each] for _, each in references_of(timeline)}, texts, notes)

    def _with_captions(self, timeline: Timeline, uploads: Mapping[str, Upload], texts: Texts) -> tuple[Timeline, str]:
        """The timeline with a layer in place of its `captions`, and a note on it. Raises TimelineError."""
        assert timeline.captions is not None
        upload = next(each for each in uploads.values() if each.id == timeline.captions.transcript)
        media = {each.id: each.media_info for each in uploads.values() if each.media_info}
        try:
            transcript = self._transcript(timeline, upload, media)
            layer = captions_of(timeline, media, transcript)
            timeline = timeline.model_copy(update={"captions": None})
            if layer is None:
                return timeline, f"Nothing is said in what is heard of {upload.filename}: there are no captions."
            timeline = timeline.model_copy(update={"layers": (*timeline.layers, layer)})
            number = len(timeline.layers) - 1
            if (text := set_text_of(layer, canvas_size(timeline, media), self.fonts)) is not None:
                texts.keep(timeline, number, text)
        except (CaptionsError, TextTooLongError, UnknownFontError, TranscriptError) as error:
            raise refused([Fault("$.captions", str(error))]) from error
        by = f"{transcript.method}, {transcript.model}" if transcript.model else str(transcript.method)
        return timeline, f"The captions are of the transcript of {upload.filename} ({by})."

    def _transcript(self, timeline: Timeline, upload: Upload, media: Media) -> Transcript:
        """The transcript of the upload that the captions are of."""
        if not any(heard_of(timeline, upload.id, media)):
            raise CaptionsError(f"nothing of {upload.filename} is heard: no clip, video layer or narration plays it")
        transcript = current_transcript(self.history, self.storage, upload.id)
        if transcript is None:
            raise CaptionsError(
                f"upload {upload.id} ({upload.filename}) has no transcript. Ask for one, and wait for it: "
                f"mediajobs add FILE --type {TRANSCRIPT}"
            )
        return transcript

    def request(
        self,
        prepared: Prepared,
        *,
        params: Mapping[str, object] | None = None,
        trace_id: str | None = None,
        priority: int = 0,
        max_attempts: int = 3,
        force: bool = False,
        callback: Callback | None = None,
    ) -> Requested:
        """Store the timeline and enqueue its job. The same edit of the same content is the same job.

        With `force` it is always rendered again. `callback` is told what becomes of it. Raises StorageMissingError.
        """
        trace_id = trace_id or new_trace_id()
        stored = self.history.timelines.add(self._stored(prepared, trace_id))
        wanted = self.job_type.request(
            stored, trace_id=trace_id, params=params, priority=priority, max_attempts=max_attempts, force=force
        )
        if callback:
            self.history.webhook_events.subscribe(callback, trace_id)
        requested = None if force else self._earlier(wanted)
        if requested is None:
            job, created = self._enqueued(wanted, stored)
            requested = Requested(job, created=created)
        if callback and (not requested.created or requested.job.trace_id != trace_id):
            self.history.webhook_events.follow(callback, [requested.job])
        return replace(requested, notes=prepared.notes)

    def _enqueued(self, wanted: NewJob, timeline: StoredTimeline) -> tuple[Job, bool]:
        """The job, and whether it is to be done anew."""
        (enqueued,) = self.history.jobs.enqueue([wanted], about=timeline)
        if enqueued.created or not enqueued.job.status.is_final:
            return enqueued.job, enqueued.created
        try:
            return self.history.jobs.retry(enqueued.job.id), True  # its export is gone, or it never made one
        except NotFoundError:  # a clean-up has just removed it
            (enqueued,) = self.history.jobs.enqueue([wanted], about=timeline)
            return enqueued.job, enqueued.created

    def _earlier(self, wanted: NewJob) -> Requested | None:
        """The newest export of this edit of this content that still exists, whichever job made it.

        The idempotency key of a forced job begins with that of the job that was not forced.
        """
        key = wanted.idempotency_key
        completed = JobFilter(job_type=wanted.job_type, subject_id=wanted.subject_id, statuses=(JobStatus.COMPLETED,))
        for job in self.history.jobs.list(completed):
            if job.idempotency_key == key or job.idempotency_key.startswith(f"{key}/"):
                export = self.history.uploads.find_by_origin(result_origin(job.id, FILENAME))
                if export and self._is_there(export):
                    return Requested(job, created=False, export=export)
        return None

    def _stored(self, prepared: Prepared, trace_id: str) -> StoredTimeline:
        timeline = StoredTimeline(
            id=new_id(), document=prepared.timeline.to_json(), etag="", created_at=utc_now(), trace_id=trace_id
        )
        etags = {each.id: self.storage.stat(each.storage_key).etag for each in prepared.uploads.values()}
        etag = self.job_type.etag_of(timeline, etags)
        return timeline.model_copy(update={"etag": etag})

    def _reference_faults(self, parsed: Parsed, found: Found, *, is_imported: bool) -> Iterable[Fault]:
        assert parsed.timeline is not None
        gone = {name for name, each in found.items() if isinstance(each, Upload) and not self._is_there(each)}
        for path, reference in references_of(parsed.timeline):
            where, answer = parsed.original(path), found[reference]
            if isinstance(answer, Unresolved):
                other = f"; or say which upload it is: --media {shlex.quote(reference)}=UPLOAD" if is_imported else ""
                yield Fault(where, answer.message + other)
            elif reference in gone:
                yield Fault(where, f"the content of upload {answer.id} was deleted; add it again")
            elif answer.media_info is None:
                yield Fault(where, f"upload {answer.id} is not probed yet; wait until one of its jobs has run")

    def _is_there(self, upload: Upload) -> bool:
        try:
            self.storage.stat(upload.storage_key)
        except StorageMissingError:
            return False
        return True


def refused(faults: Sequence[Fault], places: Mapping[str, str] = _NOWHERE) -> TimelineError:
    """The error that lists the faults: the first hundred, and how many more there are.

    `places` says what the parts of the document were called where it came from, by their JSON paths.
    """
    faults = [_placed(fault, places) for fault in faults]
    lines = listed((str(fault) for fault in faults), "\n  ")
    count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    error = TimelineError(f"The timeline has {count}, and nothing was enqueued:\n  {lines}")
    error.faults = tuple({"path": fault.path, "message": fault.message} for fault in faults[:MAX_FAULTS])
    error.more_faults = len(faults) - len(error.faults)
    return error


def _placed(fault: Fault, places: Mapping[str, str]) -> Fault:
    part = _PART.match(fault.path)
    place = places.get(part[0]) if part else None
    return replace(fault, message=f"{place}: {fault.message}") if place else fault


@dataclass(frozen=True)
class Preview:
    """The commands that would render a timeline."""

    layout: Layout
    inputs: Mapping[str, SourceUse]
    """How each upload is read, by its name in the commands."""
    commands: tuple[Command, ...]
    memory_bytes: int
    """The most memory that the render takes, estimated from its inputs."""


def preview(prepared: Prepared, params: ExportParams, machine: Machine) -> Preview:
    """The commands that would render a timeline on `machine`. Raises HdrUnsupportedError."""
    names = {use.name: use for use in source_uses_of(prepared.timeline)}
    sources: dict[str, Source] = {}
    for name, use in names.items():
        upload = prepared.uploads[use.upload_id]
        assert upload.media_info is not None  # or it would have been a fault
        sources[upload.id] = Source(upload, upload.media_info, name)
    capabilities = Capabilities.of(machine, prepared.timeline, sources, params)
    renderer = Renderer(prepared.timeline, sources, capabilities, params, prepared.texts)
    media = {reference: source.info for reference, source in sources.items()}
    memory = estimated_bytes(prepared.timeline, renderer.layout, media)
    return Preview(renderer.layout, names, renderer.preview(), memory)
