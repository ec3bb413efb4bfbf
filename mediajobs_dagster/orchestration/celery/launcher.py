"""Sends runs to Celery workers of their lane that have what they need, and tells Dagster how the runs are."""

# Celery is not typed, dagster-celery in part:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from celery.states import PENDING, READY_STATES
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from typing_extensions import override

from mediajobs_dagster.orchestration import tags
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
    """dagster-celery's launcher, with one queue for each lane. MEDIAJOBS_CELERY_URL is the address of Redis.

    The original reports a task that Celery does not know as failed. This one reports only what Celery knows for
    certain; that shows a dead run sooner than the leases of its jobs do (`orchestration/recovery.py`). To terminate a
    run, it marks the run, and the worker polls for the mark. A signal sent through Redis could get lost, or hit the
    next run of the same process.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(**app_arguments(Settings.load()), inst_data=inst_data)

    routes_by_needs = True
    """A worker takes runs only from queues whose job types find what they need on it."""

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
            # By name: the original defines a new task for every run that it launches.
            self.celery.signature(EXECUTE_RUN, kwargs={"run_id": run.run_id}, immutable=True),
            EXECUTE_RUN,
        )

    @override
    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        # A worker tags a run as taken before it checks whether the run may start. So a run that has the mark and is
        # not tagged by now will not start.
        if run.status is dg.DagsterRunStatus.STARTING and self._task_state(run) == PENDING:
            self._instance.report_run_canceled(run, "Terminated before a worker took it.")
        return True

    @property
    @override
    def supports_resume_run(self) -> bool:
        return False  # the next run gets the jobs that this one leaves behind

    @override
    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Called by run monitoring for runs that have started and not ended, and by recovery for runs that start."""
        state = self._task_state(run)
        if state in READY_STATES:
            # Also after a success: a worker that cannot reach the database at the end of a run cannot say how it ended.
            return CheckRunHealthResult(WorkerStatus.FAILED, f"Its task is over ({state}), but the run has not ended.")
        if run.status is dg.DagsterRunStatus.STARTING and tags.taken_at(run) is None and not self._is_in_redis(run):
            # Its worker took the message, and died before it said so; or Redis was emptied.
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "It lies in no queue, and no worker has begun it.")
        # For a run that has begun, a task that Celery does not know is no fault: Redis may have been emptied.
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _is_in_redis(self, run: dg.DagsterRun) -> bool:
        """Whether its message lies in a queue, or with a worker that has not begun it; True: nobody can tell now."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        try:
            with self.celery.connection_for_read() as connection:
                channel = connection.default_channel
                waiting = channel.client.lrange(queue_name(run.tags), 0, -1)
                fetched = channel.client.hvals(channel.unacked_key)
        except (RedisError, OperationalError) as error:
            _log.warning("Redis cannot be asked about run %s: %s", run.run_id, error)
            return True
        # Without a task it was never sent: the daemon died just then.
        return task_id is not None and any(task_id.encode() in message for message in (*waiting, *fetched))

    @override
    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        return f"Celery task {run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)}: {self._task_state(run)}"

    def _task_state(self, run: dg.DagsterRun) -> str | None:
        """The state of a run's task in Celery; None when it was not sent yet, or Redis is out of reach."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        try:
            return self.celery.AsyncResult(task_id).state if task_id else None
        except RedisError as error:
            _log.warning("Redis cannot be asked about run %s: %s", run.run_id, error)
            return None
