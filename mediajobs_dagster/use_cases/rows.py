"""Jobs as the rows of a list: each with its latest attempt, its input and its machine, in a few small queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.history import AttemptFilter, History, JobFilter
from mediajobs_dagster.history.jobs import ErrorGroup
from mediajobs_dagster.models import Attempt, HostFacts, Job, JsonObject, MediaInfo
from mediajobs_dagster.use_cases.references import NamedJob

_SPANS = 12
_TREND = timedelta(days=7)


@dataclass(frozen=True)
class JobRow:
    """A job, and what a list shows of it."""

    named: NamedJob
    latest: Attempt | None
    """The latest attempt, without its manifest; None: there is none yet."""
    input: MediaInfo | None
    """What the upload that it is about holds; None: it is about none, or that was not probed."""
    host: HostFacts | None
    """The machine of the latest attempt, as far as it is known."""

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.named.job

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            **self.named.to_json(),
            "latest": self.latest.to_json() if self.latest else None,
            "input": self.input.to_json() if self.input else None,
            "host": self.host.to_json() if self.host else None,
        }


@dataclass(frozen=True)
class Rows:
    """Reads jobs as rows."""

    history: History

    def of(self, named: Sequence[NamedJob]) -> list[JobRow]:
        """The rows of these jobs, some hundred at most."""
        latest = self.history.attempts.latest_of([each.job.id for each in named])
        uploads = self.history.uploads.with_ids(sorted({each.job.subject_id for each in named}))
        hosts = self._hosts(latest.values())
        return [
            JobRow(
                each,
                attempt := latest.get(each.job.id),
                upload.media_info if (upload := uploads.get(each.job.subject_id)) else None,
                hosts.get(attempt.host) if attempt and attempt.host else None,
            )
            for each in named
        ]

    def errors(self, filter: JobFilter) -> list[ErrorGroup]:
        """The jobs that match by their error, whatever error the filter asks for.

        Their spans are twelve, from the filter's beginning (or the last week's) to its end.
        """
        until = filter.until or self.history.now()
        since = filter.since or until - _TREND
        spans = [since + (until - since) * number / _SPANS for number in range(_SPANS + 1)]
        return self.history.jobs.errors(replace(filter, error_code=None), spans)

    def _hosts(self, attempts: Iterable[Attempt]) -> dict[str, HostFacts]:
        # A manifest has cores and memory. One of each machine is read, not one of each attempt: they are large.
        ended: dict[str, Attempt] = {}
        for each in attempts:
            if each.host and (each.status.is_final or each.host not in ended):
                ended[each.host] = each
        return {name: self._facts(name, each) for name, each in ended.items()}

    def _facts(self, name: str, attempt: Attempt) -> HostFacts:
        if attempt.status.is_final and attempt.job_id:
            of_job = AttemptFilter(job_id=attempt.job_id)
            for each in self.history.attempts.list(of_job, limit=1, with_manifest=True):
                facts = Manifest.model_validate(each.manifest).metrics.host if each.manifest else None
                if facts and facts.hostname == name:
                    return facts
        return HostFacts(hostname=name, instance_type=attempt.instance_type)
