"""Everything of one trace: its uploads, and its jobs as a tree, with their attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from mediajobs_dagster.history import AttemptFilter, History, JobFilter, UploadFilter
from mediajobs_dagster.models import Attempt, JobStatus, JsonObject, Upload
from mediajobs_dagster.use_cases.references import NamedJob

_MOST_JOBS = 500
_MOST_ATTEMPTS = 2000
_MOST_UPLOADS = 100


@dataclass(frozen=True)
class TraceJob:
    """A job of a trace, its attempts, and the jobs that it asked for."""

    named: NamedJob
    attempts: tuple[Attempt, ...]
    """Oldest first, without manifests."""
    children: tuple[TraceJob, ...]
    """In the order in which they were asked for."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "job": self.named.to_json(),
            "attempts": [each.to_json() for each in self.attempts],
            "children": [each.to_json() for each in self.children],
        }


@dataclass(frozen=True)
class TraceTree:
    """A trace."""

    trace_id: str
    statuses: Mapping[JobStatus, int]
    """How many jobs have which status."""
    uploads: tuple[Upload, ...]
    """What was added in it, or made; the newest hundred at most."""
    jobs: tuple[TraceJob, ...]
    """Those that no other job of the trace asked for, in the order in which they were asked for."""
    more_jobs: int
    """How many jobs are left out: the newest five hundred are in the tree."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "traceId": self.trace_id,
            "statuses": {status.value: count for status, count in self.statuses.items() if count},
            "uploads": [each.to_json() for each in self.uploads],
            "jobs": [each.to_json() for each in self.jobs],
            "moreJobs": self.more_jobs,
        }


def trace_tree(history: History, trace_id: str) -> TraceTree:
    """Read a trace."""
    jobs = sorted(history.jobs.list(JobFilter(trace_id=trace_id), limit=_MOST_JOBS), key=lambda job: job.id)
    names = history.naming.of_subjects(job.subject_id for job in jobs)
    attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for each in reversed(history.attempts.list(AttemptFilter(trace_id=trace_id), limit=_MOST_ATTEMPTS)):
        attempts[each.job_id or ""].append(each)
    known = {job.id for job in jobs}
    below: defaultdict[str | None, list[TraceJob]] = defaultdict(list)
    for job in reversed(jobs):  # a job is asked for before its children are
        parent = job.parent_job_id if job.parent_job_id in known else None
        children = tuple(reversed(below.pop(job.id, [])))
        below[parent].append(TraceJob(NamedJob(job, names.get(job.subject_id)), tuple(attempts[job.id]), children))
    tally = history.jobs.tally(trace_id)
    uploads = history.uploads.list(UploadFilter(trace_id=trace_id), limit=_MOST_UPLOADS)
    more = max(0, sum(tally.values()) - len(jobs))
    return TraceTree(trace_id, tally, tuple(uploads), tuple(reversed(below[None])), more)
