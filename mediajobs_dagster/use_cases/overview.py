"""How the whole installation stands at one moment: what waits, runs, is held back and has failed, and the disks."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mediajobs_dagster.history import AttemptFilter, History, JobFilter
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus, JsonObject
from mediajobs_dagster.resilience.held import Held
from mediajobs_dagster.resilience.hosts import Quarantine
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.use_cases.references import NamedJob

_RUNNING = 500
_FAILURES = 5


@dataclass(frozen=True)
class Queue:
    """The jobs of one type that wait, run, or are dead."""

    job_type: str
    makes: str
    """What it makes, in short."""
    lane: str | None
    """None: the type is not installed here."""
    queued: int
    paused: int
    """Those that failed and wait for their next try."""
    processing: int
    dead: int
    oldest_at: datetime | None
    """When the one that waits longest was asked for."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "jobType": self.job_type,
            "makes": self.makes,
            "lane": self.lane,
            "queued": self.queued,
            "paused": self.paused,
            "processing": self.processing,
            "dead": self.dead,
            "oldestAt": self.oldest_at.isoformat() if self.oldest_at else None,
        }


@dataclass(frozen=True)
class Running:
    """A job that is being worked on."""

    named: NamedJob
    attempt: Attempt

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {**self.named.to_json(), "host": self.attempt.host, "startedAt": self.attempt.started_at.isoformat()}


@dataclass(frozen=True)
class Failure:
    """An attempt that failed."""

    attempt: Attempt
    name: str | None
    """What people call the subject; None: it has no name, or the job is gone."""
    job_status: JobStatus | None
    """How the job stands now, which may be done since; None: it is gone."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {**self.attempt.to_json(), "subjectName": self.name, "jobStatus": self.job_status}


@dataclass(frozen=True)
class Disk:
    """The room where something is kept."""

    what: str
    path: str
    device: int
    """Two places with the same one are on one disk."""
    free_bytes: int
    total_bytes: int

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"what": self.what, "path": self.path, "freeBytes": self.free_bytes, "totalBytes": self.total_bytes}


@dataclass(frozen=True)
class Overview:
    """How the installation stands."""

    at: datetime
    """By the database's clock."""
    queues: tuple[Queue, ...]
    held: tuple[Held, ...]
    quarantined: tuple[Quarantine, ...]
    """The machines that claim no jobs, or one at a time."""
    running: tuple[Running, ...]
    """The newest five hundred at most, oldest first."""
    failures: tuple[Failure, ...]
    """The latest attempts that failed or were lost, newest first."""
    disks: tuple[Disk, ...]

    @property
    def workers(self) -> dict[str, int]:
        """How many jobs each machine works on, by its name."""
        return dict(Counter(each.attempt.host or "unknown" for each in self.running))

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "at": self.at.isoformat(),
            "queues": [each.to_json() for each in self.queues],
            "held": [each.to_json() for each in self.held],
            "quarantined": [each.to_json() for each in self.quarantined],
            "running": [each.to_json() for each in self.running],
            "workers": self.workers,
            "failures": [each.to_json() for each in self.failures],
            "disks": [each.to_json() for each in self.disks],
        }


def overview_of(
    history: History,
    registry: Registry,
    settings: Settings,
    held: tuple[Held, ...],
    quarantined: tuple[Quarantine, ...],
) -> Overview:
    """Read it: a few small queries, however long the history is."""
    failed = history.attempts.list(AttemptFilter(statuses=(AttemptStatus.FAILURE, AttemptStatus.LOST)), limit=_FAILURES)
    of_jobs = JobFilter(ids=tuple({each.job_id for each in failed if each.job_id}))
    jobs = {job.id: job for job in history.jobs.list(of_jobs, limit=_FAILURES)}
    names = history.naming.of_subjects(job.subject_id for job in jobs.values())
    return Overview(
        at=history.now(),
        queues=queues_of(history, registry),
        held=held,
        quarantined=quarantined,
        running=_running(history),
        failures=tuple(_failure(each, jobs.get(each.job_id or ""), names) for each in failed),
        disks=_disks(settings),
    )


def _failure(attempt: Attempt, job: Job | None, names: Mapping[str, str]) -> Failure:
    return Failure(attempt, names.get(job.subject_id) if job else None, job.status if job else None)


def queues_of(history: History, registry: Registry) -> tuple[Queue, ...]:
    """The jobs of each type that has some that wait, run, or are dead. Counts, and a look into an index a type."""
    lanes = {job_type.name: job_type.lane.value for job_type in registry}
    return tuple(
        Queue(
            name,
            registry.noun(name),
            lanes.get(name),
            queued=counts[JobStatus.QUEUED],
            paused=counts[JobStatus.FAILED],
            processing=counts[JobStatus.PROCESSING],
            dead=counts[JobStatus.DEAD],
            oldest_at=history.jobs.oldest_waiting(name),
        )
        for name, counts in sorted(history.jobs.counts().items())
        if any(counts[status] for status in (*JobStatus.waiting(), JobStatus.PROCESSING, JobStatus.DEAD))
    )


def _running(history: History) -> tuple[Running, ...]:
    attempts = history.attempts.list(AttemptFilter(statuses=(AttemptStatus.RUNNING,)), limit=_RUNNING)
    by_job = {each.job_id: each for each in attempts if each.job_id}
    under_way = history.jobs.list(JobFilter(ids=tuple(by_job), statuses=(JobStatus.PROCESSING,)), limit=_RUNNING)
    names = history.naming.of_subjects(job.subject_id for job in under_way)
    found = [Running(NamedJob(job, names.get(job.subject_id)), by_job[job.id]) for job in under_way]
    return tuple(sorted(found, key=lambda each: each.attempt.started_at))


def _disks(settings: Settings) -> tuple[Disk, ...]:
    places = {"data": settings.home, "scratch": settings.scratch}
    return tuple(_disk(what, path) for what, path in places.items())


def _disk(what: str, path: Path) -> Disk:
    place = next(each for each in (path, *path.absolute().parents) if each.exists())
    usage = shutil.disk_usage(place)
    return Disk(what, str(path), place.stat().st_dev, usage.free, usage.total)
