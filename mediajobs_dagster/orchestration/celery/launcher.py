"""Sends runs to the Celery workers of their lane that have what they need, and tells Dagster the truth about them."""

# Celery is not typed, dagster-celery in part:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from celery.states import PENDING, READY_STATES
from redis.exceptions import RedisError
from typing_extensions import override

from mediajobs_dagster.orchestration.celery.app import EXECUTE_RUN, app_arguments, queue_name, queue_named
from mediajobs_dagster.orchestration.internals.celery import (
    DAGSTER_CELERY_QUEUE_TAG,
    DAGSTER_CELERY_TASK_ID_TAG,
    CeleryRunLauncher,
)
from mediajobs_dagster.orchestration.internals.core import (
    CheckRunHealthResult,
    ConfigurableClassData,
    LaunchRunContext,
    WorkerStatus,
)
from mediajobs_dagster.settings import Settings

_log = logging.getLogger(__name__)


class LaneRunLauncher(CeleryRunLauncher):
    """dagster-celery's launcher, with a queue a lane. Its address of Redis is the setting MEDIAJOBS_CELERY_URL.

    The original takes a task that Celery knows nothing of for a fault. Here only what Celery knows for certain counts,
    and makes it quicker to see what the leases of the run's jobs tell otherwise (`orchestration/recovery.py`). A run
    that is to be terminated is marked so, and its worker, which looks at the mark, stops it: a signal sent through
    Redis could be lost, or meet the next run of the same process.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(**app_arguments(Settings.load()), inst_data=inst_data)

    routes_by_needs = True
    """A worker takes runs only from queues whose job types find on it what they need."""

    @classmethod
    @override
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    @override
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data)

    @override
    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        queue = queue_name(run.tags)
        self.celery.amqp.queues.add(queue_named(queue))
        self._launch_celery_task_run(
            run.with_tags({**run.tags, DAGSTER_CELERY_QUEUE_TAG: queue}),
            # By its name: the original makes a task of its own for every run that it launches.
            self.celery.signature(EXECUTE_RUN, kwargs={"run_id": run.run_id}, immutable=True),
            EXECUTE_RUN,
        )

    @override
    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        # A worker says that it took a run before it looks whether the run may start. So one that nobody has taken by
        # now, after the mark, will not be started.
        if run.status is dg.DagsterRunStatus.STARTING and self._task_state(run) == PENDING:
            self._instance.report_run_canceled(run, "Terminated before a worker took it.")
        return True

    @property
    @override
    def supports_resume_run(self) -> bool:
        return False  # the jobs that a run leaves behind are the next run's

    @override
    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Asked by run monitoring of runs that have started and not ended, and by recovery of those that start."""
        state = self._task_state(run)
        if state in READY_STATES:
            # Also after a success: a worker that cannot reach the database at the end of a run cannot say how it ended.
            return CheckRunHealthResult(WorkerStatus.FAILED, f"Its task is over ({state}), and it has not ended.")
        # A task that Celery knows nothing of is no fault: Redis may have been emptied while the run goes on.
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    @override
    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        return f"Celery task {run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)}: {self._task_state(run)}"

    def _task_state(self, run: dg.DagsterRun) -> str | None:
        """What Celery knows of a run's task; None when it was not sent yet, or Redis is out of reach."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        try:
            return self.celery.AsyncResult(task_id).state if task_id else None
        except RedisError as error:
            _log.warning("Redis cannot be asked about run %s: %s", run.run_id, error)
            return None
