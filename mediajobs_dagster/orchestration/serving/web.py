"""The web server: Dagster's own UI."""

# The web server is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

import dagster as dg

from mediajobs_dagster.orchestration.internals.web import host_dagster_ui_with_workspace_process_context
from mediajobs_dagster.orchestration.internals.workspace import WorkspaceLoadTarget, WorkspaceProcessContext


def serve_web(instance: dg.DagsterInstance, workspace: WorkspaceLoadTarget, *, host: str, port: int) -> None:
    """Serve the Dagster UI on http://host:port until SIGINT or SIGTERM."""
    with WorkspaceProcessContext(instance, workspace) as context:
        host_dagster_ui_with_workspace_process_context(context, host, port, path_prefix="", log_level="warning")
