"""The nouns of mediajobs as frozen values. No I/O.

Python names are snake_case; the JSON form (manifests, the API) is camelCase. Times are timezone-aware UTC.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mediajobs_dagster.errors import Blame

JsonObject = dict[str, Any]
"""Decoded JSON."""


def new_id() -> str:
    """A fresh id: a UUIDv7, so that ids sort by the time they were made, to a quarter of a microsecond.

    The twelve bits after the milliseconds hold the fraction of a millisecond (RFC 9562, section 6.2, method 3). With a
    counter instead, or a clock pushed ahead to keep ids unique, the last of 100,000 ids made at once would be dated
    minutes too late.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)))


def derived_id(moment: datetime, basis: str) -> str:
    """A UUIDv7 that is always the same for the same moment (to the millisecond) and basis."""
    milliseconds = int(moment.timestamp() * 1000).to_bytes(6, "big")
    raw = bytearray(milliseconds + hashlib.sha256(basis.encode()).digest()[:10])
    raw[6] = 0x70 | raw[6] & 0x0F  # version 7
    raw[8] = 0x80 | raw[8] & 0x3F  # the variant of RFC 9562
    return str(UUID(bytes=bytes(raw)))


def new_trace_id() -> str:
    """A fresh W3C trace id: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def utc_now() -> datetime:
    """The present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)


class Value(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return self.model_dump(mode="json", by_alias=True)


class StrictValue(Value):
    """A value whose fields take what the schema says and nothing like it: no text for a number, no 1 for true."""

    model_config = ConfigDict(strict=True)


# --- status ----------------------------------------------------------------------------------------------------------


class JobStatus(StrEnum):
    """The status of a job."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    """Waits for its next attempt."""
    DEAD = "dead"
    """Its attempts are used up, or the fault is permanent."""
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job keeps this status until somebody asks for it again."""
        return self in (JobStatus.COMPLETED, JobStatus.DEAD, JobStatus.SKIPPED, JobStatus.CANCELLED)

    @property
    def is_waiting(self) -> bool:
        """Whether the job waits to be claimed."""
        return self in (JobStatus.QUEUED, JobStatus.FAILED)

    @classmethod
    def waiting(cls) -> tuple[JobStatus, ...]:
        """Those in which a job waits to be claimed."""
        return tuple(status for status in cls if status.is_waiting)

    def may_become(self, other: JobStatus) -> bool:
        """Whether the transition from this status to `other` is legal."""
        return other in _TRANSITIONS[self]


_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.PROCESSING, JobStatus.SKIPPED, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: frozenset(JobStatus) - {JobStatus.PROCESSING},
    JobStatus.FAILED: frozenset({JobStatus.PROCESSING, JobStatus.QUEUED, JobStatus.CANCELLED}),
    # A final job can be asked for again: it goes back to the queue.
    JobStatus.COMPLETED: frozenset({JobStatus.QUEUED}),
    JobStatus.DEAD: frozenset({JobStatus.QUEUED}),
    JobStatus.SKIPPED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}


class AttemptStatus(StrEnum):
    """The status of an attempt."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Its worker died."""

    @property
    def is_final(self) -> bool:
        """Whether the attempt is over."""
        return self is not AttemptStatus.RUNNING

    @property
    def is_waste(self) -> bool:
        """Whether the attempt made nothing, so that its time was wasted."""
        return self in (AttemptStatus.FAILURE, AttemptStatus.LOST, AttemptStatus.CANCELLED)


# --- media -----------------------------------------------------------------------------------------------------------


_START = "When it begins, counted from the beginning of the file, seconds."
_LASTS = "How long it lasts from there, seconds."


class VideoStream(Value):
    """One video track, as ffprobe describes it."""

    index: int
    codec: str
    profile: str | None = None
    pixel_format: str | None = None
    width: int = Field(description="Coded width, pixels, before rotation and pixel aspect.")
    height: int = Field(description="Coded height, pixels.")
    rotation: Literal[0, 90, 180, 270] = Field(
        default=0, description="Clockwise degrees to turn the picture for display."
    )
    is_turned_by_frames: bool = Field(
        default=False, description="Whether the frames tell the rotation, and the container does not."
    )
    sample_aspect: tuple[int, int] = Field(default=(1, 1), description="Width to height of one pixel.")
    fps: float | None = Field(default=None, description="Average frames a second.")
    variable_frame_rate: bool = False
    frames: int | None = Field(default=None, description="Number of frames, where the container tells.")
    start_seconds: float = Field(default=0.0, description=_START)
    duration_seconds: float | None = Field(default=None, description=_LASTS)
    bitrate_kbps: float | None = None
    is_default: bool = Field(default=False, description="Whether the file marks it as the one to play.")
    is_decodable: bool = Field(default=True, description="Whether the ffmpeg that probed it can decode it.")
    is_still: bool = Field(default=False, description="Whether it is a single picture.")
    reordered_frames: int = Field(default=0, description="How many frames at most are stored before an earlier one.")
    field_order: str | None = Field(
        default=None, description="progressive, or the order of the fields of an interlaced picture: tt, bb, tb or bt."
    )
    color_range: str | None = Field(default=None, description="tv (limited) or pc (full).")
    transfer: str | None = Field(default=None, description="Transfer characteristics, such as bt709 or smpte2084.")
    matrix: str | None = Field(default=None, description="Colour matrix, such as bt709 or smpte170m.")
    primaries: str | None = Field(default=None, description="Colour primaries, such as bt709 or bt2020.")

    @property
    def end_seconds(self) -> float | None:
        """When it ends, counted from the beginning of the file; None if unknown."""
        return None if self.duration_seconds is None else self.start_seconds + self.duration_seconds

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer is one of the HDR ones (PQ or HLG, ITU-R BT.2100)."""
        return self.transfer in ("smpte2084", "arib-std-b67")

    @property
    def is_wide(self) -> bool:
        """Whether it has more colours than BT.709 can tell: it is HDR, or has the primaries of BT.2020 or DCI-P3."""
        return self.is_hdr or self.primaries in ("bt2020", "smpte431", "smpte432")

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height, pixels, after rotation for display."""
        return (self.height, self.width) if self.rotation in (90, 270) else (self.width, self.height)

    @property
    def display_size(self) -> tuple[float, float]:
        """Width and height as a person sees them, in square pixels: pixel aspect and rotation applied."""
        width = self.width * self.sample_aspect[0] / self.sample_aspect[1]
        return (self.height, width) if self.rotation in (90, 270) else (width, self.height)


class AudioStream(Value):
    """One audio track, as ffprobe describes it."""

    index: int
    codec: str
    channels: int
    sample_rate: int = Field(description="Samples a second of one channel.")
    language: str | None = None
    start_seconds: float = Field(default=0.0, description=_START)
    duration_seconds: float | None = Field(default=None, description=_LASTS)
    bitrate_kbps: float | None = None
    is_default: bool = Field(default=False, description="Whether the file marks it as the one to play.")
    is_decodable: bool = Field(default=True, description="Whether the ffmpeg that probed it can decode it.")

    @property
    def end_seconds(self) -> float | None:
        """When it ends, counted from the beginning of the file; None if unknown."""
        return None if self.duration_seconds is None else self.start_seconds + self.duration_seconds


_TEXT_SUBTITLES = ("subrip", "ass", "ssa", "webvtt", "mov_text", "text")


class SubtitleStream(Value):
    """One track of subtitles, as ffprobe describes it."""

    index: int
    codec: str
    language: str | None = None
    is_default: bool = Field(default=False, description="Whether the file marks it as the one to show.")
    is_forced: bool = Field(default=False, description="Whether it only tells of signs and of foreign speech.")

    @property
    def is_text(self) -> bool:
        """Whether it is text; others are pictures, or captions inside of the picture's own track."""
        return self.codec in _TEXT_SUBTITLES


_STREAMS = ("mpegts", "mpeg")
"""Containers that ffmpeg marks as having discontinuous time stamps (AVFMT_TS_DISCONT)."""
WITHOUT_TIMES = ("h264", "hevc", "mpegvideo", "m4v", "obu")
"""Containers, or the lack of one, without times: ffmpeg counts frames from where it begins to read."""
_INDEXED = "mov"
_TINY = 16
"""A picture this many times smaller than the largest one of the file is a preview."""

IMAGE = "image"
"""The `container` of a still image."""


class MediaInfo(Value):
    """What a media file holds. Attached pictures (cover art) are counted, never listed as video."""

    container: str = Field(description="ffprobe's name of the container, such as mov,mp4,m4a,3gp,3g2,mj2.")
    duration_seconds: float = Field(description="From its beginning to the end of its longest track; 0 if unknown.")
    bytes: int
    bitrate_kbps: float | None = None
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    attached_pictures: int = 0
    is_joined: bool = Field(default=False, description="Whether its times begin anew in the middle.")
    empty_tracks: int = Field(default=0, description="Tracks without any packet. They are not listed.")
    is_measured: bool = Field(
        default=False, description="Whether lengths are those of the media, if it can be read; else they are declared."
    )
    timecode: str | None = Field(default=None, description="Time code of the first frame, where the file has one.")

    @property
    def is_indexed(self) -> bool:
        """Whether the container tells where and when every frame is: an MP4 or QuickTime that is not fragmented.

        Where frames last for different times it does not: what it tells is when they are decoded.
        """
        is_known = all(each.frames is not None and not each.variable_frame_rate for each in self.video)
        ends = [each.end_seconds for each in (*self.video, *self.audio)]
        return self.container.startswith(_INDEXED) and is_known and any(ends)

    @property
    def is_stream(self) -> bool:
        """Whether it is a transport or program stream."""
        return self.container in _STREAMS

    @property
    def has_times(self) -> bool:
        """Whether it can be sought by time: it has times, and they do not begin anew in the middle."""
        return self.container not in WITHOUT_TIMES and not self.is_joined

    def origin(self, opened: float, tracks: Iterable[AudioStream | VideoStream]) -> float:
        """The time of the file, seconds, that is time 0 of an input which ffmpeg opens at `opened` to read `tracks`.

        ffmpeg counts from the beginning of a file, its earliest track, or from where it opens it. In transport and
        program streams, it counts from the earliest track that it reads.
        """
        if not self.is_stream:
            return opened
        return max(opened, min((track.start_seconds for track in tracks), default=opened))

    @property
    def is_image(self) -> bool:
        """Whether it is a still image."""
        return self.container == IMAGE

    @property
    def main_video(self) -> VideoStream | None:
        """The video track to work on: the default one, else the first.

        A track that cannot be decoded, a still beside a moving picture and a preview count only if there is no other.
        """
        largest = max((each.width * each.height for each in self.video), default=0)
        return min(
            self.video,
            key=lambda each: (
                not each.is_decodable,
                each.is_still,
                each.width * each.height * _TINY <= largest,
                not each.is_default,
            ),
            default=None,
        )

    @property
    def main_audio(self) -> AudioStream | None:
        """The audio track to work on: the default one, else the first, of those that can be decoded."""
        decodable = (each for each in self.audio if each.is_decodable)
        return min(decodable, key=lambda each: not each.is_default, default=None)


# --- records of what was done ----------------------------------------------------------------------------------------


class StorageOp(Value):
    """One operation on the object storage."""

    op: str = Field(
        description="get, put, head, list, copy, delete, range_read (ffmpeg reading by range), or "
        "open (a source in a folder, read whole where it lies)."
    )
    bucket: str = Field(description="The bucket, or the folder of a local storage.")
    key: str = Field(description="The object.")
    bytes: int = Field(default=0, description="Bytes of object data moved.")
    started_at: datetime | None = Field(
        default=None, description="When it began; null where one entry stands for many, or in older records."
    )
    duration_ms: int = Field(description="How long it took, milliseconds.")
    status: str = Field(description="ok, or the code of the error.")


class Sample(Value):
    """What a running process used, at one moment."""

    seconds: float = Field(description="Since the process started.")
    cpu_pct: float = Field(description="Of one core, since the sample before.")
    rss_mb: float = Field(description="Resident memory, MiB.")


class FfmpegCommand(Value):
    """One process that an attempt ran, as recorded when it ended."""

    argv: tuple[str, ...] = Field(description="The command, signed addresses redacted; paths are relative to scratch.")
    started_at: datetime = Field(description="When it began.")
    duration_ms: int = Field(description="How long it ran, milliseconds.")
    exit_code: int | None = Field(description="Negative: the signal that ended it. None: it never started.")
    status: str = Field(description="ok, or the code of the error.")
    cpu_seconds: float = Field(default=0.0, description="CPU time by the kernel's account.")
    max_rss_mb: float | None = Field(
        default=None,
        description="Peak resident memory by the kernel's account, MiB. None: it ended before it could be measured.",
    )
    speed: float | None = Field(default=None, description="Media seconds made per wall second.")
    remote_bytes: int = Field(
        default=0, description="Bytes it read over HTTP. The storage operations list what was fetched for this."
    )
    stderr_tail: str = Field(default="", description="The last 4 KB of what it wrote to standard error.")
    samples: tuple[Sample, ...] = Field(default=(), description="CPU and memory over its time.")


class ServiceCall(Value):
    """One call to an outside service, with all of its tries, as recorded when it ended."""

    service: str = Field(description="Which service, such as youtube.")
    op: str = Field(description="What was asked of it, such as videos.list.")
    target: str = Field(description="The address, without secrets.")
    started_at: datetime = Field(description="When it began.")
    duration_ms: int = Field(description="How long it took, all tries and pauses included, milliseconds.")
    status: str = Field(description="ok, or the code of the error.")
    tries: int = Field(default=1, description="Requests sent, the first one included.")
    bytes: int = Field(default=0, description="Bytes of the answer that were read.")
    units: float | None = Field(default=None, description="What it cost in the service's own unit, where it has one.")
    method: str | None = Field(default=None, description="The method of the request, such as GET.")
    http_status: int | None = Field(default=None, description="The status of the last answer; null: there was none.")
    span_id: str | None = Field(
        default=None, description="The id of its span, which the service was told; null: traces are off."
    )


class Progress(Value):
    """How far a piece of work is."""

    fraction: float | None = Field(description="From 0 to 1, never falling; None: the total is unknown.")
    speed: float | None = Field(default=None, description="Media seconds made per wall second, since the start.")
    eta_s: float | None = Field(default=None, description="Wall seconds left at that speed.")
    out_seconds: float = Field(default=0.0, description="Media seconds made so far.")


class JobProgress(Progress):
    """How far the attempt at a job is, as its worker reported it with a heartbeat."""

    fraction: float | None = Field(default=None, description="Of the whole attempt, 0 to 1; null: unknown.")
    stage: str | None = Field(default=None, description="The stage that is under way.")
    command: tuple[str, ...] = Field(default=(), description="The process that runs, without the guards; may be cut.")
    at: datetime = Field(description="When that was, by the worker's clock.")


class HostFacts(Value):
    """The machine that an attempt ran on. Of a worker that died, only the name is known."""

    instance_type: str | None = None
    cpu_cores: float | None = Field(default=None, description="Cores the worker may use, by affinity and cgroup quota.")
    mem_gb: float | None = Field(default=None, description="Memory the worker may use, GiB.")
    hostname: str


# --- uploads and jobs ------------------------------------------------------------------------------------------------


class UploadRole(StrEnum):
    """How an upload came to be."""

    SOURCE = "source"
    EXPORT = "export"


class Upload(Value):
    """A media file the system knows."""

    id: str = Field(description="Its id, a UUIDv7.")
    role: UploadRole = Field(description="Whether it was taken in or made here.")
    storage_key: str = Field(description="Where its content lies in the storage.")
    filename: str = Field(description="The name its owner gave it; shown, never used in a path or a key.")
    bytes: int = Field(description="Its size.")
    etag: str = Field(description="Names its content.")
    origin: str | None = Field(
        default=None, description="Where it was registered from; the same origin means the same upload."
    )
    media_info: MediaInfo | None = Field(default=None, description="What it holds; null: it was not probed yet.")
    asked_types: tuple[str, ...] | None = Field(
        default=None,
        description="The job types that were asked for by name when it was registered; null: all that fit.",
    )
    details: JsonObject | None = Field(
        default=None,
        description="Of one that was fetched: its video, address, title, channel, date, chapters and subtitles.",
    )
    created_at: datetime = Field(description="When it was registered.")
    trace_id: str = Field(description="The trace that it came with.")

    @property
    def title(self) -> str:
        """The name to show to people."""
        return self.filename

    @property
    def summary(self) -> JsonObject:
        """What the record of an attempt says about it."""
        return {
            "uploadId": self.id,
            "role": self.role,
            "key": self.storage_key,
            "bytes": self.bytes,
            "filename": self.filename,
        }


RESULT = "job:"
"""How the origin of an upload begins that a job has made or fetched."""


def result_origin(job_id: str, filename: str) -> str:
    """The origin of the upload that a job's output becomes."""
    return f"{RESULT}{job_id}/{filename}"


class Timeline(Value):
    """An edit to be rendered, as it was when the export was requested."""

    id: str
    document: JsonObject = Field(description="The timeline, references resolved to upload ids.")
    etag: str = Field(description="Digest of the document and of the content of every upload it refers to.")
    created_at: datetime
    trace_id: str

    @property
    def title(self) -> str:
        """The name to show to people."""
        return str(self.document.get("title") or "Untitled")

    @property
    def summary(self) -> JsonObject:
        """What the record of an attempt says about it."""
        return {"timelineId": self.id, "title": self.document.get("title", "")}


class Tick(Value):
    """A moment of a schedule. It is not stored: its id holds all that it is."""

    schedule: str = Field(description="The job type that the schedule asks for.")
    created_at: datetime = Field(description="The moment, to the second.")

    @classmethod
    def parse(cls, tick_id: str) -> Tick:
        """The tick with that id. Raises ValueError when `tick_id` is not the id of a tick."""
        schedule, at, moment = tick_id.rpartition("@")
        if not at:
            raise ValueError(f"{tick_id!r} is not the id of a tick, such as history_cleanup@2026-03-04T03:00:00Z")
        return cls(schedule=schedule, created_at=datetime.fromisoformat(moment))

    @classmethod
    def is_id(cls, text: str) -> bool:
        """Whether `text` is the id of a tick."""
        try:
            cls.parse(text)
        except ValueError:
            return False
        return True

    @property
    def id(self) -> str:
        """The schedule and the moment, such as history_cleanup@2026-03-04T03:00:00Z."""
        return f"{self.schedule}@{self.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def etag(self) -> str:
        """Its id: a tick never changes, so an output made for it stays up to date."""
        return self.id

    @property
    def title(self) -> str:
        """The name to show to people."""
        return f"{self.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    @property
    def summary(self) -> JsonObject:
        """What the record of an attempt says about it."""
        return {"schedule": self.schedule, "scheduledAt": self.created_at.isoformat()}


# --- events ----------------------------------------------------------------------------------------------------------


class EventStatus(StrEnum):
    """Where an event stands, by its source's word and by the clock."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    FINISHED = "finished"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"


def _storable(text: str) -> str:
    """Text that every database stores unchanged: without NUL characters and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")


_ForeignText = Annotated[str, AfterValidator(_storable)]


class NewEvent(Value):
    """An event as its source describes it."""

    external_id: _ForeignText = Field(description="Its id at the source; each occurrence of a repeated event has one.")
    title: _ForeignText = Field(description="Its title.")
    participants: tuple[_ForeignText, ...] = Field(default=(), description="Who takes part, such as two teams.")
    starts_at: datetime = Field(description="When it begins; of an event of whole days, midnight at the source.")
    ends_at: datetime | None = Field(default=None, description="When it ends; null: the source does not say.")
    is_all_day: bool = Field(default=False, description="Whether it takes whole days.")
    status: EventStatus = Field(description="Where it stands.")
    raw: JsonObject | None = Field(default=None, description="What the source says of it, if that is not too long.")


class Event(NewEvent):
    """A scheduled event, as its source described it last."""

    id: str = Field(description="Its id, a UUIDv7.")
    source: str = Field(description="The name of the source, from the settings.")
    created_at: datetime = Field(description="When it was stored first.")
    updated_at: datetime = Field(description="When anything of it changed last.")
    seen_at: datetime = Field(description="When its source had it last.")
    removed_at: datetime | None = Field(
        default=None, description="When its source was found not to have it any more; null: it has it."
    )

    def is_over(self, now: datetime) -> bool:
        """Whether it is finished by its source's word, or ended before `now` without being called off."""
        if self.status in (EventStatus.SCHEDULED, EventStatus.IN_PROGRESS):
            return self.ends_at is not None and self.ends_at <= now
        return self.status is EventStatus.FINISHED


class LinkedBy(StrEnum):
    """Who decided which event a video belongs to, or that it belongs to none."""

    MATCHING = "matching"
    PERSON = "person"
    """It is never changed by matching."""


class FoundVideo(Value):
    """A video, as it was found. What is null was not told, and leaves what is known as it is."""

    site: str = Field(default="youtube", description="Where it is.")
    external_id: _ForeignText = Field(description="Its id there.")
    address: _ForeignText = Field(description="Its page.")
    title: _ForeignText = Field(description="Its title.")
    channel_id: _ForeignText | None = Field(default=None, description="The id of its channel.")
    channel: _ForeignText | None = Field(default=None, description="The name of its channel.")
    published_at: datetime | None = Field(default=None, description="When it was published.")
    duration_seconds: float | None = Field(default=None, description="Its length; null: not known, or it is live.")
    found_by: str = Field(description="How it was found first: feed, playlist, search or ingest.")
    found_in: _ForeignText = Field(description="In which channel or playlist, or by which words.")


class Video(FoundVideo):
    """A video that was found, and the event that it is of."""

    id: str = Field(description="Its id here, a UUIDv7.")
    event_id: str | None = Field(default=None, description="The event that it is linked to.")
    linked_by: LinkedBy | None = Field(default=None, description="Who decided on that; null: nobody has.")
    linked_at: datetime | None = Field(default=None, description="When that was decided.")
    removed_at: datetime | None = Field(
        default=None, description="When the site was found not to have it any more; null: it has it."
    )
    checked_at: datetime | None = Field(default=None, description="When its details were asked for last.")
    trace_id: str | None = Field(default=None, description="The trace of the job that found it.")
    created_at: datetime = Field(description="When it was found first.")
    updated_at: datetime = Field(description="When anything told of it changed last.")

    @property
    def etag(self) -> str:
        """Its site and its id there: to us a video never changes, so what was fetched of it stays up to date."""
        return f"{self.site}/{self.external_id}"

    @property
    def summary(self) -> JsonObject:
        """What the record of an attempt says about it."""
        return {"videoId": self.id, "site": self.site, "address": self.address, "title": self.title}


class MatchReason(Value):
    """One thing that a video and an event were compared by."""

    feature: str = Field(description="title, participants, date, duration or channel.")
    score: float = Field(description="How well it fits, from 0 to 1.")
    weight: float = Field(description="How much it counts.")
    said: str = Field(description="Why, in words.")


class VideoMatch(Value):
    """How well a video fits an event."""

    video_id: str = Field(description="The video.")
    event_id: str = Field(description="The event.")
    score: float = Field(description="From 0 to 1: the mean of the reasons by their weights.")
    reasons: tuple[MatchReason, ...] = Field(default=(), description="What that is made of.")
    scored_at: datetime = Field(description="When they were compared.")


class SubjectKind(StrEnum):
    """What jobs of a type are about."""

    UPLOAD = "upload"
    TIMELINE = "timeline"
    VIDEO = "video"
    TICK = "tick"


class Subject(Protocol):
    """What a job is about. An `Upload`, a `Timeline`, a `Video` and a `Tick` are subjects."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def created_at(self) -> datetime:
        """When it was created; its UTC day is the partition of its jobs."""
        ...

    @property
    def etag(self) -> str:
        """Changes whenever the content does; compared for equality only."""
        ...

    @property
    def title(self) -> str:
        """The name to show to people."""
        ...

    @property
    def summary(self) -> JsonObject:
        """What the record of an attempt says about it."""
        ...


class RtfBasis(StrEnum):
    """Whose media seconds a real-time factor counts."""

    INPUT = "input"
    OUTPUT = "output"


class FollowUp(Value):
    """A job that is wanted after another one."""

    job_type: str = Field(description="What is to be done.")
    params: JsonObject = Field(default_factory=dict, description="The parameters of the job type.")
    force: bool = Field(default=False, description="Make the output again even if it is up to date.")


class NewJob(Value):
    """A request to do one job type on one subject."""

    job_type: str = Field(description="What is to be done.")
    subject_id: str = Field(description="What it is about: the id of an upload, a timeline, a video or a tick.")
    subject_day: date = Field(description="UTC day the subject was created: the job's partition.")
    trace_id: str = Field(description="The trace.")
    params: JsonObject = Field(default_factory=dict, description="The parameters of the job type.")
    priority: int = Field(default=0, description="Higher goes first.")
    parent_job_id: str | None = Field(default=None, description="The job that asked for this one.")
    max_attempts: int = Field(default=3, description="How many attempts it gets.")
    idempotency_key: str = Field(description="A second request with the same key is the same job.")
    force: bool = Field(default=False, description="Make the output again even if it is up to date.")
    follow_up: tuple[FollowUp, ...] = Field(
        default=(),
        description="What is done next, one after the other, once its output is there: on the upload that the output "
        "became, or else on the same subject.",
    )


class Job(NewJob):
    """A job in the queue, in its present state."""

    id: str = Field(description="Its id, a UUIDv7.")
    status: JobStatus = Field(description="Where it stands.")
    attempts: int = Field(description="How many attempts it has had.")
    not_before: datetime | None = Field(
        default=None,
        description="The next attempt starts no earlier than this; null: at once. Once a run has it: when it was due.",
    )
    dispatch_id: str | None = Field(
        None, description="The run, or the dispatch for a run, that the job is assigned to."
    )
    lease_expires_at: datetime | None = Field(
        default=None, description="When it counts as lost unless its worker is heard of before."
    )
    created_at: datetime = Field(description="When it was asked for.")
    updated_at: datetime = Field(description="When anything of it changed last.")
    error_code: str | None = Field(default=None, description="The error of its latest attempt.")
    progress: JobProgress | None = Field(
        default=None, description="How far its attempt is, as of the latest heartbeat; null: none is under way."
    )


class Attempt(Value):
    """One row of the job history: a try at a job, or a dispatch of a job type that was skipped or whose run failed."""

    id: str = Field(description="Its id, a UUIDv7.")
    job_id: str | None = Field(description="The job; null: a dispatch that was skipped, or whose run failed early.")
    job_name: str = Field(description="The job type.")
    attempt: int = Field(description="Number of the attempt at the job, from 1.")
    run_id: str | None = Field(description="The Dagster run.")
    trace_id: str | None = Field(description="The trace.")
    status: AttemptStatus = Field(description="Where it stands.")
    started_at: datetime = Field(description="When the job was claimed.")
    completed_at: datetime | None = Field(default=None, description="When it was over; the manifest's finishedAt.")
    duration_ms: int | None = Field(default=None, description="How long it took, milliseconds.")
    queue_ms: int | None = Field(default=None, description="How long the job waited before, milliseconds.")
    rtf: float | None = Field(default=None, description="Media seconds / processing seconds; 2.0 is twice real time.")
    ffmpeg_ms: int | None = Field(
        default=None, description="Wall time of the commands that made the outputs, milliseconds."
    )
    bytes_in: int | None = Field(default=None, description="Bytes read from the storage.")
    bytes_out: int | None = Field(default=None, description="Bytes written to the storage.")
    cpu_seconds: float | None = Field(default=None, description="CPU time of all commands, probes included.")
    max_rss_mb: float | None = Field(
        default=None, description="Peak resident memory of the largest command, MiB; the manifest's memRssMbMax."
    )
    width: int | None = Field(default=None, description="Coded width of the input's picture, pixels.")
    height: int | None = Field(default=None, description="Coded height of the input's picture, pixels.")
    fps: float | None = Field(default=None, description="The input's frames a second.")
    video_codec: str | None = Field(default=None, description="The input's video codec.")
    media_seconds: float | None = Field(
        default=None,
        description="The media seconds that the real-time factor counts; without such a factor, the input's.",
    )
    input_bytes: int | None = Field(default=None, description="Size of the input, whether it was read or not.")
    instance_type: str | None = Field(default=None, description="The machine's type, as its cloud names it.")
    threads: int | None = Field(default=None, description="Threads that each ffmpeg was granted.")
    side_by_side: int | None = Field(
        default=None, description="The most attempts that this worker ran at the same time, this one included."
    )
    host: str | None = Field(default=None, description="Name of the machine.")
    error_code: str | None = Field(default=None, description="The code of the error that ended it.")
    blame: Blame | None = Field(default=None, description="Whose fault that is.")
    error: str | None = Field(default=None, description="Its message.")
    result: JsonObject | None = Field(
        default=None, description="The outputs, their fingerprint and the figures, or why it was skipped."
    )
    manifest: JsonObject | None = Field(default=None, description="The full record.")
    created_at: datetime = Field(description="When the row was written.")

    @property
    def wasted_ms(self) -> int:
        """Wasted milliseconds: the whole duration of a failed, lost or cancelled attempt, else 0."""
        return self.duration_ms or 0 if self.status.is_waste else 0


# --- alerts ----------------------------------------------------------------------------------------------------------


class AlertKind(StrEnum):
    """What an alert is about."""

    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    JOB_DEAD = "job_dead"
    SCHEDULE_MISSED = "schedule_missed"
    QUOTA_LOW = "quota_low"
    """A quota is nearly used."""
    STORAGE_FULL = "storage_full"
    """The storage is over its limit."""
    DISK_FULL = "disk_full"
    """A disk is over its limit."""
    DAEMON_SILENT = "daemon_silent"
    HOST_QUARANTINED = "host_quarantined"
    TEST = "test"
    """Sent by hand, to see whether it arrives."""


class Alert(Value):
    """A message to operators. What happens again before it was sent is counted in it."""

    id: str
    kind: AlertKind
    cause: str = Field(description="What is the same for all that one message tells, such as job type and error code.")
    title: str
    body: str
    details: JsonObject = Field(description="Job, trace, error code and what else is known, by name.")
    count: int = Field(description="How often it happened.")
    first_at: datetime
    last_at: datetime
    due_at: datetime = Field(description="When it will be sent, or tried again.")
    sent_at: datetime | None = Field(description="When every target had it; None: not yet.")
    tries: int = Field(description="How often sending it was tried.")
    error: str | None = Field(description="Why it could not be sent at the latest try.")
    reached: tuple[str, ...] = Field(description="The targets that have it, while others have not.")


# --- webhooks --------------------------------------------------------------------------------------------------------


class WebhookEvent(StrEnum):
    """What a callback address is told."""

    JOB_QUEUED = "job.queued"
    """The job waits: it was asked for, given back by a worker that stopped, or queued again."""
    JOB_STARTED = "job.started"
    JOB_PROGRESS = "job.progress"
    """How far it is; at most once a second, and only the latest."""
    JOB_COMPLETED = "job.completed"
    """It has its outputs: made now, or still fresh from before (then its status is `skipped`)."""
    JOB_FAILED = "job.failed"
    """An attempt failed, or its worker was lost; the job is tried again."""
    JOB_DEAD = "job.dead"
    """It is given up, or was cancelled (then its status is `cancelled`)."""
    TRACE_FINISHED = "trace.finished"
    """No job of the trace is unfinished any more."""
    TEST = "test"
    """Sent by hand, to see whether it arrives."""

    @classmethod
    def of(cls, status: JobStatus) -> WebhookEvent:
        """What is told of a job that gets this status."""
        return _EVENT_OF[status]


_EVENT_OF = {
    JobStatus.QUEUED: WebhookEvent.JOB_QUEUED,
    JobStatus.PROCESSING: WebhookEvent.JOB_STARTED,
    JobStatus.COMPLETED: WebhookEvent.JOB_COMPLETED,
    JobStatus.SKIPPED: WebhookEvent.JOB_COMPLETED,
    JobStatus.FAILED: WebhookEvent.JOB_FAILED,
    JobStatus.DEAD: WebhookEvent.JOB_DEAD,
    JobStatus.CANCELLED: WebhookEvent.JOB_DEAD,
}


class Callback(Value):
    """Where somebody wants to be told what becomes of a request, and of what."""

    url: str = Field(description="An http(s) address.")
    events: tuple[WebhookEvent, ...] = Field(default=(), description="Only these events; empty: all.")


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """It waits for its first or next try, or for an earlier one of the same job."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """It is not tried any more; it can be sent again by hand."""


class DeliveryTry(Value):
    """One try to deliver."""

    at: datetime = Field(description="When it began.")
    took_ms: int = Field(description="How long it took.")
    status: int | None = Field(description="The HTTP status of the answer; null: there was none.")
    error: str | None = Field(description="Why it failed; null: it did not.")


def origin_of(url: str) -> str:
    """Scheme, host and port of an address: whom it belongs to, without a name and password in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class WebhookDelivery(Value):
    """One event for one callback address."""

    id: str = Field(description="The `webhook-id`: the same at each try.")
    event: WebhookEvent = Field(description="What happened.")
    trace_id: str = Field(description="The trace.")
    job_id: str | None = Field(description="The job; null: it is about the trace.")
    subscription_id: str = Field(description="The callback that it belongs to.")
    url: str = Field(description="Where it goes.")
    data: JsonObject = Field(description="What is told, without its envelope.")
    created_at: datetime = Field(description="When it happened.")
    due_at: datetime = Field(description="When it is sent, or tried again.")
    status: DeliveryStatus = Field(description="Where it stands.")
    tries: int = Field(description="How often it was tried since it was last asked for.")
    tried: tuple[DeliveryTry, ...] = Field(default=(), description="The latest tries, the oldest first.")
    delivered_at: datetime | None = Field(description="When it arrived.")

    @property
    def body(self) -> JsonObject:
        """What is sent."""
        at = self.created_at.isoformat().replace("+00:00", "Z")
        return {"type": self.event.value, "timestamp": at, "data": self.data}

    @property
    def error(self) -> str | None:
        """Why the latest try failed; None: it did not, or there was none."""
        return self.tried[-1].error if self.tried else None
