"""The code server: serves our definitions to Dagster's other processes, and starts the runs."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any

from typing_extensions import override

from mediajobs_dagster.orchestration.defaults import LOCATION
from mediajobs_dagster.orchestration.internals.code_server import DagsterApiServer, DagsterGrpcServer, ReloadCodeReply
from mediajobs_dagster.orchestration.internals.core import FuturesAwareThreadPoolExecutor, LoadableTargetOrigin
from mediajobs_dagster.orchestration.serving.address import Address
from mediajobs_dagster.orchestration.serving.run_processes import make_runs_warm
from mediajobs_dagster.printable import counted

MODULE = "mediajobs_dagster.definitions"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CodeServer:
    """Serves the definitions on `address`."""

    address: Address
    grace_s: float
    """How long runs under way may take to end when the server stops, seconds."""
    image: str | None = None
    """The container image that the server runs in, for launchers that start runs in containers; None: no container."""
    ends_on_reload: bool = False
    """Whether Dagster's reload button ends the server, so that a supervisor restarts it with the new code."""

    def serve(self) -> None:
        """Serve until SIGINT or SIGTERM; then interrupt the runs under way, so that their jobs are queued again."""
        stop = threading.Event()

        def end(_number: int, _frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        pool = FuturesAwareThreadPoolExecutor(thread_name_prefix="grpc-server-rpc-handler")
        servicer = _Servicer(
            server_termination_event=stop,
            logger=_log,
            loadable_target_origin=LoadableTargetOrigin(
                executable_path=sys.executable, module_name=MODULE, working_directory=os.getcwd()
            ),
            location_name=LOCATION,
            container_image=self.image,
            server_threadpool_executor=pool,
        )
        servicer.on_reload = stop.set if self.ends_on_reload else None
        make_runs_warm(servicer)
        socket = str(self.address.socket) if self.address.socket else None
        server = DagsterGrpcServer(
            server_termination_event=stop,
            dagster_api_servicer=servicer,
            logger=_log,
            threadpool_executor=pool,
            host=self.address.host,
            port=self.address.port,
            socket=socket,
        )
        _log.info("The code server listens on %s.", self.address)
        server.serve()
        self._end_runs()

    def _end_runs(self) -> None:
        under_way = multiprocessing.active_children()
        if under_way:
            _log.info("Interrupting %s; what was being made goes back into the queue.", counted(len(under_way), "run"))
        for process in under_way:
            process.terminate()
        give_up = time.monotonic() + self.grace_s
        for process in under_way:
            process.join(max(0.0, give_up - time.monotonic()))
            process.kill()


class _Servicer(DagsterApiServer):
    """Dagster's code server, with a reload button that loads new code."""

    on_reload: Any = None

    @override
    def ReloadCode(self, _request: Any, _context: Any) -> ReloadCodeReply:
        """Called by the reload button of Dagster's UI."""
        if self.on_reload is None:
            return super().ReloadCode(_request, _context)
        _log.warning(
            "Reload: the code server restarts with the current code in a few seconds. Runs under way are interrupted; "
            "their jobs go back into the queue."
        )
        self.on_reload()
        return ReloadCodeReply()
