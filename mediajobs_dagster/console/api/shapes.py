"""What the document of the API says of bodies and answers. Answers are the `to_json` of the use cases' values."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.models import Attempt, Job, JobProgress, JobStatus, JsonObject, Upload, Value, WebhookDelivery

Responses = dict[int | str, dict[str, Any]]


class Problem(Value):
    """What went wrong: problem details (RFC 9457)."""

    type: str = Field(description="Always about:blank: the code tells what it is.")
    title: str = Field(description="The name of the status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, to what, and what to do.")
    code: str = Field(description="A stable code, such as NOT_FOUND.")
    error_id: str = Field(description="Names this answer; the log of the server has it too.")
    faults: list[JsonObject] = Field(
        default=[], description="Each fault of a body, a parameter or a timeline, with its place."
    )
    known: list[str] = Field(default=[], description="The parameters that are known here.")


class ShownJob(Job):
    """A job, with the name of what it is about."""

    subject_name: str | None = Field(description="A file name or a title; null: it has none, or was deleted.")


class AskedJob(Job):
    """A job that was asked for."""

    created: bool = Field(description="False: it was asked for before.")


class JobPage(Value):
    """A page of jobs."""

    jobs: list[ShownJob]
    next: str | None = Field(description="The path of the next page; null: this is the last one.")


class JobShown(Value):
    """A job, its attempts with their manifests, and its children."""

    job: ShownJob
    attempts: list[Attempt]
    children: list[ShownJob]


class JobsAsked(Value):
    """The jobs that were asked for."""

    trace_id: str
    jobs: list[AskedJob]


class TalkSkipped(Value):
    """A talk of which no study guide can be made."""

    location: str
    code: str
    reason: str


class StudiesAsked(JobsAsked):
    """The first job of each talk. What comes after it is in its `followUp`."""

    skipped: list[TalkSkipped]


class StudyGuide(Value):
    """The study guide of a talk, as far as it is."""

    title: str
    job_id: str = Field(description="The job that makes it; until there is one, the job that comes before.")
    job_type: str
    status: JobStatus
    error_code: str | None = Field(description="Why that job failed, if it did.")
    outputs: list[str] = Field(description="The keys of its files; empty until it is there.")


class StudyGuides(Value):
    """The study guides of a trace."""

    trace_id: str
    guides: list[StudyGuide]


class RunningAttempt(Attempt):
    """An attempt without a manifest yet."""

    progress: JobProgress | None


class AttemptPage(Value):
    """A page of attempts, without manifests."""

    attempts: list[Attempt]
    next: str | None


class UploadPage(Value):
    """A page of uploads."""

    uploads: list[Upload]
    next: str | None


class UploadShown(Value):
    """An upload, where it lies, its jobs and its outputs."""

    upload: Upload
    place: str
    jobs: list[Job]
    outputs: list[str]


class DeliveryPage(Value):
    """A page of deliveries of webhooks."""

    deliveries: list[WebhookDelivery]
    next: str | None


class HistoryShown(Value):
    """The latest attempts of a job type."""

    job_name: str
    history: list[Attempt]


class BulkShown(Value):
    """What was done to many jobs, or would be."""

    action: str
    dry_run: bool
    count: int = Field(description="To how many jobs.")
    by_type: dict[str, int]
    left: dict[str, int] = Field(description="How many matched and were left as they are, by the reason.")
    examples: list[str] = Field(description="The ids of the first twenty.")


AttemptShown = Manifest | RunningAttempt

_EXAMPLE = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "There is no job '01a2': no id begins like that, and nothing has that name.",
    "code": "NOT_FOUND",
    "errorId": "01a21ce8-11e3-71ee-86b4-b2cbab91dc44",
}
_MEANINGS = {
    404: "There is no such thing.",
    409: "It can mean several things, or its state does not allow that.",
    413: "It is too large.",
    415: "The body is of another type.",
    416: "The range lies beyond the end.",
    422: "The request is not valid; `faults` says where.",
    429: "A quota is used up.",
    500: "A fault of the server.",
    501: "An optional part is not installed.",
    502: "An outside service or the storage failed.",
    503: "The database or the storage does not answer; ask again later.",
    504: "An outside service took too long.",
    507: "A disk is full.",
}


def problems(*statuses: int) -> Responses:
    """The refusals of a route, for its document; every one may also answer 422, 500 and 503."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    **({"example": _EXAMPLE} if status == 404 else {}),
                }
            },
        }
        for status in sorted({*statuses, 422, 500, 503})
    }
