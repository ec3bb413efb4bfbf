"""The web server: Dagster's own UI, behind the gate."""

from __future__ import annotations

import dagster as dg
import uvicorn

from mediajobs_dagster.gate.gate import Gate
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.orchestration.internals.workspace import WorkspaceLoadTarget, WorkspaceProcessContext
from mediajobs_dagster.orchestration.serving.dagster_ui import dagster_ui


def serve_web(
    instance: dg.DagsterInstance, workspace: WorkspaceLoadTarget, *, host: str, port: int, names: Names
) -> None:
    """Serve the Dagster UI on http://host:port until SIGINT or SIGTERM, to those who ask for it by one of `names`."""
    with WorkspaceProcessContext(instance, workspace) as context:
        uvicorn.run(Gate(dagster_ui(context), names), host=host, port=port, log_level="warning")
