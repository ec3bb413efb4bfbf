"""Asks for videos by their addresses: each becomes a job, lists are flattened, and none is asked for twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.errors import (
    ExtraMissingError,
    InputError,
    MediaJobsError,
    RequestError,
    ServiceError,
    SettingsError,
)
from mediajobs_dagster.history import Enqueued, History
from mediajobs_dagster.intake.addresses import distinct, video_of, videos_at
from mediajobs_dagster.job_types.base import MAX_ITEMS, JobType
from mediajobs_dagster.job_types.ingest_video.containers import SUFFIXES
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import (
    Callback,
    FollowUp,
    FoundVideo,
    Job,
    JobStatus,
    JsonObject,
    Video,
    new_id,
    result_origin,
)
from mediajobs_dagster.records import JobQueued
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.downloads.client import VideoClient
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.redaction import redact_address

JOB_TYPE = "ingest_video_v1"
_LOOKS = 5.0
"""To look at a list may take so many times as long as one call to a service: it has many pages."""
_CHUNK = 500
"""Jobs enqueued in one transaction: other writers wait for it."""


@dataclass(frozen=True)
class AskedVideo:
    """A video that was asked for."""

    video: Video
    job: Job | None
    """None: nothing was to be changed."""
    created: bool
    """Whether a job was made for it, or put back into the queue; of a dry run: whether one would be."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        job = {**self.job.to_json(), "created": self.created} if self.job else None
        return {"video": self.video.to_json(), "job": job, "new": self.created}


@dataclass(frozen=True)
class RefusedAddress:
    """An address of which nothing can be fetched."""

    address: str
    error: MediaJobsError

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"address": self.address, "code": self.error.code, "message": self.error.message}


@dataclass(frozen=True)
class Ingested:
    """The videos that were asked for, all in one trace."""

    trace_id: str
    is_dry_run: bool
    videos: tuple[AskedVideo, ...]
    refused: tuple[RefusedAddress, ...] = ()

    @property
    def created(self) -> int:
        """How many jobs there are to do, or would be."""
        return sum(each.created for each in self.videos)

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "traceId": self.trace_id,
            "dryRun": self.is_dry_run,
            "created": self.created,
            "videos": [each.to_json() for each in self.videos],
            "refused": [each.to_json() for each in self.refused],
        }


@dataclass(frozen=True)
class Ingesting:
    """Asks for videos."""

    settings: Settings
    history: History
    listeners: Listeners
    job_type: JobType

    def ask(
        self,
        addresses: Sequence[str],
        *,
        trace_id: str,
        limit: int | None,
        dry_run: bool,
        priority: int,
        force: bool,
        follow_up: Sequence[FollowUp] = (),
        callback: Callback | None = None,
    ) -> Ingested:
        """A job for each video at the addresses; with `dry_run`, only which they would be. See `MediaJobs.ingest`."""
        if not addresses:
            raise RequestError("Nothing is given. Name the address of a video, or of a list of videos.")
        if limit is not None and not 1 <= limit <= MAX_ITEMS:
            raise RequestError(f"A limit of {limit} is not between 1 and {MAX_ITEMS:,}.")
        found, refused = self._found(addresses, limit or MAX_ITEMS)
        if dry_run:
            return Ingested(trace_id, True, tuple(self._planned(found, force=force)), refused)
        now = self.history.now()
        self.history.videos.store(found, trace_id=trace_id, now=now)
        videos = self._known(found)
        wanted = [
            self.job_type.request(
                video,
                trace_id=trace_id,
                priority=priority,
                max_attempts=self.settings.max_attempts,
                force=force,
                follow_up=follow_up,
            )
            for video in videos
        ]
        if callback:
            self.history.webhook_events.subscribe(callback, trace_id)
        enqueued: list[Enqueued] = []
        for start in range(0, len(wanted), _CHUNK):
            enqueued += self.history.jobs.enqueue(wanted[start : start + _CHUNK])
        again = self._queued_again([each.job for each in enqueued if not each.created])
        asked = [
            AskedVideo(video, again.get(each.job.id, each.job), each.created or each.job.id in again)
            for video, each in zip(videos, enqueued, strict=True)
        ]
        if callback:
            self.history.webhook_events.follow(callback, [each.job for each in enqueued if not each.created])
        self.listeners.tell_all([JobQueued(job=each.job) for each in asked if each.created and each.job])
        return Ingested(trace_id, False, tuple(asked), refused)

    def _found(self, addresses: Sequence[str], limit: int) -> tuple[list[FoundVideo], tuple[RefusedAddress, ...]]:
        """The videos at the addresses. Raises the error of an address if it is the only one."""
        deadline = Deadline.after(_LOOKS * self.settings.service_timeout_s)
        client = VideoClient.open(ServiceContext(self.settings, Cancellation(), deadline, lambda _: None))
        found: list[FoundVideo] = []
        refused: list[RefusedAddress] = []
        for address in dict.fromkeys(each.strip() for each in addresses):
            try:
                found += videos_at(address, client, allowed=self.settings.private_addresses, limit=limit)
            except (RequestError, InputError, ServiceError) as error:
                if isinstance(error, ServiceError) and error.retryable:
                    found.append(video_of(address))  # the site is away: its job will wait for it
                    continue
                if len(addresses) == 1 or isinstance(error, SettingsError | ExtraMissingError):
                    raise
                refused.append(RefusedAddress(redact_address(address), error))
        return distinct(found)[:MAX_ITEMS], tuple(refused)

    def _known(self, found: Sequence[FoundVideo]) -> list[Video]:
        by_site: dict[str, list[str]] = {}
        for each in found:
            by_site.setdefault(each.site, []).append(each.external_id)
        known = {site: self.history.videos.known(site, ids) for site, ids in by_site.items()}
        return [known[each.site][each.external_id] for each in found]

    def _planned(self, found: Sequence[FoundVideo], *, force: bool) -> list[AskedVideo]:
        """The videos as they are known, or would be."""
        planned: list[AskedVideo] = []
        for site in dict.fromkeys(each.site for each in found):
            of_site = [each for each in found if each.site == site]
            known = self.history.videos.known(site, [each.external_id for each in of_site])
            made = self.history.current.results(JOB_TYPE, [video.id for video in known.values()])
            now = self.history.now()
            for each in of_site:
                video = known.get(each.external_id)
                shown = video or Video(**each.model_dump(), id=new_id(), created_at=now, updated_at=now)
                planned.append(AskedVideo(shown, None, created=force or video is None or video.id not in made))
        order = {(each.site, each.external_id): number for number, each in enumerate(found)}
        return sorted(planned, key=lambda each: order[each.video.site, each.video.external_id])

    def _queued_again(self, known: Sequence[Job]) -> dict[str, Job]:
        """Jobs that were done before and whose upload was deleted, put back into the queue; by their ids."""
        done = [job.id for job in known if job.status is JobStatus.COMPLETED]
        origins = {result_origin(each, f"source.{suffix}"): each for each in done for suffix in SUFFIXES}
        there = {origins[origin] for origin in self.history.uploads.known(list(origins))}
        gone = [each for each in done if each not in there]
        again: dict[str, Job] = {}
        for start in range(0, len(gone), 100):
            changed = self.history.jobs.retry_many(gone[start : start + 100], (JobStatus.COMPLETED,))
            again |= {job.id: job for job in changed}
        return again
