"""What must hold once all strikes are over: nothing is lost, doubled, wrongly blamed or left behind."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import psutil

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus, Upload, UploadRole
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.storage import Unfinished
from tests.drill.site import Site
from tests.drill.work import Work

_MANY = 100_000
_ENDING_S = 30.0


@dataclass
class Verdict:
    """Looks for faults at a site that has been stopped."""

    site: Site
    work: Work

    def faults(self) -> list[str]:
        """A sentence for each fault."""
        looks = (
            *(self._lost(), self._undecodable(), self._doubled(), self._wrongly_blamed(), self._not_quarantined()),
            *(self._left_behind(), self._runs()),
        )
        return [fault for look in looks for fault in look]

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs."""
        return self.work.platform.history.jobs.list(JobFilter(), limit=_MANY)

    @cached_property
    def attempts(self) -> dict[str, list[Attempt]]:
        """The attempts at each job, the first one first."""
        found: dict[str, list[Attempt]] = {job.id: [] for job in self.jobs}
        for attempt in self.work.platform.history.attempts.iterate(AttemptFilter()):
            if attempt.job_id:  # the record of a run that failed before it claimed a job has none
                found[attempt.job_id].insert(0, attempt)
        return found

    @cached_property
    def _is_hostile(self) -> set[str]:
        return {upload.id for upload in self.work.hostile}

    def _lost(self) -> Iterator[str]:
        for job in self.jobs:
            if not job.status.is_final:
                yield f"lost: {_named(job)} is {job.status} for ever"
            elif job.status is not JobStatus.COMPLETED and job.subject_id not in self._is_hostile:
                yield f"lost: {_named(job)} of a good file is {job.status} ({job.error_code})"
        uploads = self.work.platform.history.uploads
        for job in self.jobs:
            if job.status is JobStatus.COMPLETED:
                for key in self._keys_of_success(job):
                    if self.work.platform.storage.find(key) is None:
                        yield f"lost: {_named(job)} is completed, and {key} is not there"
        for upload in (*self.work.good, *self.work.hostile):
            if self.work.platform.storage.find(uploads.get(upload.id).storage_key) is None:
                yield f"lost: the source of upload {upload.id}"

    def _undecodable(self) -> Iterator[str]:
        """Every output is decoded from its first byte to its last."""
        tools, storage = find_tools(), self.work.platform.storage
        with TemporaryDirectory() as folder:
            for job in self.jobs:
                for key in self._keys_of_success(job):
                    if storage.find(key) is None:
                        continue
                    path = Path(folder) / Path(key).name
                    storage.get(key, path)
                    if path.suffix == ".json":
                        json.loads(path.read_text())
                        continue
                    command = [str(tools.ffmpeg), "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"]
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                    if done.returncode or done.stderr:
                        yield f"broken: {key} of {_named(job)}: {done.stderr[-200:]}"

    def _not_quarantined(self) -> Iterator[str]:
        for host in set(self.site.broken) - self.work.quarantined:
            yield f"wrongly blamed: {host}, whose ffmpeg is broken, was never quarantined"

    def _doubled(self) -> Iterator[str]:
        for job in self.jobs:
            attempts = self.attempts[job.id]
            successes = [each for each in attempts if each.status is AttemptStatus.SUCCESS]
            if len(successes) > 1:
                yield f"doubled: {_named(job)} succeeded {len(successes)} times"
            if (job.status is JobStatus.COMPLETED) != bool(successes or _skipped(attempts)):
                yield f"doubled: {_named(job)} is {job.status}, with {len(successes)} successes"
            if [each.attempt for each in attempts] != list(range(1, len(attempts) + 1)):
                yield f"doubled: {_named(job)} has the attempts {[each.attempt for each in attempts]}"
        asked = Counter((job.job_type, job.subject_id) for job in self.jobs if job.id not in self.work.exports)
        yield from (f"doubled: {count} jobs of {what}" for what, count in asked.items() if count > 1)
        made, wanted = len(self._exported()), len([job for job in self._export_jobs() if _is_completed(job)])
        if made != wanted:
            yield f"doubled: {wanted} exports were completed, and there are {made} uploads of them"

    def _wrongly_blamed(self) -> Iterator[str]:
        for job in self.jobs:
            for attempt in self.attempts[job.id]:
                is_hostile = job.subject_id in self._is_hostile
                if attempt.blame is Blame.INPUT and not is_hostile:
                    yield f"wrongly blamed: a good file, by {_named(job)}: {_told(attempt)}"
            if job.subject_id in self._is_hostile and job.status is JobStatus.DEAD:
                last = self.attempts[job.id][-1]
                if last.blame is not Blame.INPUT:
                    yield f"wrongly blamed: the {last.blame}, for a hostile file, by {_named(job)}: {_told(last)}"

    def _left_behind(self) -> Iterator[str]:
        # A program may end a moment before what it started does.
        _, alive = psutil.wait_procs(self.site.survivors(), timeout=_ENDING_S)
        yield from (f"left behind: process {each.pid}: {' '.join(each.cmdline())[:200]}" for each in alive)
        yield from (f"left behind: {path}" for path in self.work.platform.leftovers())
        for attempt in self.work.platform.history.attempts.iterate(AttemptFilter(statuses=(AttemptStatus.RUNNING,))):
            yield f"left behind: attempt {attempt.id} is running for ever"
        known = {key for job in self.jobs for key in self._keys_of_success(job)}
        known |= {upload.storage_key for upload in self._uploads()}
        while self.work.platform.media.sweep_storage():
            pass  # as the next daemon would, when it starts
        for found in self.work.platform.storage.walk():
            if isinstance(found, Unfinished):
                yield f"left behind: parts of the object {found.key}"
            elif found.key not in known:
                yield f"left behind: the object {found.key}, which no record names"
        yield from (f"left behind: {path}" for path in self.site.unrecorded())

    def _runs(self) -> Iterator[str]:
        """Every run is over, and none calls itself a success in which an attempt was lost."""
        lost = {
            attempt.run_id
            for attempts in self.attempts.values()
            for attempt in attempts
            if attempt.status is AttemptStatus.LOST
        }
        with open_instance(self.work.platform.settings) as instance:
            for run in instance.get_runs():
                if not run.is_finished:
                    yield f"left behind: run {run.run_id} is {run.status.value}"
                elif run.status is dg.DagsterRunStatus.SUCCESS and run.run_id in lost:
                    yield f"wrongly blamed: run {run.run_id} is a success, and an attempt in it was lost"

    def _keys_of_success(self, job: Job) -> list[str]:
        found = [each for each in self.attempts[job.id] if each.status is AttemptStatus.SUCCESS]
        return [output["key"] for each in found for output in (each.result or {}).get("outputs", ())]

    def _export_jobs(self) -> list[Job]:
        return [job for job in self.jobs if job.id in self.work.exports]

    def _exported(self) -> list[Upload]:
        return [upload for upload in self._uploads() if upload.role is UploadRole.EXPORT]

    def _uploads(self) -> list[Upload]:
        days = {job.subject_day for job in self.jobs}
        return [upload for day in days for upload in self.work.platform.history.uploads.of_day(day)]


def _named(job: Job) -> str:
    return f"{job.job_type} {job.id}"


def _told(attempt: Attempt) -> str:
    return f"{attempt.error_code}: {attempt.error}"


def _is_completed(job: Job) -> bool:
    return job.status is JobStatus.COMPLETED


def _skipped(attempts: list[Attempt]) -> list[Attempt]:
    return [each for each in attempts if each.status is AttemptStatus.SKIPPED]
