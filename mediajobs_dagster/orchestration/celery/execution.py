"""Executes one run in a process of a worker, and interrupts it when it is terminated."""

from __future__ import annotations

import logging
import mmap
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.failed_runs import record_failed_run
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.internals.core import (
    DagsterExecutionInterruptedError,
    InMemoryJob,
    capture_interrupts,
    execute_run_iterator,
)
from mediajobs_dagster.orchestration.termination import CANCELLED_STATUSES, was_terminated
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.system import MediaJobs

_log = logging.getLogger(__name__)

_POLL_S = 2.0
"""How often a run checks whether it was terminated, seconds."""

_MAY_START = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)


class Stop:
    """A flag that a worker sets for all its processes. It has no lock, so a killed process cannot leave it locked."""

    def __init__(self) -> None:
        """Make it before the fork."""
        self._shared = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Set it, for good."""
        self._shared[0] = 1

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._shared[0] == 1


@dataclass
class Executions:
    """Runs the jobs of a repository that was built before the fork; each process opens its own Dagster instance."""

    media: MediaJobs
    repository: dg.RepositoryDefinition
    stop: Stop = field(default_factory=Stop)
    _opened: tuple[int, dg.DagsterInstance] | None = None

    def is_quarantined(self) -> bool:
        """Whether this machine may claim no jobs now."""
        found = self.media.breakers.quarantine_of(self.media.settings.host)
        if found is None or found.state is BreakerState.HALF_OPEN:
            return False
        _log.warning("A run is left to other machines. %s", found.reason)
        return True

    def execute(self, run_id: str) -> str:
        """Execute a run that a launcher sent; returns its result as a sentence.

        A run that has already started, ended or been cancelled is left alone, however often it is delivered.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return f"Run {run_id} was deleted before it started."
        if run.status is dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, "Terminated before it started.")
        elif run.status in _MAY_START:
            # If this process dies before the run has started, only this tag says that a worker took it.
            self._instance.add_run_tags(run_id, {tags.TAKEN: f"{time.time():.3f}"})
            try:
                self._execute(run)
            finally:
                self._settle_jobs(run)
            return f"Run {run_id} is over."
        elif run.status is not dg.DagsterRunStatus.CANCELED:
            return f"Run {run_id} is {run.status.value} already."
        self._settle_jobs(run)
        return f"Run {run_id} was terminated before it started."

    def _settle_jobs(self, run: dg.DagsterRun) -> None:
        # Usually there are none. If the run ended before it claimed its jobs, they need not wait for their lease.
        ended = self._instance.get_run_by_id(run.run_id)
        dispatch_id = run.tags.get(tags.DISPATCH)
        if dispatch_id is None:
            return
        leases = self.media.history.leases
        if ended is not None and ended.status in CANCELLED_STATUSES:
            leases.cancel_assigned(dispatch_id)
            return
        # Before its jobs are free: the daemon would dispatch them at once, again and again.
        has_failed = ended is not None and ended.status is dg.DagsterRunStatus.FAILURE
        if has_failed and not self.stop.is_set() and leases.any_of([dispatch_id]):
            record_failed_run(self.media.history, run)
        leases.release(dispatch_id)

    def _execute(self, run: dg.DagsterRun) -> None:
        with _interruptible(), self._while_wanted(run.run_id):
            if self.stop.is_set():
                _interrupt()  # the signal came before its handler was set
            try:
                job = InMemoryJob(self.repository.get_job(run.job_name))
                for _ in execute_run_iterator(job, run, self._instance):
                    pass
            except DagsterExecutionInterruptedError:
                self._close(run, "The worker stopped before the run claimed its jobs.")
            except Exception as error:
                self._close(run, f"The worker could not go on: {type(error).__name__}: {error}")
                raise

    def _close(self, run: dg.DagsterRun, why: str) -> None:
        found = self._instance.get_run_by_id(run.run_id)
        if found is None or found.is_finished:
            return
        if was_terminated(self._instance, found):
            self._instance.report_run_canceled(found, why)
        else:
            self._instance.report_run_failed(found, why)

    @contextmanager
    def _while_wanted(self, run_id: str) -> Generator[None]:
        """Interrupt the block as soon as the run is being terminated, or was closed by recovery."""
        over, lock = threading.Event(), threading.Lock()

        def look() -> None:
            while not over.wait(_POLL_S):
                try:
                    is_unwanted = self._is_unwanted(run_id)
                except Exception as error:  # noqa: BLE001  # whatever it is, the next poll may succeed
                    _log.warning("The state of run %s could not be read: %s", run_id, error)
                    continue
                if is_unwanted:
                    with lock:  # the interrupt must not hit the next run of this process
                        if not over.is_set():
                            _interrupt()
                    return

        watch = threading.Thread(target=look, name="mediajobs-run-watch", daemon=True)
        watch.start()
        try:
            yield
        finally:
            with lock:
                over.set()
            watch.join()

    def _is_unwanted(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        return run is None or run.status is dg.DagsterRunStatus.FAILURE or was_terminated(self._instance, run)

    @property
    def _instance(self) -> dg.DagsterInstance:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), open_instance(self.media.settings))
        return self._opened[1]


def _interrupt() -> None:
    main = threading.main_thread().ident
    assert main is not None  # it runs
    signal.pthread_kill(main, signal.SIGINT)


@contextmanager
def _interruptible() -> Generator[None]:
    """Let SIGINT and SIGTERM interrupt the run; before and after it, an idle process handles them as it did."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with capture_interrupts():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)  # Dagster would leave it ignored, as SIGINT is
