"""The address of a code server, and the workspaces through which other processes find it."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.errors import SettingsError, StartError
from mediajobs_dagster.orchestration.defaults import LOCATION, WORKSPACE, folder_with
from mediajobs_dagster.orchestration.internals.core import DagsterUserCodeUnreachableError
from mediajobs_dagster.orchestration.internals.workspace import (
    DagsterGrpcClient,
    GrpcServerTarget,
    WorkspaceFileTarget,
    WorkspaceLoadTarget,
)
from mediajobs_dagster.settings import check_settings_file

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Address:
    """A host and a port, or a Unix socket."""

    host: str = "127.0.0.1"
    port: int | None = None
    socket: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `HOST:PORT`, or the path of a socket. Raises SettingsError."""
        if os.sep in text:
            return cls(socket=Path(text))
        host, _, port = text.rpartition(":")
        if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            raise SettingsError(f"{text!r} is not an address: give HOST:PORT, or the path of a socket.")
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        return str(self.socket) if self.socket else f"{self.host}:{self.port}"


def workspace_at(address: Address) -> WorkspaceLoadTarget:
    """The workspace of one code server; waits until it answers. Raises StartError."""
    socket = str(address.socket) if address.socket else None
    client = DagsterGrpcClient(host=address.host, port=address.port, socket=socket)
    give_up = time.monotonic() + _PATIENCE_S
    while not _answers(client):
        if time.monotonic() > give_up:
            raise StartError(f"No code server answers at {address}. Start one with `mediajobs code-server`.")
        time.sleep(0.1)
    host = "localhost" if address.socket else address.host
    return GrpcServerTarget(host=host, port=address.port, socket=socket, location_name=LOCATION)


def workspace_file(path: Path | None) -> WorkspaceLoadTarget:
    """The workspace that a file describes; None: the one in the working folder, else the package's own.

    Raises SettingsError when there is no such file, or when it cannot be read.
    """
    path = path or folder_with(WORKSPACE) / WORKSPACE
    if not path.exists():
        raise SettingsError(f"There is no {path}. Leave --workspace out to use the package's own workspace.yaml.")
    check_settings_file(path)
    return WorkspaceFileTarget(paths=[str(path)])


def _answers(client: DagsterGrpcClient) -> bool:
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True
