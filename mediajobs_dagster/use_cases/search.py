"""From a few characters to what they may mean: jobs, attempts, uploads, traces and error codes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mediajobs_dagster.errors import all_errors
from mediajobs_dagster.history import History, JobFilter, UploadFilter
from mediajobs_dagster.models import Attempt, Job, JsonObject, Upload
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN

_MOST = 20
"""How many of each kind are found."""
_LONGEST = 500
"""Nothing that is searched for is longer than this, characters."""


class HitKind(StrEnum):
    """What was found."""

    ERROR = "error"
    TRACE = "trace"
    JOB = "job"
    ATTEMPT = "attempt"
    UPLOAD = "upload"


@dataclass(frozen=True)
class Hit:
    """One thing that a text may mean."""

    kind: HitKind
    id: str
    """The id, or the error code."""
    title: str
    about: str = ""
    """What else tells it apart."""
    is_exact: bool = False
    """Whether the text is all of its id, name or code."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "kind": self.kind,
            "id": self.id,
            "title": self.title,
            "about": self.about,
            "isExact": self.is_exact,
        }


def search(history: History, text: str) -> tuple[Hit, ...]:
    """What a text may mean: an error code, the beginning of an id, or a part of a name. Exact ones come first."""
    text = text.strip()[:_LONGEST].replace("\x00", "")
    if not text:
        return ()
    hits = [*_errors(history, text), *_traces(history, text), *_attempts(history, text)]
    uploads = {each.id: each for each in history.naming.uploads(text, limit=_MOST)}
    uploads |= {each.id: each for each in history.uploads.list(UploadFilter(name=text), limit=_MOST)}
    hits += [_of_upload(each, text) for each in uploads.values()]
    by_id = [each for each in history.naming.jobs(text, limit=_MOST) if each.id.startswith(text.lower())]
    of_timelines = [
        each for each in history.jobs.list(JobFilter(text=text), limit=_MOST) if each.subject_id not in uploads
    ]
    jobs = {each.id: each for each in (*by_id, *of_timelines)}
    names = history.naming.of_subjects(each.subject_id for each in jobs.values())
    hits += [_of_job(each, names.get(each.subject_id, each.subject_id), text) for each in jobs.values()]
    return tuple(sorted(hits, key=lambda hit: not hit.is_exact))


def _errors(history: History, text: str) -> list[Hit]:
    code = text.upper()
    known = {BREAKER_OPEN, *(kind.code for kind in all_errors())}
    if code not in known and not history.jobs.list(JobFilter(error_code=code), limit=1):
        return []
    return [Hit(HitKind.ERROR, code, code, "jobs with this error", is_exact=True)]


def _traces(history: History, text: str) -> list[Hit]:
    found = history.naming.traces(text, limit=_MOST)
    return [Hit(HitKind.TRACE, each, each, is_exact=each == text.lower()) for each in found]


def _attempts(history: History, text: str) -> list[Hit]:
    return [_of_attempt(each, text) for each in history.naming.attempts(text, limit=_MOST)]


def _of_attempt(each: Attempt, text: str) -> Hit:
    about = f"attempt {each.attempt}, {each.status}"
    return Hit(HitKind.ATTEMPT, each.id, each.job_name, about, text.lower() in (each.id, (each.run_id or "").lower()))


def _of_upload(each: Upload, text: str) -> Hit:
    return Hit(HitKind.UPLOAD, each.id, each.filename, each.role, text in (each.id, each.filename))


def _of_job(each: Job, name: str, text: str) -> Hit:
    return Hit(HitKind.JOB, each.id, name, f"{each.job_type}, {each.status}", text.lower() == each.id)
