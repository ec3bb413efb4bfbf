"""Dagster's daemon, with a coordinator that also dispatches our queue, so that a submitted job starts at once.

Sensors are evaluated every five seconds at the most. The loop that takes runs out of Dagster's queue polls ours first,
ten times a second (one look-up in an index). The dispatch sensors stay, for Dagster's own daemon and as a safety net.
"""

# Dagster's daemon has no public interface in Python, and is typed in part:
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg
from typing_extensions import override

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.dispatching import run_request_of, take_next
from mediajobs_dagster.orchestration.internals.daemon import (
    DaemonErrorCapture,
    DaemonIterator,
    DagsterDaemon,
    QueuedRunCoordinatorDaemon,
    create_daemons_from_instance,
    daemon_controller_from_instance,
)
from mediajobs_dagster.orchestration.internals.workspace import IWorkspaceProcessContext, WorkspaceLoadTarget
from mediajobs_dagster.orchestration.serving.run_starter import RunStarter
from mediajobs_dagster.orchestration.turns import RunTurns
from mediajobs_dagster.printable import counted
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import take_over

_POLL_S = 0.1
"""How often our queue is polled, seconds; a submitted job waits no longer than this to be seen."""
_BLOCKED_S = 1.0
"""How long a job type that cannot start runs now (breaker, full queue) is not polled, seconds."""
_QUICK_S = 0.25
"""How often Dagster's queue is polled while runs wait in it for a slot, seconds."""

_QUEUED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])

_log = logging.getLogger(__name__)


def serve_daemon(media: MediaJobs, instance: dg.DagsterInstance, workspace: WorkspaceLoadTarget) -> None:
    """Run Dagster's daemons until SIGINT or SIGTERM. Raises ExtraMissingError when the run launcher needs an extra."""
    _ = instance.run_launcher  # Dagster makes it when it starts the first run; what is missing is better told now

    def daemons(instance: dg.DagsterInstance) -> Iterable[DagsterDaemon[Any]]:
        for daemon in create_daemons_from_instance(instance):
            is_coordinator = isinstance(daemon, QueuedRunCoordinatorDaemon)
            yield DispatchingCoordinator(media, daemon.interval_seconds) if is_coordinator else daemon

    with daemon_controller_from_instance(instance, workspace, gen_daemons=daemons, log_level="warning") as controller:
        take_over()  # Dagster has just set up its own loggers
        _log.info("The daemon has started.")
        with suppress(KeyboardInterrupt):
            controller.check_daemon_loop()


class DispatchingCoordinator(QueuedRunCoordinatorDaemon):
    """Dagster's queued run coordinator. It submits runs for our queue before it starts queued runs."""

    def __init__(self, media: MediaJobs, interval_seconds: float) -> None:
        super().__init__(interval_seconds)
        self._media = media
        self._blocked_until: dict[str, float] = {}
        self._turns = RunTurns()

    @override
    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: threading.Event
    ) -> DaemonIterator:
        """Dispatch our queue, start queued runs, wait; for ever."""
        while True:
            try:
                self._dispatch(workspace_process_context)
                yield from self.run_iteration(workspace_process_context)
                yield None
                self._wait(workspace_process_context.instance, shutdown_event)
            except Exception:  # noqa: BLE001  # the edge: no error may end the loop; Dagster's daemon page shows it
                yield DaemonErrorCapture.process_exception(sys.exc_info(), logger=_log, log_message="Not dispatched")
                shutdown_event.wait(_BLOCKED_S)

    @override
    def _get_in_progress_run_records(self, instance: dg.DagsterInstance) -> Sequence[dg.RunRecord]:
        """The runs that are under way."""
        found: Sequence[dg.RunRecord] = super()._get_in_progress_run_records(instance)
        self._turns.see(record.dagster_run for record in found)
        return found

    @override
    def _priority_sort(self, runs: Iterable[dg.DagsterRun]) -> list[dg.DagsterRun]:
        """Queued runs in the order in which they start: traces take turns within a priority."""
        return self._turns.order(list(runs))

    def _dispatch(self, context: IWorkspaceProcessContext[Any]) -> None:
        types = self._types_to_ask()
        if not self._any_due(types):
            return
        # First, because it raises while the code server restarts, and a batch that is taken has to become a run.
        starter = RunStarter.of(context)
        for job_type in types:
            while isinstance(found := take_next(self._media, context.instance, job_type), Dispatch):
                self._start(starter, job_type, found)
            if found.is_blocked:
                self._blocked_until[job_type.name] = time.monotonic() + _BLOCKED_S

    def _start(self, starter: RunStarter, job_type: JobType, batch: Dispatch) -> None:
        try:
            run_id = starter.start(run_request_of(batch, job_type, self._media), launched_by=tags.sensor_of(job_type))
        except BaseException:
            self._media.history.leases.release(batch.id)
            raise
        jobs = counted(len(batch.jobs), "job")
        _log.info("%s: run %s, %s, trace %s", job_type.name, run_id, jobs, batch.trace_id)

    def _wait(self, instance: dg.DagsterInstance, shutdown_event: threading.Event) -> None:
        # Runs that wait for a slot should start soon after it is free; with an empty queue there is no hurry.
        is_queued = instance.get_runs_count(_QUEUED) > 0
        give_up = time.monotonic() + (_QUICK_S if is_queued else self.interval_seconds)
        while not shutdown_event.wait(_POLL_S) and time.monotonic() < give_up:
            if self._any_due(self._types_to_ask()):
                return

    def _any_due(self, types: Sequence[JobType]) -> bool:
        due = self._media.history.jobs.next_due([job_type.name for job_type in types]) if types else None
        return due is not None and due.is_now

    def _types_to_ask(self) -> list[JobType]:
        now = time.monotonic()
        return [each for each in self._media.registry if self._blocked_until.get(each.name, 0.0) <= now]
