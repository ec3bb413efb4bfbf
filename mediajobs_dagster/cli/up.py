"""`mediajobs up`: code server, daemon and console of one machine, in one command."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import Any

import click
from rich.text import Text

from mediajobs_dagster.access.secrets import new_secret
from mediajobs_dagster.cli.display import Terminal, json_text
from mediajobs_dagster.cli.log_entries import LogEntries, plain_text
from mediajobs_dagster.cli.log_format import log_format
from mediajobs_dagster.cli.results import Results, telling_results
from mediajobs_dagster.cli.running import file_mark, watching_database
from mediajobs_dagster.cli.serve import check_login, web_address
from mediajobs_dagster.errors import ExtraMissingError
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.orchestration.serving.paths import DAGSTER
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.supervisor.exclusive import check_port, sole_user_of
from mediajobs_dagster.supervisor.part import ProcessSpec
from mediajobs_dagster.supervisor.supervisor import Supervisor
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import is_json, json_line, log_to_stderr, read_line
from mediajobs_dagster.temporary import temporary_folder

_PACKAGE = Path(__file__).parents[1]

_PATIENCE_S = 120.0
_MARGIN_S = 5.0
"""How long a part may take to stop, beyond the grace time of the runs, seconds."""

_READINESS = """{
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }
  instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } }
}"""


@click.command(short_help="Start code server, daemon and web server.")
@web_address
@log_format
@click.option("--reload", is_flag=True, help="Restart the code server whenever a file of mediajobs changes.")
@click.pass_obj
def up(media: MediaJobs, host: str, port: int, unprotected: bool, reload: bool) -> None:
    """Start code server, daemon and console, and keep them running; Ctrl-C stops them.

    A process that dies is started again. Jobs that are running when it stops go back into the queue, and run after the
    next start.
    """
    settings = media.settings
    if settings.log_format == "json":
        log_to_stderr(settings)
    Names.of(host, settings.web_names)  # the web server would find a fault in them only when all else has started
    media.check()  # creates the database, which the processes must not do at the same time
    check_login(media, host, unprotected=unprotected)
    url = f"http://{host}:{port}"
    note = f"process {os.getpid()}, console at {url}"
    file = media.history.file
    with sole_user_of(settings.home, note, works_with=file_mark(file)), temporary_folder("up") as folder:
        check_port(host, port)
        key = new_secret()
        (folder / "probe-key").write_text(key)  # nobody else can look into the folder
        specs = _parts(folder, host, port, settings.shutdown_grace_s, unprotected=unprotected)
        probe = _Readiness(url, key, since=time.time())
        lines = JsonLines() if is_json() else Lines([spec.name for spec in specs])
        results = Results(media, lambda line: lines.say("up", line))
        entries = LogEntries(lines.say, results.begin_outage)
        supervisor = Supervisor(specs, entries.add, is_ready=probe.ask, patience_s=_PATIENCE_S)
        with (
            _stopped_by_signals(supervisor),
            _watching_code(supervisor, lines, enabled=reload),
            watching_database(file, lambda fault: lines.say("up", fault)),
            telling_results(results, entries),
        ):
            lines.say("up", f"starting; data is kept in {settings.home}")
            ready = f"ready: console at {url}, Dagster UI at {url}{DAGSTER} (Ctrl-C stops it)"
            supervisor.run(lambda: lines.say("up", ready))
        lines.say("up", "stopped")


def _parts(folder: Path, host: str, port: int, grace_s: float, *, unprotected: bool) -> list[ProcessSpec]:
    """In the order in which they are stopped."""
    socket = folder / "code.sock"
    mediajobs = (sys.executable, "-m", _PACKAGE.name)
    supervised = ("--supervised", str(os.getpid()))
    code = ("--code", str(socket), *supervised)
    address = ("--host", host, "--port", str(port), "--probe-key", str(folder / "probe-key"))
    if unprotected:
        address = (*address, "--unprotected")
    return [
        ProcessSpec("daemon", (*mediajobs, "daemon", *code), grace_s=_MARGIN_S),
        ProcessSpec("code", (*mediajobs, "code-server", "--listen", str(socket), *supervised), grace_s + _MARGIN_S),
        ProcessSpec("web", (*mediajobs, "web", *code, *address), grace_s=_MARGIN_S),
    ]


class Lines:
    """Prints what the processes print, one line at a time, each line with the name of its process."""

    _COLOURS = ("cyan", "magenta", "blue")

    def __init__(self, names: list[str]) -> None:
        self._console = Terminal(highlight=False, soft_wrap=True)
        self._colours = dict(zip(names, self._COLOURS, strict=False))
        self._width = max(map(len, names))
        self._lock = Lock()

    def say(self, name: str, line: str) -> None:
        """Print a line; from any thread."""
        head = Text(f"{name:<{self._width}} | ", style=self._colours.get(name, "bold green"))
        with self._lock:
            self._console.print(head + Text.from_ansi(redact(line)))


class JsonLines:
    """Prints the same as JSON, one object a line; `process` in it says which process a line is of."""

    def __init__(self) -> None:
        self._lock = Lock()

    def say(self, name: str, line: str) -> None:
        """Print a line; from any thread. One that is JSON already stays as it is."""
        if (structured := read_line(line)) is not None:
            told = json_text({**structured, "process": name})
        elif line.strip():
            told = json_line("info", name, plain_text(line), process=name)
        else:
            return
        with self._lock:
            click.echo(told)


class _Readiness:
    """Asks the web server whether it has loaded our code, and whether the daemon has sent a heartbeat."""

    def __init__(self, url: str, key: str, *, since: float) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        self._request = urllib.request.Request(
            f"{url}{DAGSTER}/graphql", json.dumps({"query": _READINESS}).encode(), headers
        )
        self._since = since

    def ask(self) -> bool:
        try:
            with urllib.request.urlopen(self._request, timeout=10) as response:
                data: Any = json.load(response)["data"]
        except OSError:
            return False
        entries: list[Any] = data["workspaceOrError"].get("locationEntries", [])
        loaded = [entry["locationOrLoadError"] and entry["locationOrLoadError"]["__typename"] for entry in entries]
        statuses: list[Any] = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        beats = [each["lastHeartbeatTime"] or 0.0 for each in statuses if each["required"]]
        return loaded == ["RepositoryLocation"] and bool(beats) and all(beat >= self._since for beat in beats)


@contextmanager
def _stopped_by_signals(supervisor: Supervisor) -> Generator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watching_code(supervisor: Supervisor, lines: Lines | JsonLines, *, enabled: bool) -> Generator[None]:
    if not enabled:
        yield
        return
    try:
        from watchfiles import PythonFilter, watch
    except ModuleNotFoundError:
        raise ExtraMissingError.of("--reload needs", "reload") from None
    stop = threading.Event()

    def watch_code() -> None:
        for changes in watch(_PACKAGE, watch_filter=PythonFilter(), stop_event=stop):
            names = sorted({Path(path).name for _, path in changes})
            lines.say("up", f"{', '.join(names)} changed: the code server restarts; running jobs are queued again")
            supervisor.restart("daemon", "code")

    threading.Thread(target=watch_code, daemon=True).start()
    try:
        yield
    finally:
        stop.set()
