"""`mediajobs code-server`, `daemon` and `web`: the parts of `mediajobs up`, one by one."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mediajobs_dagster.cli.session import Session

# Dagster takes a second to import: only a command that needs it waits for that.

Command = TypeVar("Command", bound=Callable[..., Any])

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def _workspace_options(command: Command) -> Command:
    code = click.option("--code", metavar="ADDRESS", help="The code server: HOST:PORT, or the path of its socket.")
    workspace = click.option(
        "--workspace",
        default="workspace.yaml",
        show_default=True,
        type=click.Path(path_type=Path),
        help="Where Dagster finds the code, if not at --code.",
    )
    return code(workspace(command))


def _supervised(command: Command) -> Command:
    return click.option("--supervised", is_flag=True, hidden=True)(command)


@click.command("code-server")
@click.option(
    "--listen", default="127.0.0.1:4000", show_default=True, metavar="ADDRESS", help="HOST:PORT, or a socket's path."
)
@_supervised
@click.pass_obj
def code_server(session: Session, listen: str, supervised: bool) -> None:
    """Serve the definitions to Dagster, and start runs at once: as forks of a process that has imported everything.

    It has no login: who can reach its address can run code. Keep it on loopback or on a network of its own.
    """
    _begin(supervised)
    from mediajobs_dagster.orchestration.serving.address import Address
    from mediajobs_dagster.orchestration.serving.code_server import CodeServer

    CodeServer(Address.parse(listen), session.settings.shutdown_grace_s, ends_on_reload=supervised).serve()


@click.command()
@_workspace_options
@_supervised
@click.pass_obj
def daemon(session: Session, code: str | None, workspace: Path, supervised: bool) -> None:
    """Run Dagster's daemon, which dispatches queued jobs at once rather than every five seconds."""
    _begin(supervised)
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.parts import Parts
    from mediajobs_dagster.orchestration.serving.daemon import serve_daemon

    with open_instance(session.settings) as instance:
        serve_daemon(Parts(session.registry, session.settings), instance, _workspace(code, workspace))


@click.command()
@_workspace_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@_supervised
@click.pass_obj
def web(session: Session, code: str | None, workspace: Path, host: str, port: int, supervised: bool) -> None:
    """Serve the Dagster UI. It has no login: keep it on loopback, or behind a proxy that has one."""
    _begin(supervised)
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.serving.web import serve_web

    with open_instance(session.settings) as instance:
        serve_web(instance, _workspace(code, workspace), host=host, port=port)


def _workspace(code: str | None, workspace: Path) -> Any:
    from mediajobs_dagster.orchestration.serving.address import Address, workspace_at, workspace_file

    return workspace_at(Address.parse(code)) if code else workspace_file(workspace)


def _begin(supervised: bool) -> None:
    # Dagster talks gRPC; its C++ part would print a line for every connection that ends. Read when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    ours = logging.getLogger(__name__.partition(".")[0])  # Dagster sees to its own
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    if supervised:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    # A supervisor that was killed cannot stop its parts. Without it nobody would: they stop by themselves.
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
