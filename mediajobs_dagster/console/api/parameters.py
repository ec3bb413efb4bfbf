"""What requests are made of: texts, moments, numbers, and the filters that several routes take."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.models import AttemptStatus, Callback, JobStatus, JsonObject, WebhookEvent
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.choices import PRIORITIES

_LONGEST = 500
_NO_NUL = r"^[^\x00]*$"
_MOST_MS = 10**12
_NUMBER = re.compile(r"\s*[-+]?[0-9_]*\.?[0-9_]*(e[-+]?[0-9]+)?\s*", re.IGNORECASE)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is no moment in UTC") from error


def _as_text(value: object) -> object:
    # Left to itself, pydantic takes a number for the seconds since 1970.
    if not isinstance(value, datetime) and (not isinstance(value, str) or _NUMBER.fullmatch(value)):
        raise ValueError("is no moment such as 2026-03-04T05:06:07Z")
    return value


def _storable(value: JsonObject) -> JsonObject:
    waiting: list[object] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += [*cast("dict[object, object]", node), *cast("dict[object, object]", node).values()]
        elif isinstance(node, list):
            waiting += cast("list[object]", node)
        elif isinstance(node, str) and not _is_storable(node):
            raise ValueError("has a text with a character that cannot be stored")
    return value


def _is_storable(text: str) -> bool:
    # Half of a surrogate pair has no UTF-8.
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


Text = Annotated[str, Field(max_length=_LONGEST, pattern=_NO_NUL)]
"""A text of at most 500 characters, none of them NUL: PostgreSQL does not take it."""
Moment = Annotated[
    datetime,
    BeforeValidator(_as_text),
    AfterValidator(_in_utc),
    Field(description="ISO 8601, such as 2026-03-04T05:06:07Z; UTC if no zone."),
]
Document = Annotated[JsonObject, AfterValidator(_storable)]
"""An object whose texts can be stored."""
Priority = Annotated[int, Field(ge=PRIORITIES[0], le=PRIORITIES[1])]
Flag = Annotated[bool, Field(strict=True)]
"""True or false in a body, and nothing like it; in a query it is a text."""
TraceId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="32 hexadecimal digits in small letters.")]
Reference = Annotated[
    str,
    Path(
        min_length=1,
        max_length=_LONGEST,
        pattern=_NO_NUL,
        description="An id, the beginning of one (at least four digits), or a name that means only one thing.",
        examples=["holiday.mp4"],
    ),
]


class Parameters(BaseModel):
    """The query parameters of a route, or the fields of a body. Unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class CallsBack(Parameters):
    """A request for jobs of which somebody wants to be told."""

    callback: Annotated[str, Field(max_length=2000, pattern=_NO_NUL)] | None = Field(
        default=None, description="An http(s) address that is told what becomes of it, by webhooks."
    )
    callback_events: list[WebhookEvent] = Field(
        default_factory=list[WebhookEvent],
        alias="callbackEvents",
        max_length=10,
        description="Tell it only these events; default: all.",
    )

    def called_back(self, media: MediaJobs) -> Callback | None:
        """The callback; None: no address was given. Raises RequestError for events without one, and as `check` does."""
        if self.callback is not None:
            return media.webhooks.check(Callback(url=self.callback, events=tuple(self.callback_events)))
        if self.callback_events:
            raise RequestError("`callbackEvents` needs `callback`, the address that is told.")
        return None


class Paged(Parameters):
    """A list that is read page by page."""

    limit: int = Field(default=50, ge=1, le=500, description="How many to list at most.")
    after: Text | None = Field(default=None, description="The last id of the page before; `next` of an answer has it.")


class JobConditions(Parameters):
    """Which jobs are meant. All conditions that are given have to hold."""

    type: Text | None = Field(default=None, description="The job type, by its name or by what it makes.")
    status: list[JobStatus] = Field(default_factory=list[JobStatus], max_length=10, description="One of these.")
    trace: Text | None = Field(default=None, description="The trace, by its id or the beginning of it.")
    upload: Text | None = Field(
        default=None, description="What it is about: an upload or a timeline, by its id or name."
    )
    error: Text | None = Field(default=None, description="The code of the error of its latest attempt.")
    since: Moment | None = Field(default=None, description="Asked for at this moment or later.")
    until: Moment | None = Field(default=None, description="Asked for before this moment.")
    host: Text | None = Field(default=None, description="The machine of one of its attempts.")
    longer_than_ms: int | None = Field(
        None, alias="longerThanMs", ge=0, le=_MOST_MS, description="One of its attempts took so long, or longer."
    )
    shorter_than_ms: int | None = Field(
        None, alias="shorterThanMs", ge=0, le=_MOST_MS, description="One of its attempts took less."
    )
    text: Text | None = Field(default=None, description="Part of the name of what it is about, in any letter case.")

    def chosen(self, media: MediaJobs) -> JobFilter:
        """The filter. Raises RequestError, NotFoundError and AmbiguousError for what is not known."""
        return media.choices.jobs(
            JobFilter(
                job_type=self.type,
                statuses=tuple(dict.fromkeys(self.status)),
                trace_id=self.trace,
                subject_id=self.upload,
                error_code=self.error,
                since=self.since,
                until=self.until,
                host=self.host,
                longer_than_ms=self.longer_than_ms,
                shorter_than_ms=self.shorter_than_ms,
                text=self.text or None,
            ),
        )


class AttemptConditions(Parameters):
    """Which attempts are meant. All conditions that are given have to hold."""

    type: Text | None = Field(default=None, description="The job type, by its name or by what it makes.")
    status: list[AttemptStatus] = Field(default_factory=list[AttemptStatus], max_length=10, description="One of these.")
    trace: Text | None = Field(default=None, description="The trace, by its id or the beginning of it.")
    job: Text | None = Field(default=None, description="The job, by its id.")
    run: Text | None = Field(default=None, description="The Dagster run, by its id.")
    error: Text | None = Field(default=None, description="The code of the error that ended it.")
    since: Moment | None = Field(default=None, description="Made at this moment or later.")
    until: Moment | None = Field(default=None, description="Made before this moment.")

    def chosen(self, media: MediaJobs) -> AttemptFilter:
        """The filter. Raises RequestError, NotFoundError and AmbiguousError for what is not known."""
        return media.choices.attempts(
            AttemptFilter(
                job_name=self.type,
                statuses=tuple(dict.fromkeys(self.status)),
                trace_id=self.trace,
                job_id=self.job,
                run_id=self.run,
                error_code=self.error,
                since=self.since,
                until=self.until,
            ),
        )


def given(asked: BaseModel) -> dict[str, Any]:
    """What was given of query parameters, by their names in an address."""
    return asked.model_dump(mode="json", by_alias=True, exclude_defaults=True)
