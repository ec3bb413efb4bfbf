"""A real `mediajobs up` on a data folder, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from typing_extensions import override

from tests.processes import is_gone
from tests.servers.dagster_dev import PROJECT, DagsterDev

MEDIAJOBS = (sys.executable, "-m", "mediajobs_dagster")
START_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class MediajobsUp(DagsterDev):
    """Where it listens, how it is asked, and its processes."""

    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    @override
    def graphql(self) -> str:
        return f"{self.url}/dagster/graphql"

    def part(self, command: str) -> psutil.Process:
        """The process of the moment of a part, such as `daemon` or `code-server`."""
        found = [each for each in psutil.Process(self.pid).children() if command in command_line(each)]
        assert len(found) == 1, (command, found)
        return found[0]

    def run_processes(self) -> list[psutil.Process]:
        """The processes that carry out runs at the moment."""
        is_ours = re.compile(r"multiprocessing\.forkserver")
        code = self.part("code-server")
        servers = [each for each in code.children() if is_ours.search(" ".join(command_line(each)))]
        return [child for server in servers for child in server.children() if not is_gone(child)]

    def said(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)


def command_line(process: psutil.Process) -> list[str]:
    """The command a process was started with; none for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def running_up(
    home: Path, *options: str, program: Sequence[str] = MEDIAJOBS, cwd: Path = PROJECT, **environment: str
) -> Iterator[MediajobsUp]:
    """Run it on `home` until the block ends; all of its processes are gone then."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "up.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*program, "up", "--port", str(port), *options],
            cwd=cwd,
            env={**os.environ, "MEDIAJOBS_HOME": str(home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = MediajobsUp(f"http://127.0.0.1:{port}", log, process.pid, process)
    started = len(server.said())
    try:
        server.wait_for(lambda: _is_ready(server, started), timeout_s=START_TIMEOUT_S)
        yield server
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            for each in [*family, psutil.Process(process.pid)]:
                each.kill()
            raise


def _is_ready(server: MediajobsUp, since: int) -> bool:
    assert server.process.poll() is None, server.said()[-4000:]
    return "ready: console at" in server.said()[since:]
