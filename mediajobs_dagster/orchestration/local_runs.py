"""Runs queued jobs in this process, as real Dagster runs, until none is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType, Lane
from mediajobs_dagster.models import JsonObject, utc_now
from mediajobs_dagster.orchestration.dispatching import not_offered, run_request_of
from mediajobs_dagster.orchestration.internals.core import DagsterExecutionInterruptedError
from mediajobs_dagster.resilience.dispatch import Held
from mediajobs_dagster.system import MediaJobs

_ORDER = (Lane.LIGHT, Lane.HEAVY, Lane.NETWORK)
"""One run after the other: what waits for the network comes last, so that it keeps nothing else waiting."""


@dataclass
class WorkedOff:
    """What a pass over the queue did."""

    runs: int = 0
    failed_runs: int = 0
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    """Job types that an open breaker keeps back."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "runs": self.runs,
            "failedRuns": self.failed_runs,
            "held": {name: held.reason for name, held in self.held.items()},
        }


@dataclass(frozen=True)
class LocalRuns:
    """The dispatch of `mediajobs work`: the same decisions as the sensors make, carried out here and now."""

    media: MediaJobs
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def work_off(self, *, on_wait: Callable[[datetime], None] = lambda _: None) -> WorkedOff:
        """Run every job that waits or comes to wait, retries included; `on_wait` is told when the next one is due."""
        done = WorkedOff()
        types = sorted(self.media.registry, key=lambda each: (_ORDER.index(each.lane), each.name))
        while True:
            started = [self._run_next(job_type, done) for job_type in types if job_type.name not in done.held]
            if any(started):
                continue
            due = self._next_due([job_type for job_type in types if job_type.name not in done.held])
            if due is None:
                return done
            on_wait(due)
            time.sleep(max(0.05, min(1.0, (due - utc_now()).total_seconds())))

    def _run_next(self, job_type: JobType, done: WorkedOff) -> bool:
        if reason := not_offered(self.media.settings, job_type, self.instance):
            if self._next_due([job_type]):
                done.held[job_type.name] = Held(reason)
            return False
        batch = self.media.dispatcher.next(job_type.name, batch_size=job_type.batch_size)
        if isinstance(batch, Held):
            done.held[job_type.name] = batch
        if not isinstance(batch, Dispatch):
            return False
        done.runs += 1
        done.failed_runs += not self._execute(job_type, batch)
        return True

    def _execute(self, job_type: JobType, batch: Dispatch) -> bool:
        job, request = self.definitions.resolve_job_def(job_type.name), run_request_of(batch, job_type)
        try:
            # Told not to raise, Dagster would swallow a Ctrl-C together with the errors.
            job.execute_in_process(
                instance=self.instance,
                tags=request.tags,
                partition_key=request.partition_key,
                run_config=request.run_config,
                raise_on_error=True,
            )
        except dg.Failure:
            return False  # the run is red, and the history says why
        except DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        return True

    def _next_due(self, types: Sequence[JobType]) -> datetime | None:
        return self.media.history.jobs.next_due([job_type.name for job_type in types]) if types else None
