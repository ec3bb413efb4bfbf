"""What filters accept: checked before the answer is looked for, so that nothing found never means a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches

from mediajobs_dagster.errors import NotFoundError, RequestError, all_errors
from mediajobs_dagster.history import AttemptFilter, DeliveryFilter, History, JobFilter, UploadFilter
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.resilience.breaker import BREAKER_OPEN
from mediajobs_dagster.use_cases.references import References

PRIORITIES = (-1_000_000, 1_000_000)
"""The least priority and the highest: databases and Dagster take no number of any size."""
_NAMED = 5
"""How many of what there is are named."""


def check_span(since: datetime | None, until: datetime | None) -> None:
    """Raise RequestError if a time ends before it begins: nothing could match."""
    if since and until and since >= until:
        raise RequestError(
            f"{since:%Y-%m-%d %H:%M} (since) is not before {until:%Y-%m-%d %H:%M} (until). Swap the two."
        )


@dataclass(frozen=True)
class Choices:
    """Filters, with the ids of what they name. Methods raise RequestError, with what there is, and AmbiguousError."""

    history: History
    registry: Registry
    references: References

    def jobs(self, chosen: JobFilter) -> JobFilter:
        """`chosen` with the ids of what it names."""
        self._check_code(chosen.error_code)
        check_span(chosen.since, chosen.until)
        return replace(
            chosen,
            job_type=self._type(chosen.job_type),
            trace_id=self._trace(chosen.trace_id),
            subject_id=self._subject(chosen.subject_id),
        )

    def attempts(self, chosen: AttemptFilter) -> AttemptFilter:
        """`chosen` with the ids of what it names."""
        self._check_code(chosen.error_code)
        check_span(chosen.since, chosen.until)
        return replace(
            chosen,
            job_name=self._type(chosen.job_name),
            trace_id=self._trace(chosen.trace_id),
            job_id=None if chosen.job_id is None else self.references.job(chosen.job_id).id,
            run_id=self._run(chosen.run_id),
        )

    def uploads(self, chosen: UploadFilter) -> UploadFilter:
        """`chosen` with the ids of what it names."""
        return replace(chosen, trace_id=self._trace(chosen.trace_id))

    def deliveries(self, chosen: DeliveryFilter) -> DeliveryFilter:
        """`chosen` with the ids of what it names."""
        named = DeliveryFilter(trace_id=chosen.trace_id, job_id=chosen.job_id)
        if self.history.webhooks.list(named, limit=1):
            return chosen  # also of what was removed since
        return replace(
            chosen,
            trace_id=self._trace(chosen.trace_id),
            job_id=None if chosen.job_id is None else self.references.job(chosen.job_id).id,
        )

    def _type(self, name: str | None) -> str | None:
        # One that is not installed any more may still have jobs.
        if name is None or self._any_job(JobFilter(job_type=name)):
            return name
        return self.registry.name_of(name)

    def _trace(self, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            return self.references.trace(text)
        except NotFoundError:
            newest = _such_as(job.trace_id for job in self.history.jobs.list(JobFilter()))
            raise NotFoundError(f"There is no trace {text}{newest}") from None

    def _subject(self, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            return self.references.subject(text)
        except NotFoundError:
            newest = _such_as(job.subject_id for job in self.history.jobs.list(JobFilter()))
            raise NotFoundError(f"There is no upload and no timeline {text}{newest}") from None

    def _run(self, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            return self.references.run(text)
        except NotFoundError:
            newest = _such_as(each.run_id for each in self.history.attempts.list(AttemptFilter()))
            raise NotFoundError(f"There is no attempt of a run {text}{newest}") from None

    def _check_code(self, code: str | None) -> None:
        if code is None or code in (known := {BREAKER_OPEN, *(kind.code for kind in all_errors())}):
            return
        if self._any_job(JobFilter(error_code=code)) or self._any_attempt(AttemptFilter(error_code=code)):
            return  # of another package
        near = get_close_matches(code.upper(), known, n=3)
        told = f"Do you mean {' or '.join(near)}?" if near else "docs/reference/errors.md has all of them."
        raise RequestError(f"There is no error code {code}. {told}")

    def _any_job(self, chosen: JobFilter) -> bool:
        return bool(self.history.jobs.list(chosen, limit=1))

    def _any_attempt(self, chosen: AttemptFilter) -> bool:
        return bool(self.history.attempts.list(chosen, limit=1))


def _such_as(newest: Iterable[str | None]) -> str:
    """The end of the sentence that something is not there: the newest of what there is."""
    named = list(dict.fromkeys(filter(None, newest)))[:_NAMED]
    return f". The newest are: {', '.join(named)}." if named else "; there is none at all yet."
