"""`mediajobs code-server`, `daemon` and `web`: the processes of `mediajobs up`, one by one."""

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

from mediajobs_dagster.access.needed import check_access
from mediajobs_dagster.cli.log_format import log_format
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.supervisor.exclusive import check_port, is_loopback
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import log_to_stderr
from mediajobs_dagster.telemetry.sending import sending_alerts

# Dagster takes a second to import, so only the commands that need it import it.

_log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., Any])


def _workspace_options(command: Command) -> Command:
    code = click.option(
        "--code", metavar="ADDRESS", help="Address of the code server: HOST:PORT, or the path of its socket."
    )
    workspace = click.option(
        "--workspace",
        type=click.Path(path_type=Path),
        help="Dagster workspace file, used without --code; default: workspace.yaml in the working folder, else the "
        "package's own.",
    )
    return code(workspace(command))


def _supervised(command: Command) -> Command:
    return click.option("--supervised", type=int, metavar="PID", hidden=True)(command)


def web_address(command: Command) -> Command:
    """Add the options that say where the console listens."""
    host = click.option("--host", default="127.0.0.1", show_default=True, help="Address of the console.")
    port = click.option(
        "--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port of the console."
    )
    unprotected = click.option(
        "--unprotected",
        is_flag=True,
        help="Ask for no login, as MEDIAJOBS_LOGIN=false does: whoever reaches the address can do everything.",
    )
    return host(port(unprotected(command)))


def check_login(media: MediaJobs, host: str, *, unprotected: bool) -> bool:
    """Whether the console asks for a login there. Raises NoUsersError if it does and nobody could log in."""
    return check_access(media.settings, lambda: media.users, loopback=is_loopback(host), unprotected=unprotected)


@click.command("code-server", short_help="Serve the definitions to Dagster, and start runs fast.")
@log_format
@click.option(
    "--listen",
    default="127.0.0.1:4000",
    show_default=True,
    metavar="ADDRESS",
    help="HOST:PORT, or the path of a socket.",
)
@click.option(
    "--image",
    envvar="DAGSTER_CURRENT_IMAGE",
    help="The container image of this server, for launchers that start runs in containers.",
)
@_supervised
@click.pass_obj
def code_server(media: MediaJobs, listen: str, image: str | None, supervised: int | None) -> None:
    """Serve the definitions to Dagster, and start runs fast, as forks of a process that has imported everything.

    It has no login: anyone who can reach its address can run code. Keep it on loopback or on a private network.
    """
    _begin(media, supervised)
    from mediajobs_dagster.orchestration.serving.address import Address
    from mediajobs_dagster.orchestration.serving.code_server import CodeServer

    address = Address.parse(listen)
    if address.port is not None:
        check_port(address.host, address.port, option="--listen")
    CodeServer(address, media.settings.shutdown_grace_s, image, ends_on_reload=supervised is not None).serve()


@click.command()
@_workspace_options
@log_format
@_supervised
@click.pass_obj
def daemon(media: MediaJobs, code: str | None, workspace: Path | None, supervised: int | None) -> None:
    """Run Dagster's daemon. It also dispatches queued jobs at once, instead of every five seconds."""
    _begin(media, supervised)
    _warn_of_settings(media)
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.run_starts import run_starts_of
    from mediajobs_dagster.orchestration.serving.daemon import serve_daemon
    from mediajobs_dagster.telemetry.traces.exporting import exporting_traces

    looks = [media.alert_watch.look_at_disks, media.alert_watch.look_at_quotas]
    with (
        open_instance(media.settings) as instance,
        sending_alerts(media.alerts, looks),
        exporting_traces(media.settings, lambda: media.history, run_starts_of(instance)),
        media.webhooks.delivering(),
    ):
        serve_daemon(media, instance, _workspace(code, workspace))


@click.command()
@_workspace_options
@web_address
@click.option("--probe-key", type=click.Path(path_type=Path), hidden=True)
@log_format
@_supervised
@click.pass_obj
def web(
    media: MediaJobs,
    code: str | None,
    workspace: Path | None,
    host: str,
    port: int,
    unprotected: bool,
    probe_key: Path | None,
    supervised: int | None,
) -> None:
    """Serve the console: its pages, the HTTP API at /api, and the Dagster UI at /dagster.

    On an address that other machines can reach, it asks for a login, and starts only if somebody could log in: add
    a user with `mediajobs user add`. MEDIAJOBS_LOGIN says otherwise.
    """
    login = check_login(media, host, unprotected=unprotected)
    key = probe_key.read_text() if probe_key else None
    names = Names.of(host, media.settings.web_names)
    check_port(host, port)
    _begin(media, supervised)
    from mediajobs_dagster.console.app import console_app
    from mediajobs_dagster.console.live import Live
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.outside import FromDagster
    from mediajobs_dagster.orchestration.serving.daemon_watch import DaemonWatch
    from mediajobs_dagster.orchestration.serving.web import serve_web

    with (
        open_instance(media.settings) as instance,
        sending_alerts(media.alerts, [DaemonWatch(media, instance).look]),
        media.webhooks.delivering(),
    ):

        def console(dagster: Any, is_stopping: Callable[[], bool]) -> Any:
            outside, live = FromDagster(media, instance), Live(media, is_stopping)
            return console_app(media, outside, dagster, live=live, login=login, probe_key=key)

        serve_web(
            *(instance, _workspace(code, workspace), console),
            host=host,
            port=port,
            names=names,
            record=lambda action: media.history.actions.record(action),
        )


def _workspace(code: str | None, workspace: Path | None) -> Any:
    from mediajobs_dagster.orchestration.serving.address import Address, workspace_at, workspace_file

    return workspace_at(Address.parse(code)) if code else workspace_file(workspace)


def _begin(media: MediaJobs, supervised: int | None) -> None:
    # Dagster uses gRPC, whose C++ part prints a line for every closed connection. It reads this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    log_to_stderr(media.settings)
    if supervised is not None:
        threading.Thread(target=_end_with, args=(supervised,), daemon=True).start()


def _warn_of_settings(media: MediaJobs) -> None:
    # Here and not in each part of `mediajobs up`: it is the daemon that asks for the jobs that cannot succeed.
    for error in media.registry.faulty_settings(media.settings).values():
        _log.warning("%s: %s", error.code, error.message)


def _end_with(parent: int) -> None:
    # A supervisor that was killed cannot stop its processes, so they stop by themselves.
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
