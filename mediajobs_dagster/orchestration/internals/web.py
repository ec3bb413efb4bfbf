"""The web server; dear to import."""

# It is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from dagster_webserver.cli import host_dagster_ui_with_workspace_process_context

__all__ = [
    "host_dagster_ui_with_workspace_process_context",  # serves the Dagster UI until the process is told to end
]
