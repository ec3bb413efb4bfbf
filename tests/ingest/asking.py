"""Asks for addresses, and fetches what they mean."""

from __future__ import annotations

from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.history import Dispatch, JobFilter
from mediajobs_dagster.intake.addresses import video_of
from mediajobs_dagster.job_types.ingest_video.job_type import IngestVideo
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import Job, Upload, new_trace_id
from mediajobs_dagster.records import Record
from tests.platform import Platform


def fetched(platform: Platform, *addresses: str) -> list[AttemptEnded]:
    """Ask for addresses, and make one attempt at each."""
    platform.media.ingest(*addresses)
    return attempted(platform)


def tried(platform: Platform, address: str) -> AttemptEnded:
    """One attempt at an address that nobody has looked at before."""
    now = platform.history.now()
    found = video_of(address)
    platform.history.videos.store([found], trace_id=None, now=now)
    video = platform.history.videos.known(found.site, [found.external_id])[found.external_id]
    wanted = platform.registry[IngestVideo.name].request(video, trace_id=new_trace_id())
    platform.history.jobs.enqueue([wanted])
    (ended,) = attempted(platform)
    return ended


def attempted(platform: Platform) -> list[AttemptEnded]:
    """One attempt at each video that is due; what follows from them waits."""
    ended: list[AttemptEnded] = []

    def collect(record: Record) -> None:
        if isinstance(record, AttemptEnded):
            ended.append(record)

    job_type = platform.registry[IngestVideo.name]
    with platform.media.worker() as worker:
        dispatches: list[Dispatch] = []
        while isinstance(found := platform.media.dispatcher.next(job_type.name, batch_size=9), Dispatch):
            dispatches.append(found)
        for dispatch in dispatches:
            work_off(worker, job_type, dispatch.id, run_id="run", listeners=Listeners([collect]))
    return ended


def only_upload(platform: Platform) -> Upload:
    """The one upload there is."""
    (upload,) = platform.media.uploads()
    return upload


def jobs_of(platform: Platform, job_type: str) -> list[Job]:
    """All jobs of a type."""
    return platform.history.jobs.list(JobFilter(job_type=job_type))
