"""Everything one process needs to make attempts."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property

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
    host: HostFacts
    retry: RetryPolicy
    chance: random.Random
    after_interrupt: Callable[[], JobStatus]
    """What becomes of a job whose attempt is interrupted."""
    _given_back: ExitStack

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings,
        registry: Registry,
        *,
        after_interrupt: Callable[[], JobStatus] = lambda: JobStatus.QUEUED,
    ) -> Generator[Worker]:
        """Put the parts together as the settings say; everything is given back at the end."""
        with ExitStack() as stack:
            yield cls(
                settings=settings,
                registry=registry,
                history=stack.enter_context(History.open(settings.database_url, timeout_s=settings.database_timeout_s)),
                host=host_facts(settings.instance_type, imds_enabled=settings.imds_enabled),
                retry=RetryPolicy.of(settings),
                chance=random.Random(),
                after_interrupt=after_interrupt,
                _given_back=stack,
            )

    # What may be missing on a machine is looked for by the first attempt that needs it. So its absence is the failure
    # of an attempt: on record, tried again elsewhere, and seen by the breaker.

    @cached_property
    def runner(self) -> Runner:
        """Runs ffmpeg. Raises FfmpegMissingError."""
        return Runner.from_settings(self.settings)

    @cached_property
    def storage(self) -> Storage:
        """The objects. Raises SettingsError."""
        return open_storage(self.settings)

    @cached_property
    def scratch(self) -> Scratch:
        """The folder for working files. Raises SettingsError or DiskFullError."""
        scratch = Scratch.open(self.settings.scratch, reserve_mb=self.settings.scratch_reserve_mb)
        return self._given_back.enter_context(closing(scratch))

    @cached_property
    def shelf(self) -> SourceShelf:
        """The sources that the attempts of this worker share."""
        return SourceShelf(self.scratch)
