"""Everything one process needs to make attempts."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from mediajobs_dagster.attempts.fetch import SourceShelf
from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.host import host_facts
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import HostFacts, JobStatus
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage


@dataclass(frozen=True)
class Worker:
    """The parts, put together once a process. Not to be used on both sides of a fork."""

    settings: Settings
    registry: Registry
    history: History
    storage: Storage
    runner: Runner
    host: HostFacts
    scratch: Scratch
    shelf: SourceShelf
    retry: RetryPolicy
    chance: random.Random = field(default_factory=random.Random)
    after_interrupt: Callable[[], JobStatus] = lambda: JobStatus.QUEUED
    """What becomes of a job whose attempt is interrupted: by default it goes back to the queue."""

    @classmethod
    @contextmanager
    def open(cls, settings: Settings, registry: Registry) -> Generator[Worker]:
        """Put the parts together as the settings say; everything is given back at the end."""
        with ExitStack() as stack:
            scratch = stack.enter_context(
                closing(Scratch.open(settings.scratch, reserve_mb=settings.scratch_reserve_mb))
            )
            yield cls(
                settings=settings,
                registry=registry,
                history=stack.enter_context(History.open(settings.database_url, timeout_s=settings.database_timeout_s)),
                storage=open_storage(settings),
                runner=Runner.from_settings(settings),
                host=host_facts(settings.instance_type, imds_enabled=settings.imds_enabled),
                scratch=scratch,
                shelf=SourceShelf(scratch),
                retry=RetryPolicy.of(settings),
            )
