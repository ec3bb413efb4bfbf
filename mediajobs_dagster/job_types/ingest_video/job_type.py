"""Job type `ingest_video_v1`, as the registry knows it. What fetches is loaded when it is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.job_types.base import FFMPEG, JobType, Lane, Params
from mediajobs_dagster.job_types.ingest_video.containers import SUFFIXES
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import Job, SubjectKind, Video
from mediajobs_dagster.settings import Settings

INGEST = "ingest"
"""In `JobType.needs`: the worker has yt-dlp."""
_MERGE_S = 3600.0
_NAME = rf"(?:source\.(?:{'|'.join(SUFFIXES)})|subtitles\.[A-Za-z0-9_-]{{1,40}}\.vtt)"
_KEY = re.compile(rf"ingests/\d{{4}}-\d{{2}}/\d{{2}}/[0-9a-f-]{{36}}/{_NAME}")


class IngestVideo(JobType):
    """A video fetched from its site, a plain address or S3; it becomes an upload, with the jobs it is good for."""

    name: ClassVar[str] = "ingest_video_v1"
    asset: ClassVar[str] = "ingested_video"
    lane: ClassVar[Lane] = Lane.NETWORK
    needs: ClassVar[frozenset[str]] = frozenset({FFMPEG, INGEST})
    subject: ClassVar[SubjectKind] = SubjectKind.VIDEO
    params: ClassVar[type[Params]] = Params
    threads: ClassVar[int] = 1
    batch_size: ClassVar[int] = 4

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        from mediajobs_dagster.services.downloads.client import DOWNLOAD, LOOK, SERVICE

        del settings
        return (SERVICE, DOWNLOAD, LOOK)

    @override
    def has_made(self, key: str) -> bool:
        return _KEY.fullmatch(key) is not None

    @override
    def result_keys(self, job: Job, attempt_id: str) -> tuple[str, ...]:
        folder = folder_of(job, attempt_id)
        return tuple(f"{folder}/source.{suffix}" for suffix in SUFFIXES)

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        from mediajobs_dagster.job_types.ingest_video.fetching import fetch_video
        from mediajobs_dagster.job_types.ingest_video.left import further_steps, outputs_of

        del params
        video = material.subject
        assert isinstance(video, Video)
        folder = folder_of(material.job, material.attempt_id)
        work = partial(fetch_video, video, material.job)
        return Plan(
            outputs=partial(outputs_of, video, folder),
            steps=(Call("download", work, then=further_steps, weight=10.0),),
            also_wanted=True,
            work_s=_MERGE_S,
        )


def folder_of(job: Job, attempt_id: str) -> str:
    """Below which key an attempt publishes: the day of the request and the attempt's id."""
    return f"ingests/{job.created_at:%Y-%m}/{job.created_at:%d}/{attempt_id}"
