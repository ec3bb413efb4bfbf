"""The web server: Dagster's own UI."""

# The web server is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster_webserver.cli import host_dagster_ui_with_workspace_process_context


def serve_web(instance: dg.DagsterInstance, workspace: WorkspaceLoadTarget, *, host: str, port: int) -> None:
    """Serve the Dagster UI on http://host:port until SIGINT or SIGTERM."""
    with WorkspaceProcessContext(instance, workspace) as context:
        host_dagster_ui_with_workspace_process_context(context, host, port, path_prefix="", log_level="warning")
