"""The step that fetches a video: from a site, from the address of a file, or from S3."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mediajobs_dagster.errors import (
    DiskFullError,
    InputTooLargeError,
    MediaJobsError,
    ServiceAnswerError,
    ServiceLimitedError,
    ServiceRefusedError,
    ServiceTimeoutError,
    ServiceTooLargeError,
    ServiceUnavailableError,
    SiteAnswerError,
    SiteUnavailableError,
    VideoRefusedError,
    VideoUnavailableError,
)
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.ingest_video.containers import HEAD_BYTES, is_file_address, suffix_of
from mediajobs_dagster.job_types.ingest_video.kept import kept_folder
from mediajobs_dagster.job_types.ingest_video.left import LeftText, LeftVideo
from mediajobs_dagster.job_types.ingest_video.pace import at_pace
from mediajobs_dagster.job_types.ingest_video.subtitles import MOST_BYTES, as_webvtt
from mediajobs_dagster.models import FoundVideo, Job, Video
from mediajobs_dagster.services.downloads.client import DOWNLOAD, SERVICE, FetchedText, FetchedVideo, VideoClient
from mediajobs_dagster.services.downloads.told import ToldVideo
from mediajobs_dagster.services.http import HttpClient
from mediajobs_dagster.storage.redaction import redact_address

_MIB = 1 << 20
_S3 = "s3://"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
"""What is left out of the name of a language, which becomes part of a key."""


def fetch_video(video: Video, job: Job, bench: Bench) -> None:
    """Fetch a video into the bench's folder, and leave word of it there (`LeftVideo`).

    Raises the errors of videos at their sites, InputNotMediaError, InputTooLargeError, InputTooLongError,
    AddressRefusedError, SitePausedError, DiskFullError, StorageError.
    """
    with kept_folder(bench.installation.settings.scratch, video.id, job.id, bench.folder) as folder:
        if video.address.startswith(_S3):
            fetched = _from_s3(video, folder, bench)
        else:
            with at_pace(bench, video.site):
                fetched = _from_web(video, folder, bench)
        left = _moved(fetched, bench)
    left.write(bench.folder)
    _note(video, fetched.told, job.trace_id, bench)


def _from_web(video: Video, folder: Path, bench: Bench) -> FetchedVideo:
    on_share = _DiskWatch(folder, bench).progress
    if not is_file_address(video.address):
        return bench.service(VideoClient).fetch(video.address, folder, on_share=on_share)
    path = folder / "part0"

    def on_bytes(size: int, total: int | None) -> None:
        on_share(size / total if total else None)

    settings, shown = bench.installation.settings, redact_address(video.address)
    try:
        bench.service(HttpClient).download(
            video.address,
            path,
            service=SERVICE,
            op=DOWNLOAD,
            max_bytes=settings.ingest_max_mb * _MIB,
            resumes=True,
            on_bytes=on_bytes,
        )
    except MediaJobsError as error:
        raise _of_site(error, shown) from error
    return FetchedVideo(ToldVideo(address=video.address, title=_title_of(video.address)), (path,), False)


def _of_site(error: MediaJobsError, shown: str) -> MediaJobsError:
    """The error of a service, as one of the video's site: a dead link of somebody's is no fault of ours."""
    match error:
        case ServiceTooLargeError():
            return InputTooLargeError(f"{shown} is too large. {error.message} Raise MEDIAJOBS_INGEST_MAX_MB.")
        case ServiceLimitedError():
            return error
        case ServiceUnavailableError() | ServiceTimeoutError():
            return SiteUnavailableError(error.message, http_status=error.http_status, retry_after_s=error.retry_after_s)
        case ServiceRefusedError() if error.http_status in (404, 410):
            return VideoUnavailableError(
                f"{shown} was answered with {error.http_status}. {VideoUnavailableError.__doc__}"
            )
        case ServiceRefusedError():
            return VideoRefusedError(f"{error.message} {VideoRefusedError.__doc__}")
        case ServiceAnswerError():
            return SiteAnswerError(error.message, http_status=error.http_status)
        case _:
            return error


def _from_s3(video: Video, folder: Path, bench: Bench) -> FetchedVideo:
    parent, _, name = video.address.rpartition("/")
    storage = bench.installation.open_storage().at(f"{parent}/")
    stat, most = storage.stat(name), bench.installation.settings.ingest_max_mb * _MIB
    if stat.bytes > most:
        raise InputTooLargeError(f"{video.address} has {stat.bytes:,} bytes. Raise MEDIAJOBS_INGEST_MAX_MB.")
    watch, path, done = _DiskWatch(folder, bench), folder / "part0", 0

    def on_bytes(size: int) -> None:
        nonlocal done
        done += size
        watch.progress(done / max(1, stat.bytes))

    path.unlink(missing_ok=True)
    storage.get(name, path, on_bytes)
    return FetchedVideo(ToldVideo(address=video.address, title=_title_of(video.address)), (path,), False)


def _title_of(address: str) -> str:
    return Path(unquote(urlsplit(address).path)).stem or address


class _DiskWatch:
    """Passes progress on, and ends the work before the disk is full."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self._folder, self._bench = folder, bench
        self._reserve = bench.installation.settings.scratch_reserve_mb * _MIB

    def progress(self, share: float | None) -> None:
        """Report that `share` is done. Raises DiskFullError, and what ends the work."""
        if shutil.disk_usage(self._folder).free < self._reserve:
            raise DiskFullError
        self._bench.progress(share)


def _moved(fetched: FetchedVideo, bench: Bench) -> LeftVideo:
    """Bring what was fetched into the attempt's folder, under names of its own."""
    suffixes: list[str] = []
    for path in fetched.files:
        with path.open("rb") as file:
            suffixes.append(suffix_of(file.read(HEAD_BYTES), fetched.told.address))
    names = tuple(f"part{number}.{suffix}" for number, suffix in enumerate(suffixes))
    left = LeftVideo(names, tuple(suffixes), fetched.is_segmented, fetched.told.to_json(), _texts(fetched.texts, bench))
    for path, name in zip(fetched.files, (left.filename,) if left.is_whole else names, strict=True):
        path.replace(bench.folder / name)
    for fault in fetched.faults:
        bench.note(fault)
    return left


def _texts(texts: tuple[FetchedText, ...], bench: Bench) -> tuple[LeftText, ...]:
    left: dict[str, LeftText] = {}
    for number, each in enumerate(texts):
        language = _UNFIT.sub("", each.language) or "und"
        if each.path.stat().st_size > MOST_BYTES:
            bench.note(f"Subtitles in {language} have more than {MOST_BYTES // _MIB} MiB, and were left out.")
            continue
        content = as_webvtt(each.path.read_bytes(), each.format)
        if content is None:
            bench.note(f"Subtitles in {language} are not WebVTT or SubRip, and were left out.")
        elif language not in left:
            name = f"text{number}.vtt"
            (bench.folder / name).write_text(content)
            left[language] = LeftText(language, each.is_automatic, name)
    return tuple(left.values())


def _note(video: Video, told: ToldVideo, trace_id: str, bench: Bench) -> None:
    """Keep what the site told of the video."""
    history = bench.installation.history
    found = FoundVideo(
        site=video.site,
        external_id=video.external_id,
        address=video.address,
        title=told.title or video.title,
        channel_id=told.channel_id,
        channel=told.channel,
        published_at=told.published_at,
        duration_seconds=told.duration_s,
        found_by=video.found_by,
        found_in=video.found_in,
    )
    history.videos.store([found], trace_id=trace_id, now=history.now(), with_details=True)
