"""Gathers what entries of the job log are made of: from the history, and of study guides from the storage too."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from pydantic import ValidationError

from mediajobs_dagster.errors import MediaJobsError, NotFoundError, StorageMissingError
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.history.attempts import outputs_of
from mediajobs_dagster.history.job_log_entry import JobLogEntry
from mediajobs_dagster.models import Attempt, Job, Upload, Video
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.transcripts.model import VERSION as TRANSCRIPT
from mediajobs_dagster.transcripts.model import Transcript
from mediajobs_dagster.use_cases.job_log.entries import About, GuideFiles, Lengths, entry_of, keys_of

STUDY_GUIDE = "study_guide_v1"
_LARGEST_TRANSCRIPT = 64 << 20
"""A larger one is left out, bytes: it would be of a week of talking."""
_LARGEST_TEXT = 16 << 20
_MADE_BY = re.compile(r"job:([0-9a-f-]{36})/")
"""The origin of an upload that a job made: see `result_origin`."""

_log = logging.getLogger(__name__)


class Gathering:
    """Makes entries of attempts. Threads may share it."""

    def __init__(self, history: History, open_storage: Callable[[], Storage]) -> None:
        """Open the storage only when an entry needs it."""
        self._history, self._open_storage = history, open_storage

    def entries(self, attempts: Sequence[Attempt]) -> Iterator[JobLogEntry]:
        """The entries of those of these attempts, some hundred at most, that ended their job, in the same order.

        The attempts need their manifests. One that is tried again has not ended its job, and a job without an attempt
        has no entry. A storage that does not answer costs what is read from it, not the entry.
        """
        over = [each for each in attempts if each.status.is_final]
        jobs = self._ended(over)
        ended = [(each, job) for each in over if (job := jobs.get(each.job_id or "")) and job.attempts == each.attempt]
        about = self._about(job.subject_id for _, job in ended)
        for attempt, job in ended:
            yield self._entry(attempt, job, about[job.subject_id])

    def _ended(self, attempts: Sequence[Attempt]) -> dict[str, Job]:
        return {job_id: job for job_id, job in self._jobs(each.job_id for each in attempts) if job.status.is_final}

    def _jobs(self, ids: Iterable[str | None]) -> Iterator[tuple[str, Job]]:
        known = tuple(sorted({each for each in ids if each}))
        found = self._history.jobs.list(JobFilter(ids=known), limit=len(known)) if known else []
        return ((job.id, job) for job in found)

    def _entry(self, attempt: Attempt, job: Job, about: About) -> JobLogEntry:
        if attempt.job_name not in (STUDY_GUIDE, TRANSCRIPT):
            return entry_of(attempt, about, follow_up=job.follow_up)
        files = GuideFiles.among(keys_of(attempt))
        return entry_of(
            attempt,
            about,
            follow_up=job.follow_up,
            transcript=self._transcript(job.subject_id),
            lengths=Lengths(self._length(files.notes), self._length(files.assessment)),
            exists=self._exists,
        )

    # --- what jobs are about -----------------------------------------------------------------------------------------

    def _about(self, subject_ids: Iterable[str]) -> dict[str, About]:
        ids = sorted(set(subject_ids))
        uploads = self._history.uploads.with_ids(ids)
        makers = {each.id: found[1] for each in uploads.values() if (found := _MADE_BY.match(each.origin or ""))}
        subjects = {job_id: job.subject_id for job_id, job in self._jobs(makers.values())}
        titles = self._history.naming.of_subjects(each for each in ids if each not in uploads)
        about: dict[str, About] = {}
        for each in ids:
            upload = uploads.get(each)
            # An upload that was fetched was made by a job on the video that it is.
            video = self._video(each if upload is None else subjects.get(makers.get(each, "")))
            about[each] = _of_video(video) if video else _of_other(each, upload, titles)
        return about

    def _video(self, video_id: str | None) -> Video | None:
        if video_id is None:
            return None
        try:
            return self._history.videos.get(video_id)
        except NotFoundError:
            return None

    # --- what lies in the storage ------------------------------------------------------------------------------------

    def _transcript(self, upload_id: str) -> Transcript | None:
        current = self._history.current.of(TRANSCRIPT, upload_id)
        keys = [output["key"] for output in outputs_of(current.result)] if current else []
        key = next((each for each in keys if each.endswith(".json")), None)
        content = self._read(key, _LARGEST_TRANSCRIPT)
        try:
            return None if content is None else Transcript.model_validate_json(content)
        except ValidationError as error:
            _log.warning("%s is no transcript, so the job log is without it: %s", key, error)
            return None

    def _length(self, key: str | None) -> int | None:
        content = self._read(key, _LARGEST_TEXT)
        return None if content is None else len(content.decode("utf-8", "replace"))

    def _read(self, key: str | None, limit: int) -> bytes | None:
        try:
            return self._open_storage().read(key, limit=limit) if key else None
        except StorageMissingError:
            return None
        except MediaJobsError as error:
            _log.warning("The job log is without what is in %s: %s: %s", key, error.code, error.message)
            return None

    def _exists(self, key: str) -> bool | None:
        try:
            return self._open_storage().find(key) is not None
        except MediaJobsError as error:
            _log.warning("Whether there is %s is not known to the job log: %s: %s", key, error.code, error.message)
            return None


def _of_video(video: Video) -> About:
    return About(video.external_id, video.title, redact(video.address))


def _of_other(subject_id: str, upload: Upload | None, titles: dict[str, str]) -> About:
    return About(subject_id, upload.title if upload else titles.get(subject_id, subject_id))
