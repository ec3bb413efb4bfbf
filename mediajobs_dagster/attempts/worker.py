"""Everything one process needs to make attempts."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, TypeVar

from mediajobs_dagster.attempts.fetch import SourceShelf
from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.budget import Budget, granted_budget
from mediajobs_dagster.media.host import host_facts
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import HostFacts, JobStatus
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage
from mediajobs_dagster.storage.by_range import RangeServer

Part = TypeVar("Part")


@dataclass(frozen=True)
class Worker:
    """The parts, put together once a process. Threads may share it; not to be used on both sides of a fork."""

    settings: Settings
    registry: Registry
    history: History
    host: HostFacts
    budget: Budget
    retry: RetryPolicy
    chance: random.Random
    after_interrupt: Callable[[], JobStatus]
    """What becomes of a job whose attempt is interrupted."""
    _given_back: ExitStack
    _made: dict[str, Any] = field(default_factory=dict[str, Any])
    _making: RLock = field(default_factory=RLock)

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings,
        registry: Registry,
        *,
        history: History | None = None,
        after_interrupt: Callable[[], JobStatus] = lambda: JobStatus.QUEUED,
    ) -> Generator[Worker]:
        """Put the parts together as the settings say; everything is given back at the end, but for a given history."""
        with ExitStack() as stack:
            yield cls(
                settings=settings,
                registry=registry,
                history=history
                or stack.enter_context(History.open(settings.database_url, timeout_s=settings.database_timeout_s)),
                host=host_facts(settings.instance_type, imds_enabled=settings.imds_enabled, hostname=settings.hostname),
                budget=granted_budget(),
                retry=RetryPolicy.of(settings),
                chance=random.Random(),
                after_interrupt=after_interrupt,
                _given_back=stack,
            )

    def side_by_side(self, job_type: JobType) -> int:
        """How many attempts at jobs of that type this worker makes at the same time."""
        bearable = self.budget.side_by_side(job_type.threads)
        return min(bearable, self.settings.concurrency) if self.settings.concurrency else bearable

    def runner_for(self, job_type: JobType) -> Runner:
        """Runs ffmpeg for attempts at that type, the cores shared among those at work. Raises FfmpegMissingError."""
        return self._once(
            f"runner for {job_type.name}",
            lambda: Runner.from_settings(self.settings, concurrency=self.budget.side_by_side(job_type.threads)),
        )

    # What may be missing on a machine is looked for by the first attempt that needs it. So its absence is the failure
    # of an attempt: on record, tried again elsewhere, and seen by the breaker.

    @property
    def storage(self) -> Storage:
        """The objects. Raises SettingsError."""
        return self._once("storage", lambda: open_storage(self.settings))

    @property
    def scratch(self) -> Scratch:
        """The folder for working files. Raises SettingsError or DiskFullError."""

        def make() -> Scratch:
            settings = self.settings
            scratch = Scratch.open(
                settings.scratch, reserve_mb=settings.scratch_reserve_mb, idle_mb=settings.scratch_idle_mb
            )
            return self._given_back.enter_context(closing(scratch))

        return self._once("scratch", make)

    @property
    def shelf(self) -> SourceShelf:
        """The sources that the attempts of this worker share."""
        return self._once("shelf", lambda: SourceShelf(self.scratch))

    @property
    def ranges(self) -> RangeServer:
        """Where ffmpeg reads parts of objects."""
        return self._once("ranges", lambda: self._given_back.enter_context(closing(RangeServer())))

    def _once(self, name: str, make: Callable[[], Part]) -> Part:
        """What `make` makes, made by whichever thread comes first; after a failure the next one tries again."""
        with self._making:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]
