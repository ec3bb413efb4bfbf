"""`mediajobs web`, asked by its own pages and by pages of other sites, on a real Dagster with a run in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.platform import Platform
from tests.servers.asgi import Answer, Headers, open_websocket, refused_websocket, send
from tests.servers.dagster_dev import PROJECT, DagsterDev
from tests.servers.mediajobs_up import MEDIAJOBS, free_port

pytestmark = pytest.mark.timeout(300)  # the start of a server

PUBLIC = "https://media.example.com"
JSON = ("Content-Type", "application/json")
EVIL: Headers = [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")]
WITHOUT_A_WORD: Headers = []
"""Of an old browser, which does not say which site asks."""

LOADED = (
    "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"
)
SHUT_DOWN = 'mutation { shutdownRepositoryLocation(repositoryLocationName: "mediajobs") { __typename } }'
LOG = """subscription($id: ID!) {
  pipelineRunLogs(runId: $id) {
    ... on PipelineRunLogsSubscriptionSuccess { messages { ... on MessageEvent { message } } }
  }
}"""
RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@dataclass(frozen=True)
class Web:
    """The server, and a run that it can show."""

    url: str
    run_id: str

    @property
    def graphql(self) -> str:
        """The address of its interface."""
        return f"{self.url}/dagster/graphql"

    def own(self, *headers: tuple[str, str]) -> Headers:
        """What one of its pages sends."""
        return [("Origin", self.url), ("Sec-Fetch-Site", "same-origin"), *headers]

    def ask(self, query: str, headers: Headers, **variables: Any) -> Answer:
        """Ask by POST, as its pages do."""
        return send(self.graphql, "POST", [*headers, JSON], json.dumps({"query": query, "variables": variables}))

    def is_whole(self) -> bool:
        """Whether the run is still there, and the code location is loaded."""
        run = self.ask(RUN, self.own(), id=self.run_id).data["runOrError"]
        (entry,) = self.ask(LOADED, self.own()).data["workspaceOrError"]["locationEntries"]
        return run == {"status": "SUCCESS"} and entry["locationOrLoadError"] == {"__typename": "RepositoryLocation"}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Iterator[Web]:
    """A server behind a proxy's name, on a home with one thumbnail made."""
    home = tmp_path_factory.mktemp("web") / "home"
    with MediaJobs.open(_env_file=None, home=home) as media:
        upload = Platform(media).add(clips.landscape(), Thumbnail.name)
        subprocess.run([*MEDIAJOBS, "work"], cwd=PROJECT, env=environment(home), check=True, capture_output=True)
        (attempt,) = Platform(media).attempts(upload, Thumbnail.name)
    assert attempt.run_id
    with running_web(home) as url:
        yield Web(url, attempt.run_id)


@contextmanager
def running_web(home: Path) -> Iterator[str]:
    """Its address, once it has loaded our code."""
    port, log = free_port(), home / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*MEDIAJOBS, "web", "--port", str(port)],
            cwd=PROJECT,
            env=environment(home, MEDIAJOBS_WEB_NAMES=PUBLIC.removeprefix("https://")),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    server = DagsterDev(f"http://127.0.0.1:{port}/dagster", log, process.pid)

    def is_loaded() -> bool:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            (entry,) = server.ask(LOADED)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        return entry["loadStatus"] == "LOADED"

    try:
        server.wait_for(is_loaded, timeout_s=120)
        yield server.url.removesuffix("/dagster")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a part that works on `home`."""
    return {**os.environ, "MEDIAJOBS_HOME": str(home), **more}


def mutations(web: Web) -> list[str]:
    """What a page of another site would like to do."""
    return [f'mutation {{ deleteRun(runId: "{web.run_id}") {{ __typename }} }}', SHUT_DOWN]


@pytest.mark.parametrize("headers", [EVIL, WITHOUT_A_WORD])
def test_a_link_or_a_picture_of_another_site_changes_nothing(web: Web, headers: Headers) -> None:
    """A mutation by GET; behind a query, and in a batch."""
    for mutation in mutations(web):
        attempts = [
            f"?query={quote(mutation)}",
            f"?query={quote('query Q { version } ' + mutation.replace('mutation', 'mutation M'))}&operationName=M",
            f"?query={quote(json.dumps([{'query': mutation}]))}",
        ]
        for attempt in attempts:
            assert send(web.graphql + attempt, "GET", headers).status in (400, 403, 405)
        assert send(web.graphql + attempts[0], "HEAD", headers).status in (403, 405)
    assert web.is_whole()


@pytest.mark.parametrize("headers", [EVIL, WITHOUT_A_WORD])
@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain; application/json", "multipart/form-data; boundary=x", "application/graphql"]
)
def test_a_form_of_another_site_changes_nothing(web: Web, headers: Headers, kind: str) -> None:
    """A mutation by POST, of each type that a browser sends without asking first; in the body, and in the address."""
    for mutation in mutations(web):
        body = json.dumps({"query": mutation})
        for target in (web.graphql, f"{web.graphql}?query={quote(mutation)}"):
            answer = send(target, "POST", [*headers, ("Content-Type", kind)], body)
            assert answer.status in (403, 415)
    report = f"{web.url}/dagster/report_asset_materialization/thumbnail"
    assert send(report, "POST", [*headers, ("Content-Type", kind)], "{}").status in (403, 415)
    assert web.is_whole()


def test_json_of_another_site_changes_nothing(web: Web) -> None:
    """The browser asks first, and is refused; and so is what it would send."""
    asks = [*EVIL, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")]
    allowed = send(web.graphql, "OPTIONS", asks)
    assert allowed.status == 403
    assert not any(name.startswith("access-control-") for name in allowed.headers)
    for mutation in mutations(web):
        assert web.ask(mutation, EVIL).status == 403
    assert web.is_whole()


def test_a_name_that_was_pointed_here_is_not_answered(web: Web) -> None:
    """DNS rebinding: to the browser, the page and this server are one site."""
    port = web.url.rpartition(":")[2]
    rebound = [("Host", f"evil.example:{port}"), ("Sec-Fetch-Site", "same-origin")]
    for mutation in mutations(web):
        assert web.ask(mutation, [*rebound, ("Origin", f"http://evil.example:{port}")]).status == 403
    assert send(web.url, "GET", rebound).status == 403
    assert refused_websocket(web.graphql, rebound).status == 403
    assert web.is_whole()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_no_other_site_reads_a_log(web: Web, origin: str) -> None:
    """By WebSocket, which browsers open to any site."""
    assert refused_websocket(web.graphql, [("Origin", origin)]).status == 403


def test_its_own_pages_work(web: Web) -> None:
    """The page, its scripts, queries, mutations, the log of a run as it grows, and a download."""
    page = send(f"{web.url}/dagster/runs", "GET", [("Sec-Fetch-Site", "none"), ("Accept", "text/html")])
    assert page.status == 200
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    (script, *_) = [part for part in page.text.split('"') if part.endswith(".js")]
    assert send(web.url + script, "GET", web.own()[1:]).status == 200
    reload = web.ask("mutation { reloadWorkspace { __typename } }", web.own())
    assert reload.data == {"reloadWorkspace": {"__typename": "Workspace"}}
    assert any("Finished execution of run" in message for message in log_of(web, web.own()))
    debug = send(f"{web.url}/dagster/download_debug/{web.run_id}", "GET", [("Sec-Fetch-Site", "same-origin")])
    assert (debug.status, debug.headers["content-type"]) == (200, "application/gzip")


@pytest.mark.parametrize(
    "by",
    [
        [("Host", "media.example.com")],
        [("Host", "127.0.0.1:3000")],
        [("Host", "127.0.0.1:3000"), ("X-Forwarded-Host", "media.example.com")],
    ],
)
def test_its_pages_work_behind_a_proxy(web: Web, by: Sequence[tuple[str, str]]) -> None:
    """One with a public name, whether it passes the name on or not."""
    headers = [*by, ("Origin", PUBLIC), ("Sec-Fetch-Site", "same-origin")]
    assert web.ask(RUN, headers, id=web.run_id).data == {"runOrError": {"status": "SUCCESS"}}
    assert log_of(web, headers)
    assert web.ask(RUN, [*by, ("Origin", "https://evil.example")], id=web.run_id).status == 403


def log_of(web: Web, headers: Headers) -> list[str]:
    """The messages of the run, as the page of a run reads them."""
    with open_websocket(web.graphql, headers) as channel:
        channel.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(channel.recv(timeout=30)) == {"type": "connection_ack"}
        payload = {"query": LOG, "variables": {"id": web.run_id}}
        channel.send(json.dumps({"id": "1", "type": "start", "payload": payload}))
        data = json.loads(channel.recv(timeout=30))["payload"]["data"]
    return [each["message"] for each in data["pipelineRunLogs"]["messages"]]


def test_the_api_is_behind_the_same_gate(web: Web) -> None:
    """Programs and its own pages reach it; pages of other sites neither read it nor change anything by it."""
    for headers in ([], web.own()):
        (job,) = send(f"{web.url}/api/jobs", "GET", headers).json["jobs"]
        assert job["status"] == "completed"
    path = f"{web.url}/api/jobs/{job['id']}/retry"
    for headers in (EVIL, [("Origin", "https://evil.example")], [("Host", "evil.example")]):
        assert send(path, "POST", headers).status == 403
        assert send(f"{web.url}/api/events", "GET", headers).status == 403
    assert send(f"{web.url}/api/jobs/{job['id']}", "GET").json["job"] == job
    assert "<h1>Overview</h1>" in send(web.url, "GET").text
    assert send(f"{web.url}/dagster", "GET").headers["location"] == "/dagster/"
