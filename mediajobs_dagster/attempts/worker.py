"""Everything one process needs to make attempts."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from threading import Lock

from mediajobs_dagster.attempts.fetch import SourceShelf
from mediajobs_dagster.attempts.measures import KnownNames
from mediajobs_dagster.attempts.once import Once
from mediajobs_dagster.attempts.scratch import Scratch, ScratchSweeper
from mediajobs_dagster.attempts.spool import Spool
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.bench import Installation
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.budget import Budget, granted_budget
from mediajobs_dagster.media.host import host_facts
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import HostFacts, JobStatus
from mediajobs_dagster.resilience.retention import Sweeper
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import OnOperation, Storage
from mediajobs_dagster.storage.by_range import RangeServer


@dataclass(frozen=True)
class LazyParts:
    """The parts that a machine may lack. Each is made by the first attempt that needs it.

    So a missing part fails an attempt: the failure is recorded, tried again elsewhere, and counted by the breaker.
    """

    storage: Callable[[], Storage]
    scratch: Once[Scratch]
    shelf: Once[SourceShelf]
    ranges: Once[RangeServer]
    runners: dict[int, Runner] = field(default_factory=dict[int, Runner])
    """Runners by the number of commands that share the cores."""
    finding_runner: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, settings: Settings, storage: Callable[[], Storage], stack: ExitStack) -> LazyParts:
        """The parts for these settings; `stack` closes those that were made."""

        def open_scratch() -> Scratch:
            return stack.enter_context(
                closing(
                    Scratch.open(
                        settings.scratch, reserve_mb=settings.scratch_reserve_mb, idle_mb=settings.scratch_idle_mb
                    )
                )
            )

        scratch = Once(open_scratch)
        return cls(
            storage,
            scratch,
            shelf=Once(lambda: SourceShelf(scratch.get())),
            ranges=Once(lambda: stack.enter_context(closing(RangeServer()))),
        )


@dataclass(frozen=True)
class Worker:
    """Everything that attempts need. `MediaJobs.worker` opens one for each run.

    Threads may share it. It must not be used on both sides of a fork.
    """

    settings: Settings
    registry: Registry
    history: History
    host: HostFacts
    budget: Budget
    retry: RetryPolicy
    chance: random.Random
    after_interrupt: Callable[[], JobStatus]
    """Returns the status that a job gets when its attempt is interrupted."""
    _lazy: LazyParts
    measured: KnownNames
    """The names that metrics tell apart."""
    sweepers: tuple[Sweeper, ...] = ()
    """For the clean-up: what removes things outside of the history database."""

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings,
        registry: Registry,
        history: History,
        storage: Callable[[], Storage],
        *,
        after_interrupt: Callable[[], JobStatus] = lambda: JobStatus.QUEUED,
        sweepers: tuple[Sweeper, ...] = (),
    ) -> Generator[Worker]:
        """Open a worker. It closes what it makes itself; history and storage belong to the caller."""
        with ExitStack() as stack:
            yield cls(
                settings=settings,
                registry=registry,
                history=history,
                host=host_facts(settings.instance_type, imds_enabled=settings.imds_enabled, hostname=settings.hostname),
                budget=granted_budget(),
                retry=RetryPolicy.of(settings),
                chance=random.Random(),
                after_interrupt=after_interrupt,
                _lazy=LazyParts.of(settings, storage, stack),
                measured=KnownNames(registry, settings),
                sweepers=sweepers,
            )

    @property
    def spool(self) -> Spool:
        """Where ends of attempts are kept while the database cannot take them."""
        return Spool(self.settings.unrecorded)

    def side_by_side(self, job_type: JobType) -> int:
        """How many attempts at jobs of that type this worker makes at once."""
        bearable = self.budget.side_by_side(job_type.threads)
        return min(bearable, self.settings.concurrency) if self.settings.concurrency else bearable

    def runner_for(self, job_type: JobType) -> Runner:
        """The runner of ffmpeg for that type; attempts at once share the cores. Raises FfmpegMissingError."""
        concurrency = self.budget.side_by_side(job_type.threads)
        lazy = self._lazy
        with lazy.finding_runner:
            if concurrency not in lazy.runners:
                lazy.runners[concurrency] = Runner.from_settings(self.settings, concurrency=concurrency)
            return lazy.runners[concurrency]

    def installation(self, listener: OnOperation) -> Installation:
        """What the steps of system jobs work on; `listener` is told of what they do to the storage."""
        sweepers = (*self.sweepers, ScratchSweeper(self.settings.scratch))
        return Installation(self.settings, self.history, lambda: self.storage.observed(listener), sweepers)

    @property
    def storage(self) -> Storage:
        """The object storage. Raises SettingsError."""
        return self._lazy.storage()

    @property
    def scratch(self) -> Scratch:
        """The folder for working files. Raises SettingsError or DiskFullError."""
        return self._lazy.scratch.get()

    @property
    def shelf(self) -> SourceShelf:
        """The fetched sources that the attempts of this worker share."""
        return self._lazy.shelf.get()

    @property
    def ranges(self) -> RangeServer:
        """The local server from which ffmpeg reads parts of objects."""
        return self._lazy.ranges.get()
