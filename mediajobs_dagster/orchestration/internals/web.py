"""The web server; slow to import."""

# It is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from dagster_webserver.app import create_app_from_workspace_process_context

__all__ = [
    "create_app_from_workspace_process_context",  # the Dagster UI as an ASGI app, which we put behind our gate
]
