"""How Dagster's processes find a code server, and what they learn from it."""

# It is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from dagster._core.remote_representation.code_location import CodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.workspace.context import (
    BaseWorkspaceRequestContext,
    IWorkspaceProcessContext,
    WorkspaceProcessContext,
    WorkspaceRequestContext,
)
from dagster._core.workspace.load_target import GrpcServerTarget, WorkspaceFileTarget, WorkspaceLoadTarget
from dagster._grpc.client import DagsterGrpcClient

__all__ = [
    "BaseWorkspaceRequestContext",  # the workspace as it is at one moment
    "CodeLocation",  # our code as its server describes it; gives jobs and execution plans
    "DagsterGrpcClient",  # asks whether a code server answers
    "GrpcServerTarget",  # the workspace of a code server that runs already
    "IWorkspaceProcessContext",  # what the daemon is handed
    "RemoteRepository",  # our repository as its server describes it
    "WorkspaceFileTarget",  # the workspace of a file
    "WorkspaceLoadTarget",  # the type of both
    "WorkspaceProcessContext",  # the workspace of a process, which the web server needs
    "WorkspaceRequestContext",  # the same for one request, which may be read-only
]
