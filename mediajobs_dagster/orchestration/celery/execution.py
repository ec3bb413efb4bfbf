"""Carries out one run in a process of a worker, and ends it when somebody wants it ended."""

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
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.internals.core import (
    DagsterExecutionInterruptedError,
    InMemoryJob,
    capture_interrupts,
    execute_run_iterator,
)
from mediajobs_dagster.orchestration.termination import CALLED_OFF, was_terminated
from mediajobs_dagster.system import MediaJobs

_log = logging.getLogger(__name__)

_LOOK_S = 2.0
"""How often a run looks whether it is still wanted."""

_MAY_START = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)


class Stop:
    """A flag that a worker raises for all of its processes. It takes no lock, so none can be left locked by a kill."""

    def __init__(self) -> None:
        """Make it before the fork."""
        self._shared = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Raise it, for good."""
        self._shared[0] = 1

    def is_set(self) -> bool:
        """Whether it was raised."""
        return self._shared[0] == 1


@dataclass
class Executions:
    """Runs the jobs of a repository that was built before the fork; each process opens its own Dagster instance."""

    media: MediaJobs
    repository: dg.RepositoryDefinition
    stop: Stop = field(default_factory=Stop)
    _opened: tuple[int, dg.DagsterInstance] | None = None

    def execute(self, run_id: str) -> str:
        """Carry out a run that a launcher sent; what became of it, in a sentence.

        A run that has started already, ended or been called off is left alone, however often it is delivered.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return f"Run {run_id} was deleted before it started."
        if run.status is dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, "Terminated before it started.")
        elif run.status in _MAY_START:
            # Should this process die before the run has started, nothing else would tell that it had begun.
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
        # There are none, as a rule. Those of a run that ended before it came to them need not wait for their lease.
        ended = self._instance.get_run_by_id(run.run_id)
        if dispatch_id := run.tags.get(tags.DISPATCH):
            leases = self.media.history.leases
            called_off = ended is not None and ended.status in CALLED_OFF
            leases.cancel_assigned(dispatch_id) if called_off else leases.release(dispatch_id)

    def _execute(self, run: dg.DagsterRun) -> None:
        with _interruptible(), self._while_wanted(run.run_id):
            if self.stop.is_set():
                _interrupt()  # the signal came before there was anybody to take it
            try:
                job = InMemoryJob(self.repository.get_job(run.job_name))
                for _ in execute_run_iterator(job, run, self._instance):
                    pass
            except DagsterExecutionInterruptedError:
                self._close(run, "The worker stopped before the run came to its jobs.")
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
        """Interrupt the block as soon as the run is being terminated, or was given up for lost."""
        over, lock = threading.Event(), threading.Lock()

        def look() -> None:
            while not over.wait(_LOOK_S):
                try:
                    is_unwanted = self._is_unwanted(run_id)
                except Exception as error:  # noqa: BLE001  # whatever it is, the next look may succeed
                    _log.warning("The state of run %s could not be read: %s", run_id, error)
                    continue
                if is_unwanted:
                    with lock:  # the next run of this process must not be met
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
    """SIGINT and SIGTERM end the run in order; before and after, an idle process treats them as it did."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with capture_interrupts():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)  # Dagster leaves it as SIGINT is, which is to say: ignored
