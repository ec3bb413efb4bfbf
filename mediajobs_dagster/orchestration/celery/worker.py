"""One worker: a parent process with all imports done, which forks a process for each run it may execute at once."""

# Celery is not typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dagster as dg
from celery import signals
from celery.exceptions import Ignore

from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.registry import load_planners
from mediajobs_dagster.orchestration.celery.app import EXECUTE_RUN, open_app, queues_for
from mediajobs_dagster.orchestration.celery.execution import Executions
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import is_json, take_over

_log = logging.getLogger(__name__)

_LEFT_TO_OTHERS_S = 1.0
"""How long a process of a quarantined worker takes no other run after it has left one to others, seconds."""


@dataclass(frozen=True)
class ClusterWorker:
    """A Celery worker of the cluster. It opens nothing before the fork: no database, no channel, no thread."""

    media: MediaJobs
    definitions: dg.Definitions
    queues: Sequence[Lane]
    concurrency: int
    """Runs at once."""

    def run(self) -> int:
        """Work until SIGTERM or Ctrl-C; returns the exit code. Raises SettingsError.

        Then runs under way are interrupted: their attempts are recorded as cancelled, and their jobs go back into the
        queue. A run that has not ended within the grace time is killed; its jobs come back when their leases run out.
        """
        settings = self.media.settings
        queues = queues_for(self.media.registry, self.queues, settings.offers)
        app = open_app(settings, queues)
        repository = self.definitions.get_repository_def()
        repository.get_all_jobs()  # built here, for all processes
        load_planners()
        executions = Executions(self.media, repository)

        def execute(task: Any, run_id: str) -> str:
            if executions.is_quarantined():
                # Back into its queue, under the same id. First: a process that is killed while it waits holds no run.
                task.retry(countdown=0, throw=False, queue=_queue_of(task))
                time.sleep(_LEFT_TO_OTHERS_S)
                raise Ignore
            return executions.execute(run_id)

        # Without a limit: for `retry` itself, None means the task's own, which is three by default.
        app.task(execute, bind=True, name=EXECUTE_RUN, track_started=True, max_retries=None)
        if is_json():
            # Who takes this signal sets up the loggers instead of Celery. Ours are.
            signals.setup_logging.connect(_log_as_json, weak=False)
        worker = app.Worker(
            hostname=f"mediajobs@{settings.hostname or socket.gethostname()}",
            queues=queues,
            concurrency=self.concurrency,
            pool="prefork",
            loglevel="INFO",
            quiet=is_json(),  # no banner
            # Workers need not talk to each other; gossip and mingle would only load Redis.
            without_gossip=True,
            without_mingle=True,
        )

        def stop(**_: Any) -> None:
            if executions.stop.is_set():
                return  # a second interrupt would disturb the shutdown that the first one began
            executions.stop.set()
            pids = worker.pool.info["processes"] if worker.pool else []
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)  # idle ones ignore it
            grace = threading.Timer(settings.shutdown_grace_s, _kill, (pids,))
            grace.daemon = True
            grace.start()

        # Celery's own shutdown waits until the runs have ended, however long that takes. So we interrupt them.
        signals.worker_shutting_down.connect(stop, weak=False)
        # Each process has a group of its own: only the worker gets the Ctrl-C of a terminal, and passes it on.
        signals.worker_process_init.connect(_stand_alone, weak=False)
        worker.start()
        return worker.exitcode or 0


def _queue_of(task: Any) -> str:
    # Celery would send it to the exchange without declaring that, and Redis would drop it. The key is `<queue>.<task>`
    # the first time, and `<queue>.#` after that.
    routing_key: str = task.request.delivery_info["routing_key"]
    return routing_key.partition(".")[0]


def _log_as_json(**_: Any) -> None:
    logging.getLogger("celery").setLevel(logging.INFO)
    take_over()


def _stand_alone(**_: Any) -> None:
    os.setpgrp()


def _kill(pids: Sequence[int]) -> None:
    _log.error("The grace time is over: runs that still go on are killed. Their jobs come back when their leases end.")
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(1)
