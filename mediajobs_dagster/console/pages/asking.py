"""What pages are asked with: forms, and filters in addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl, unquote

from fastapi import Depends, Request
from starlette.datastructures import QueryParams

from mediajobs_dagster.errors import RequestError, RequestTooLargeError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import JobStatus, utc_now
from mediajobs_dagster.system import MediaJobs

_LONGEST_FORM = 64 * 1024
RANGES = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
"""What the overview tells of, by what stands in the address."""
_SINGLE = ("type", "error", "trace", "text", "host", "since", "until")
"""What an address says once of the jobs that are meant."""
SINCE = {"1h": timedelta(hours=1), **RANGES}
"""How far back a list goes, by what stands in the address."""


def _media(request: Request) -> MediaJobs:
    media: MediaJobs = request.app.state.media
    return media


Media = Annotated[MediaJobs, Depends(_media)]
"""The use cases, as a parameter of a route. Routes that call one are plain functions: they run in threads."""


async def refuse_zero_characters(request: Request) -> None:
    """Raise RequestError for an address with a zero character, which PostgreSQL does not take."""
    if any("\0" in text for text in (request.url.path, unquote(request.url.path), unquote(request.url.query))):
        raise RequestError("The address has a zero character (%00), which no name here has.")


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            raise RequestTooLargeError(f"A form of more than {_LONGEST_FORM} bytes is not read.")
    found = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    if any("\0" in text for text in found.values()):
        raise RequestError("The form has a zero character, which cannot be kept.")
    return found


Form = Annotated[dict[str, str], Depends(_form)]
"""The fields of the form that was sent."""


def within(path: str | None, default: str) -> str:
    """Where to go after an action: a path of ours, never another site."""
    is_ours = path is not None and path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if path and is_ours else default


@dataclass(frozen=True)
class JobsQuery:
    """The filter of the list of jobs, as it stands in the address."""

    type: str = ""
    status: tuple[str, ...] = ()
    error: str = ""
    trace: str = ""
    text: str = ""
    host: str = ""
    since: str = ""
    until: str = ""
    """Only in what is done to all that match: it leaves out jobs that were asked for after they were counted."""
    faults: tuple[str, ...] = field(default=())
    """What in the address cannot be used, for people."""

    @classmethod
    def of(cls, query: QueryParams) -> JobsQuery:
        """What the address says; never raises."""
        known = {each.value for each in JobStatus}
        asked = [each for each in query.getlist("status") if each]
        faults = [f"There is no status {each[:50]!r}." for each in asked if each not in known]
        return cls(
            **{name: query.get(name, "").strip() for name in _SINGLE},
            status=tuple(dict.fromkeys(each for each in asked if each in known)),
            faults=tuple(faults),
        )

    @property
    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return not (self.type or self.status or self.error or self.trace or self.text or self.host or self.since)

    def chosen(self, media: MediaJobs) -> JobFilter:
        """The filter. Raises RequestError, NotFoundError and AmbiguousError for what names nothing."""
        if self.faults:
            raise RequestError(" ".join(self.faults))
        return media.choices.jobs(
            JobFilter(
                job_type=self.type or None,
                statuses=tuple(map(JobStatus, self.status)),
                error_code=self.error or None,
                trace_id=self.trace or None,
                text=self.text or None,
                host=self.host or None,
                since=self._since(),
                until=_moment(self.until, "end") if self.until else None,
            ),
        )

    def _since(self) -> datetime | None:
        if not self.since:
            return None
        if self.since in SINCE:
            return utc_now() - SINCE[self.since]
        return _moment(self.since, "start")


def _moment(text: str, what: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestError(
            f"{text[:50]!r} is no time to {what} at. Use {', '.join(SINCE)}, or a date like 2026-01-31."
        ) from None
