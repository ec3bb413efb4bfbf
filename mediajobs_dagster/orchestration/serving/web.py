"""The web server: the console with Dagster's own UI below it, behind the gate, at one address."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import dagster as dg
import uvicorn
from starlette.types import ASGIApp

from mediajobs_dagster.gate.gate import Gate
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.history import Action
from mediajobs_dagster.orchestration.internals.workspace import WorkspaceLoadTarget
from mediajobs_dagster.orchestration.serving.bounded_head import BoundedHead
from mediajobs_dagster.orchestration.serving.dagster_ui import dagster_ui
from mediajobs_dagster.orchestration.serving.visited import VisitedWorkspace
from mediajobs_dagster.telemetry.logs import is_json

_GRACE_S = 4
"""How long answers that are under way may take once the server is told to stop, seconds."""


def serve_web(
    instance: dg.DagsterInstance,
    workspace: WorkspaceLoadTarget,
    console: Callable[[ASGIApp, Callable[[], bool]], ASGIApp],
    *,
    host: str,
    port: int,
    names: Names,
    record: Callable[[Action], None],
) -> None:
    """Serve http://host:port until SIGINT or SIGTERM, to those who ask for it by one of `names`.

    `console` gets Dagster's app, whose paths begin with `/dagster`, and what says whether the server is stopping. It
    returns the app that serves everything, and puts the visitor into the scope of each request. `record` keeps what
    visitors do in Dagster.
    """
    with VisitedWorkspace(instance, workspace) as context:
        # With its own configuration of loggers, uvicorn would print text.
        configured: dict[str, Any] = {"log_config": None} if is_json() else {}
        app = Gate(console(dagster_ui(context, record), lambda: server.should_exit), names)
        config = uvicorn.Config(
            *(app, host, port),
            log_level="warning",
            http=BoundedHead,
            timeout_graceful_shutdown=_GRACE_S,
            proxy_headers=False,  # by itself it would believe what anybody on this machine says of others
            **configured,
        )
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run()
