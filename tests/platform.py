"""A whole mediajobs in a folder of its own: real ffmpeg, real storage, real history; only Dagster is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.attempts.manifest import Manifest, TimeLedger
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.recovery import RunState
from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.history import Dispatch, History, JobFilter
from mediajobs_dagster.intake.intake import Intake
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listener, Listeners
from mediajobs_dagster.models import Attempt, Job, Upload, new_id, new_trace_id
from mediajobs_dagster.records import Record
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.system import MediaJobs
from tests.servers.sqlite import put_history


def usual(registry: Registry) -> tuple[JobType, ...]:
    """The job types that an upload gets without their being asked for."""
    return tuple(each for each in registry.of_uploads() if type(each).wanted_for is not JobType.wanted_for)


class AllGone:
    """Knows that no run lives any more, however it is asked."""

    def of_dispatch(self, dispatch_id: str) -> RunState:
        return RunState.GONE

    def of_run(self, run_id: str) -> RunState:
        return RunState.GONE

    def is_over(self, dispatch_id: str) -> bool:
        return True


_PART_OF = {
    "check": "download_ms",
    "fetch": "download_ms",
    "probe": "probe_ms",
    "prepare": "prepare_ms",
    "plan": "plan_ms",
    "ffmpeg": "ffmpeg_ms",
    "verify": "verify_ms",
    "publish": "upload_ms",
}
"""The part of the ledger for each stage; stages of other names count as preparation."""


@dataclass
class Platform:
    """A mediajobs, with the few steps that tests take over and over."""

    media: MediaJobs

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self.media.settings

    @property
    def registry(self) -> Registry:
        """Its job types."""
        return self.media.registry

    @property
    def history(self) -> History:
        """Its history."""
        return self.media.history

    @property
    def storage(self) -> Storage:
        """Its objects."""
        return self.media.storage

    def add(self, path: Path | str, *job_types: str, **options: Any) -> Upload:
        """Register a file and enqueue its jobs (all that an upload gets by itself, if none is named)."""
        chosen = [self.registry[name] for name in job_types] or usual(self.registry)
        upload, _ = Intake(self.history, self.storage).add(
            str(path), chosen, max_attempts=options.pop("max_attempts", self.settings.max_attempts), **options
        )
        return upload

    def register(self, path: Path, *, created_at: datetime | None = None) -> Upload:
        """Make a file known without asking for anything; `created_at` is when it is said to have been."""
        upload = Intake(self.history, self.storage).register(str(path), trace_id=new_trace_id())
        if created_at is None:
            return upload
        moved = upload.model_copy(update={"id": new_id(), "origin": None, "created_at": created_at})
        return self.history.uploads.add(moved)

    def work(self, *listeners: Listener) -> list[AttemptEnded]:
        """One pass over the queue: every job that is due gets one attempt."""
        outcomes: list[AttemptEnded] = []

        def collect(record: Record) -> None:
            if isinstance(record, AttemptEnded):
                outcomes.append(record)

        told = Listeners([collect, *listeners])
        with self.media.worker() as worker:
            for dispatch in list(self._dispatches()):
                job_type = self.registry[dispatch.job_type]
                work_off(worker, job_type, dispatch.id, run_id="run", listeners=told)
        return outcomes

    def job(self, upload: Upload, job_type: str) -> Job:
        """The newest job of that type on that upload."""
        return self.history.jobs.list(JobFilter(subject_id=upload.id, job_type=job_type), limit=1)[0]

    def attempts(self, upload: Upload, job_type: str) -> list[Attempt]:
        """The attempts at that job, the first one first, with their manifests."""
        found = self.history.attempts.of_job(self.job(upload, job_type).id)
        return [self.history.attempts.get(attempt.id) for attempt in found]

    def manifest(self, upload: Upload, job_type: str) -> Manifest:
        """The manifest of the latest attempt, checked against everything that holds of every manifest."""
        attempt = self.attempts(upload, job_type)[-1]
        manifest = Manifest.model_validate(attempt.manifest)
        ledger = manifest.time_ledger
        assert ledger.queue_ms == attempt.queue_ms
        parts = ledger.model_dump(exclude={"queue_ms", "other_ms"})
        assert sum(parts.values()) + ledger.other_ms == manifest.duration_ms
        assert ledger.other_ms >= 0
        if not manifest.calls:  # whose time is taken out of the part in which they were made
            assert parts == _parts_of(manifest)
        return manifest

    def current_keys(self, upload: Upload, job_type: str) -> list[str]:
        """The keys of the current outputs of that type of the upload."""
        current = self.history.current.of(job_type, upload.id)
        return keys_of(current) if current else []

    def output(self, key: str) -> Path:
        """The published file of a local storage."""
        path = self.storage.local_path(key)
        assert path is not None
        return path

    def leftovers(self) -> list[Path]:
        """What lies in scratch although nothing is at work."""
        return [path for path in self.settings.scratch.rglob("*") if path.is_file()]

    def _dispatches(self) -> Iterator[Dispatch]:
        take = self.media.dispatcher.next
        for job_type in self.registry:
            while isinstance(dispatch := take(job_type.name, batch_size=job_type.batch_size), Dispatch):
                yield dispatch


@pytest.fixture
def open_platform(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    """Opens a platform in the test's folder; keyword arguments are settings, `registry` is one too."""
    with ExitStack() as stack:

        def open_one(*, registry: Registry | None = None, **overrides: Any) -> Platform:
            defaults: dict[str, Any] = {
                "home": tmp_path / "home",
                "retry_base_s": 0.0,
                "outage_limit_s": 0.0,
                "scratch_reserve_mb": 1,
                "private_addresses": "127.0.0.0/8",
            }
            settings = Settings.load(_env_file=None, **(defaults | overrides))
            if "database_url" not in overrides:
                put_history(settings.home / "mediajobs.db")
            return Platform(stack.enter_context(MediaJobs(settings, registry)))

        yield open_one


@pytest.fixture
def platform(open_platform: Callable[..., Platform]) -> Platform:
    """A platform on SQLite and a local folder."""
    return open_platform()


def _parts_of(manifest: Manifest) -> dict[str, int]:
    """What the parts of the ledger have to be, by the stages of an attempt that called no service."""
    parts = dict.fromkeys(TimeLedger.model_fields.keys() - {"queue_ms", "other_ms"}, 0)
    for stage in manifest.stages:
        parts[_PART_OF.get(stage.name, "prepare_ms")] += stage.duration_ms
    return parts
