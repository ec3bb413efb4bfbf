"""A real `dagster dev` (web server, daemon, code server) on the project's own workspace.yaml and dagster.yaml."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

PROJECT = Path(__file__).parents[2]
START_TIMEOUT_S = 150.0

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class DagsterDev:
    """Where it listens, and how it is asked."""

    url: str
    log: Path
    pid: int

    @property
    def graphql(self) -> str:
        """The address of its GraphQL interface."""
        return f"{self.url}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask the GraphQL server; the answer's data."""
        answer = self.answer(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the GraphQL server; its answer, whatever it is."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.graphql, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def wait_for(self, what: Callable[[], Answer | None], *, timeout_s: float) -> Answer:
        """Ask until there is an answer; the log is shown when there is none in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if answer := what():
                return answer
            time.sleep(0.25)
        raise AssertionError(f"no answer within {timeout_s:g} s; the log ends:\n{self.log.read_text()[-4000:]}")


@contextmanager
def running_dagster_dev(home: Path, *, cwd: Path = PROJECT, **environment: str) -> Iterator[DagsterDev]:
    """Run it on `home`, with the configuration in `cwd`, until the block ends; all of its processes are gone then."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = home / "dagster_dev.log"
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "MEDIAJOBS_HOME": str(home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    dev = DagsterDev(f"http://127.0.0.1:{port}", log, process.pid)
    try:
        dev.wait_for(lambda: _answers(dev, process), timeout_s=START_TIMEOUT_S)
        yield dev
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _answers(dev: DagsterDev, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, dev.log.read_text()[-4000:]
    try:
        answer = dev.answer("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
    except (OSError, http.client.HTTPException, ValueError):  # a server that starts may answer anything, or half of it
        return False
    if "errors" in answer:
        return False
    entries = answer["data"]["workspaceOrError"].get("locationEntries", [])
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)
