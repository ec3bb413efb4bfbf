"""Runs queued jobs in this process, as real Dagster runs, until none is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from mediajobs_dagster.history import Dispatch, Due
from mediajobs_dagster.job_types.base import JobType, Lane
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.defaults import LOCATION, REPOSITORY
from mediajobs_dagster.orchestration.dispatching import lacks_needs, run_request_of
from mediajobs_dagster.orchestration.internals.core import DagsterExecutionInterruptedError
from mediajobs_dagster.resilience.held import Held
from mediajobs_dagster.system import MediaJobs

_ORDER = (Lane.LIGHT, Lane.HEAVY, Lane.NETWORK)
"""Runs are made one after the other. Network jobs come last, so that nothing waits behind them."""


# As what Dagster's servers start: its pages of jobs list only what says which definitions it is of.
_LAUNCHED = {
    tags.REPOSITORY: f"{REPOSITORY}@{LOCATION}",
    tags.LAUNCHED_BY_USER: "mediajobs work",
}


@dataclass
class WorkedOff:
    """What `LocalRuns.work_off` did."""

    runs: int = 0
    failed_runs: int = 0
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    """Job types that are held back, by name: their breaker is open, or this machine lacks what they need."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "runs": self.runs,
            "failedRuns": self.failed_runs,
            "held": {name: held.reason for name, held in self.held.items()},
        }


@dataclass(frozen=True)
class LocalRuns:
    """The dispatch of `mediajobs work`: it decides as the sensors do, and runs the jobs in this process."""

    media: MediaJobs
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def work_off(
        self,
        *,
        on_wait: Callable[[datetime], None] = lambda _: None,
        only: JobType | None = None,
        is_enough: Callable[[], bool] = lambda: False,
    ) -> WorkedOff:
        """Run jobs, retries included, until none is queued; `on_wait` is called with the time the next one is due.

        With `only`, the jobs of that type. What is due later is not waited for if `is_enough` says so.
        """
        done = WorkedOff()
        chosen = [only] if only else self.media.registry
        types = sorted(chosen, key=lambda each: (_ORDER.index(each.lane), each.name))
        while True:
            started = [self._run_next(job_type, done) for job_type in types if job_type.name not in done.held]
            if any(started):
                continue
            due = self._next_due([job_type for job_type in types if job_type.name not in done.held])
            if due is None or is_enough():
                return done
            on_wait(due.at)
            time.sleep(max(0.05, min(1.0, due.in_s)))

    def _run_next(self, job_type: JobType, done: WorkedOff) -> bool:
        if lacks_needs(self.media.settings, job_type, self.instance):
            if held := self.media.held_by_needs(job_type):
                done.held[job_type.name] = held
            return False
        if self.media.quota.turn_away(job_type):
            if held := self.media.quota.held(job_type):
                done.held[job_type.name] = held
            return False
        host = self.media.settings.host
        batch = self.media.dispatcher.next(job_type.name, batch_size=job_type.batch_size, host=host)
        if isinstance(batch, Held):
            done.held[job_type.name] = batch
        if not isinstance(batch, Dispatch):
            return False
        done.runs += 1
        done.failed_runs += not self._execute(job_type, batch)
        return True

    def _execute(self, job_type: JobType, batch: Dispatch) -> bool:
        job, request = self.definitions.resolve_job_def(job_type.name), run_request_of(batch, job_type, self.media)
        try:
            # With `raise_on_error=False` Dagster would swallow a Ctrl-C too.
            job.execute_in_process(
                instance=self.instance,
                tags={**request.tags, **_LAUNCHED},  # its day is among them, whether Dagster has loaded it or not
                run_config=request.run_config,
                raise_on_error=True,
            )
        except dg.Failure:
            return False  # the run failed, and the history says why
        except DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        return True

    def _next_due(self, types: Sequence[JobType]) -> Due | None:
        return self.media.history.jobs.next_due([job_type.name for job_type in types]) if types else None
