"""From what a person types to the one thing that is meant: an id, the beginning of one, a run, a file name, a title.

Where it can mean several things, the answer is an error that lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mediajobs_dagster.errors import AmbiguousError, NotFoundError, RequestError
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.models import Attempt, Event, Job, JobStatus, JsonObject, Upload, Video

_SHOWN = 10
"""How many candidates are listed."""
_LOOKED_AT = 200
"""How many jobs of one name are looked at for those that are not done."""
_DONE = (JobStatus.COMPLETED, JobStatus.SKIPPED)

Found = TypeVar("Found")


@dataclass(frozen=True)
class NamedJob:
    """A job, and what people call its subject."""

    job: Job
    name: str | None
    """The file name of an upload, the title of a timeline, the moment of a tick; None: it has none, or was deleted."""

    @property
    def label(self) -> str:
        """The name, else the id of the subject."""
        return self.name or self.job.subject_id

    def to_json(self) -> JsonObject:
        """The camelCase JSON form: that of the job, with the name."""
        return {**self.job.to_json(), "subjectName": self.name}


@dataclass(frozen=True)
class References:
    """Finds what references mean. Each method raises NotFoundError, and AmbiguousError with the candidates."""

    history: History
    scheduled: Mapping[str, str] = field(default_factory=dict[str, str])
    """The job types that schedules ask for, by their names and by what they make."""

    def job(self, text: str) -> Job:
        """A job: by its id, or the id of an attempt, run, trace or subject, or the name of one, that has one job.

        The name of a job type that is scheduled means its latest job.
        """
        if text in self.scheduled:
            found = self.history.jobs.list(JobFilter(job_type=self.scheduled[text]), limit=1)
            if not found:
                raise NotFoundError(f"There is no job of {text} yet. `mediajobs run {text}` starts one.")
            return found[0]
        found = self._jobs(text)
        return _only("job", text, found, lambda job: self._line_of_job(job, self._names(found[:_SHOWN])))

    def jobs_to_explain(self, text: str) -> Sequence[Job]:
        """The jobs that a question why is about: the one that is meant, or of several those that are not done.

        Where all are done, all of them. AmbiguousError means that they are more than ten.
        """
        found = [] if text in self.scheduled else self._jobs(text)
        chosen = [job for job in found if job.status not in _DONE] or found
        return chosen if 0 < len(chosen) <= _SHOWN else (self.job(text),)

    def _jobs(self, text: str) -> list[Job]:
        """What `text` can mean: those that are not done first, the newest first of each."""
        return sorted(self.history.naming.jobs(text, limit=_LOOKED_AT), key=lambda job: job.status in _DONE)

    def attempt(self, text: str) -> Attempt:
        """An attempt, without its manifest: by its id or its run's, or the latest attempt at the job that is meant."""
        found = self.history.naming.attempts(text, limit=_SHOWN + 1)
        if found:
            return _only("attempt", text, found, _line_of_attempt)
        job = self.job(text)
        attempts = self.history.attempts.of_job(job.id)
        if not attempts:
            raise NotFoundError(f"Job {job.id} is {job.status} and has no attempt yet.")
        return attempts[-1]

    def upload(self, text: str) -> Upload:
        """An upload: by its id or file name."""
        return _only("upload", text, self.history.naming.uploads(text, limit=_SHOWN + 1), _line_of_upload)

    def event(self, text: str) -> Event:
        """A scheduled event: by its id, its id at its source, or its title."""
        return _only("event", text, self.history.naming.events(text, limit=_SHOWN + 1), _line_of_event)

    def video(self, text: str) -> Video:
        """A video that was found: by its id, its id or page at its site, or its title."""
        return _only("video", text, self.history.naming.videos(text, limit=_SHOWN + 1), _line_of_video)

    def subject(self, text: str) -> str:
        """The id of a subject: by its id, file name or title."""
        found = self.history.naming.subjects(text, limit=_SHOWN + 1)
        names = self.history.naming.of_subjects(found)
        return _only("subject", text, found, lambda each: f"{each}  {names.get(each, '')}".rstrip())

    def trace(self, text: str) -> str:
        """The id of a trace that has jobs, uploads or attempts."""
        return _only("trace", text, self.history.naming.traces(text, limit=_SHOWN + 1), str)

    def run(self, text: str) -> str:
        """The id of a Dagster run that made an attempt."""
        return _only("run", text, self.history.naming.runs(text, limit=_SHOWN + 1), str)

    def _names(self, jobs: Sequence[Job]) -> dict[str, str]:
        return self.history.naming.of_subjects(job.subject_id for job in jobs)

    @staticmethod
    def _line_of_job(job: Job, names: dict[str, str]) -> str:
        asked_for = f"{job.created_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{job.id}  {job.job_type}  {job.status}  {asked_for}  {names.get(job.subject_id, job.subject_id)}"


def _line_of_attempt(attempt: Attempt) -> str:
    return f"{attempt.id}  {attempt.job_name}  {attempt.status}  {attempt.started_at:%Y-%m-%d %H:%M:%S} UTC"


def _line_of_upload(upload: Upload) -> str:
    return f"{upload.id}  {upload.filename}  {upload.created_at:%Y-%m-%d %H:%M:%S} UTC"


def _line_of_video(video: Video) -> str:
    return f"{video.id}  {video.external_id}  {video.title}"


def _line_of_event(event: Event) -> str:
    return f"{event.id}  {event.starts_at:%Y-%m-%d %H:%M} UTC  {event.title}"


def _only(kind: str, text: str, found: Sequence[Found], line: Callable[[Found], str]) -> Found:
    if not text.strip():
        raise RequestError(f"Nothing is given. Say which {kind} is meant, by its id or its name.")
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"There is no {kind} {text!r}: no id begins like that, and nothing has that name.")
    listed = "".join(f"\n  {line(each)}" for each in found[:_SHOWN])
    number = f"more than {_SHOWN}" if len(found) > _SHOWN else str(len(found))
    raise AmbiguousError(f"{text!r} can mean {number} {kind}s. Give the id of one of them:{listed}")
