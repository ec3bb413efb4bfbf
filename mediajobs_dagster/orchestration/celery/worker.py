"""One worker: a warm parent that forks a process for each run it may carry out at once."""

# Celery is not typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dagster as dg
from celery import signals

from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.orchestration.celery.app import EXECUTE_RUN, open_app, queues_for
from mediajobs_dagster.orchestration.celery.execution import Executions
from mediajobs_dagster.system import MediaJobs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterWorker:
    """What a worker works with. Nothing is opened before the fork: no database, no channel, no thread."""

    media: MediaJobs
    definitions: dg.Definitions
    queues: Sequence[Lane]
    concurrency: int
    """Runs at once."""

    def run(self) -> int:
        """Work until SIGTERM or Ctrl-C, then hand everything back in order; the exit code. Raises SettingsError.

        Runs under way are interrupted: their attempts are recorded as cancelled and their jobs wait in the queue again.
        What has not ended when the grace time is over is killed; then the leases bring its jobs back.
        """
        settings = self.media.settings
        queues = queues_for(self.media.registry, self.queues, settings.offers)
        app = open_app(settings, queues)
        repository = self.definitions.get_repository_def()
        repository.get_all_jobs()  # built here, for all processes
        executions = Executions(self.media, repository)

        app.task(executions.execute, name=EXECUTE_RUN, track_started=True)
        worker = app.Worker(
            hostname=f"mediajobs@{settings.hostname or socket.gethostname()}",
            queues=queues,
            concurrency=self.concurrency,
            pool="prefork",
            loglevel="INFO",
            # Workers have nothing to tell each other; that talk only costs Redis.
            without_gossip=True,
            without_mingle=True,
        )

        def stop(**_: Any) -> None:
            if executions.stop.is_set():
                return  # a second interrupt would disturb the order in which the first is obeyed
            executions.stop.set()
            pids = worker.pool.info["processes"] if worker.pool else []
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)  # idle ones ignore it
            grace = threading.Timer(settings.shutdown_grace_s, _kill, (pids,))
            grace.daemon = True
            grace.start()

        # By hand, because Celery's own way is to wait until the runs have ended, however long that takes.
        signals.worker_shutting_down.connect(stop, weak=False)
        # A group of its own for each process: the Ctrl-C of a terminal is for the worker, which passes it on.
        signals.worker_process_init.connect(_stand_alone, weak=False)
        worker.start()
        return worker.exitcode or 0


def _stand_alone(**_: Any) -> None:
    os.setpgrp()


def _kill(pids: Sequence[int]) -> None:
    _log.error("The grace time is over; what still runs is killed, and its jobs come back when their leases end.")
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(1)
