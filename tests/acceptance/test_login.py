"""`mediajobs web` where a login is needed: visitors of each kind, on a real Dagster with a run in it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from websockets.exceptions import ConnectionClosed

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.history.users import Role
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.platform import Platform
from tests.servers.asgi import Answer, Headers, open_websocket, refused_websocket, send
from tests.servers.dagster_dev import PROJECT, DagsterDev
from tests.servers.mediajobs_up import MEDIAJOBS, free_port, running_up

pytestmark = pytest.mark.timeout(300)  # the start of a server

PASSWORD = "correct horse battery"
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
MAY = "{ permissions { permission value } }"


@dataclass
class Console:
    """The server, what it works on, and a run that it can show."""

    url: str
    media: MediaJobs
    run_id: str
    job_id: str
    cookies: dict[str, str]

    def own(self, *headers: tuple[str, str]) -> Headers:
        """What one of its pages sends."""
        return [("Origin", self.url), ("Sec-Fetch-Site", "same-origin"), *headers]

    def log_in(self, name: str, password: str = PASSWORD, following: str = "/") -> Answer:
        """What is answered to the form."""
        body = urlencode({"name": name, "password": password, "next": following})
        return send(f"{self.url}/login", "POST", self.own(FORM), body)

    def by(self, name: str) -> tuple[str, str]:
        """The header of somebody who has logged in."""
        if name not in self.cookies:
            self.cookies[name] = cookie_in(self.log_in(name))
        return ("Cookie", self.cookies[name])

    def graphql(self, query: str, *headers: tuple[str, str], **more: Any) -> Answer:
        """Ask Dagster by POST, as its pages do."""
        body = json.dumps({"query": query, **more})
        return send(f"{self.url}/dagster/graphql", "POST", self.own(JSON, *headers), body)

    def is_whole(self) -> bool:
        """Whether the run is still there."""
        answer = self.graphql(RUN, self.by("olga"), variables={"id": self.run_id})
        return answer.data == {"runOrError": {"status": "SUCCESS"}}


def cookie_in(answer: Answer) -> str:
    """The cookie that was set, as a browser sends it."""
    assert answer.status == 303, answer.text
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return f"{morsel.key}={morsel.value}"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Iterator[Console]:
    """A server that asks for a login, on a home with one thumbnail made, a viewer and an operator."""
    home = tmp_path_factory.mktemp("login") / "home"
    with MediaJobs.open(_env_file=None, home=home) as media:
        upload = Platform(media).add(clips.landscape(), Thumbnail.name)
        subprocess.run([*MEDIAJOBS, "work"], cwd=PROJECT, env=environment(home), check=True, capture_output=True)
        (attempt,) = Platform(media).attempts(upload, Thumbnail.name)
        assert attempt.run_id
        media.users.add("olga", Role.OPERATOR, PASSWORD)
        media.users.add("vera", Role.VIEWER, PASSWORD)
        (job,) = media.history.jobs.list(JobFilter())
        probe = media.tokens.create("probe", Scope.VIEWER).secret
        with running_web(home, probe) as url:
            yield Console(url, media, attempt.run_id, job.id, {})


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a part that works on `home`."""
    return {**os.environ, "MEDIAJOBS_HOME": str(home), "MEDIAJOBS_LOGIN": "true", **more}


@contextmanager
def running_web(home: Path, token: str) -> Iterator[str]:
    """Its address, once it has loaded our code."""
    port, log = free_port(), home / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*MEDIAJOBS, "web", "--port", str(port)],
            cwd=PROJECT,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"

    def is_loaded() -> bool:
        assert process.poll() is None, log.read_text()[-4000:]
        body = json.dumps({"query": LOADED})
        try:
            answer = send(f"{url}/dagster/graphql", "POST", [JSON, ("Authorization", f"Bearer {token}")], body)
        except OSError:
            return False
        entries = answer.data["workspaceOrError"].get("locationEntries") or [{}]
        return entries[0].get("loadStatus") == "LOADED"

    try:
        DagsterDev(url, log, process.pid).wait_for(is_loaded, timeout_s=120)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


LAUNCH = """mutation {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "mediajobs", repositoryName: "__repository__", jobName: "upload_thumb_v1"}
  }) { __typename }
}"""
MUTATIONS = (
    LAUNCH,
    'mutation { deleteRun(runId: "RUN") { __typename } }',
    'mutation { terminateRun(runId: "RUN") { __typename } }',
    'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["thumbnail"]}}]) { __typename } }',
    'mutation { startSchedule(scheduleSelector: {repositoryLocationName: "mediajobs", repositoryName: "__repository__",'
    ' scheduleName: "storage_report_schedule"}) { __typename } }',
    'mutation { shutdownRepositoryLocation(repositoryLocationName: "mediajobs") { __typename } }',
    "mutation { reloadWorkspace { __typename } }",
    'mutation { setConcurrencyLimit(concurrencyKey: "k", limit: 1) }',
    'mutation { logTelemetry(action: "x", clientTime: "1", clientId: "1", metadata: "{}") { __typename } }',
    "mutation { setNuxSeen }",
    # Hidden behind a query, an alias, a fragment, a comment, a byte order mark, and another operation.
    'query Q { version } mutation M { x: deleteRun(runId: "RUN") { __typename } }',
    'fragment F on Mutation { deleteRun(runId: "RUN") { __typename } } mutation M { ...F }',
    'mutation M { ... on Mutation { deleteRun(runId: "RUN") { __typename } } }',
    '# query\n,,mutation,M{deleteRun(runId:"RUN"){__typename}}',
    '\ufeffmutation M { deleteRun(runId: "RUN") { __typename } }',
    'mutation M { deleteRun(runId: "RUN") { __typename } } this is no graphql',
    "mutation {" + "a{" * 1000 + "b" + "}" * 1001,
)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_viewer_changes_nothing_in_dagster(console: Console, mutation: str) -> None:
    """By POST, whichever operation is named; by GET; and by WebSocket. A token of a viewer is no better."""
    mutation = mutation.replace("RUN", console.run_id)
    token = ("Authorization", f"Bearer {console.media.tokens.create('look', Scope.VIEWER).secret}")
    for header in (console.by("vera"), token):
        for more in ({}, {"operationName": "M"}, {"operationName": "Q"}):
            answer = console.graphql(mutation, header, **more)
            assert answer.status in (400, 403), answer.text
            assert "data" not in answer.json
        if answer.status == 403:
            assert answer.json["code"] == "NOT_ALLOWED"
            assert answer.json["errors"]
        target = f"{console.url}/dagster/graphql?query={quote(mutation)}&operationName=M"
        assert send(target, "GET", console.own(header)).status == 405
    refused_or_closed(console, mutation)
    assert console.is_whole()


def refused_or_closed(console: Console, query: str, name: str = "vera") -> None:
    """By WebSocket, the mutation ends the connection."""
    with open_websocket(f"{console.url}/dagster/graphql", console.own(console.by(name))) as channel:
        channel.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(channel.recv(timeout=30)) == {"type": "connection_ack"}
        channel.send(json.dumps({"id": "1", "type": "start", "payload": {"query": query}}))
        with pytest.raises(ConnectionClosed) as caught:
            channel.recv(timeout=30)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


@pytest.mark.parametrize(
    "body",
    [
        '{"query": "{ version }", "query": "MUTATION"}',
        '{"query": "\\u006dutation { deleteRun(runId: \\"RUN\\") { __typename } }"}',
        '[{"query": "MUTATION"}]',
        '{"query": ["MUTATION"]}',
        '"MUTATION"',
        "MUTATION",
        "",
    ],
)
def test_a_viewer_hides_no_mutation_in_json(console: Console, body: str) -> None:
    """Twice the same name, escapes, batches, and other shapes; in other encodings too."""
    mutation = f'mutation {{ deleteRun(runId: "{console.run_id}") {{ __typename }} }}'
    body = body.replace("MUTATION", mutation.replace('"', '\\"')).replace("RUN", console.run_id)
    for encoding in ("utf-8", "utf-16"):
        headers = console.own(JSON, console.by("vera"))
        answer = send(f"{console.url}/dagster/graphql", "POST", headers, body.encode(encoding))
        assert answer.status in (400, 403), answer.text
    assert console.is_whole()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/dagster/report_asset_materialization/thumbnail"),
        ("POST", "/dagster/report_asset_materialization/graphql"),
        ("POST", "/dagster/report_asset_check/thumbnail"),
        ("POST", "/dagster/report_asset_observation/thumbnail"),
        ("POST", "/dagster/graphql/"),
        ("POST", "/dagster/graphql%0A"),
        ("POST", "/dagster//graphql"),
        ("PUT", "/dagster/graphql"),
        ("POST", "/api/jobs/JOB/retry"),
        ("POST", "/api/jobs/JOB/cancel"),
        ("POST", "/api/jobs/retry"),
        ("DELETE", "/api/uploads/JOB"),
        ("POST", "/api/uploads"),
        ("POST", "/api/doctor"),
        ("POST", "/api/breakers/upload_thumb_v1/open"),
        ("POST", "/jobs/JOB/retry"),
        ("POST", "/schedules/storage_report/run"),
        ("POST", "/access/tokens"),
        ("PATCH", "/"),
    ],
)
def test_a_viewer_changes_nothing_elsewhere(console: Console, method: str, path: str) -> None:
    """Through Dagster's other routes, the API and the pages."""
    body = json.dumps({"query": "{ version }"})
    target = console.url + path.replace("JOB", console.job_id)
    before = console.media.history.jobs.get(console.job_id)
    answer = send(target, method, console.own(JSON, console.by("vera")), body)
    assert (answer.status, answer.json["code"]) == (403, "NOT_ALLOWED"), answer.text
    assert console.media.history.jobs.get(console.job_id) == before


def test_a_viewer_sees_everything(console: Console) -> None:
    """Pages, the API, Dagster's pages, queries and logs; and Dagster says what a viewer may not do."""
    vera = console.by("vera")
    assert console.graphql(RUN, vera, variables={"id": console.run_id}).data == {"runOrError": {"status": "SUCCESS"}}
    assert not any(each["value"] for each in console.graphql(MAY, vera).data["permissions"])
    assert any(each["value"] for each in console.graphql(MAY, console.by("olga")).data["permissions"])
    for path in ("/", "/jobs", "/access", "/audit", "/api/jobs", "/openapi.json", "/metrics", "/dagster/runs"):
        assert send(console.url + path, "GET", [vera]).status == 200, path
    page = send(f"{console.url}/jobs", "GET", [vera, ("Accept", "text/html")]).text
    assert "data-looks-only" in page
    assert ">vera</a>" in page


def test_an_operator_changes_things_and_it_is_on_record(console: Console) -> None:
    """Through Dagster and through the API, by session and by token, with the name."""
    token = console.media.tokens.create("ci", Scope.OPERATOR)
    reload = "mutation R { ...F } fragment F on Mutation { reloadWorkspace { __typename } }"
    for header, who in ((console.by("olga"), "olga"), (("Authorization", f"Bearer {token.secret}"), "(token ci)")):
        answer = console.graphql(reload, header, operationName="R", variables={"a": 1})
        assert answer.data == {"reloadWorkspace": {"__typename": "Workspace"}}
        (latest,) = console.media.history.actions.list(limit=1, name="dagster mutation")
        assert who in latest.who
        assert (latest.target, latest.details) == ("reloadWorkspace", {"operation": "R", "variables": '{"a": 1}'})
        opened = send(
            f"{console.url}/api/breakers/upload_thumb_v1/open", "POST", console.own(JSON, header), '{"reason": "test"}'
        )
        assert opened.status == 200, opened.text
        (latest,) = console.media.history.actions.list(limit=1)
        assert (latest.action, latest.reason) == ("breaker open", "test")
        assert who in latest.who
    console.media.breakers.close("upload_thumb_v1")


@pytest.mark.parametrize("path", ["/", "/jobs?status=dead", "/dagster/", "/dagster/runs/1"])
def test_nobody_is_sent_to_the_page_that_logs_in(console: Console, path: str) -> None:
    """And comes back to where it was."""
    html = ("Accept", "text/html")
    answer = send(console.url + path, "GET", [html])
    assert (answer.status, answer.headers["location"]) == (303, f"/login?next={quote(path)}")
    page = send(console.url + answer.headers["location"], "GET", [html])
    assert page.status == 200
    assert f'name="next" value="{path}"' in page.text
    assert console.log_in("olga", following=path).headers["location"] == path


@pytest.mark.parametrize(
    "path",
    ["/api/jobs", "/openapi.json", "/metrics", "/metrics.json", "/readyz", "/dagster/graphql", "/dagster/logs/a"],
)
def test_nobody_gets_nothing(console: Console, path: str) -> None:
    """401, with a code, and how to come."""
    for method in ("GET", "POST", "HEAD"):
        answer = send(console.url + path, method, console.own(JSON))
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert send(console.url + path, "GET", console.own()).json["code"] == "LOGIN_NEEDED"


def test_nobody_opens_a_websocket(console: Console) -> None:
    """The handshake is refused; and so it is with a cookie that is none."""
    assert refused_websocket(f"{console.url}/dagster/graphql", console.own()).status == 403
    forged = ("Cookie", "__Host-mediajobs=" + "a" * 43)
    assert refused_websocket(f"{console.url}/dagster/graphql", console.own(forged)).status == 403


def test_what_is_open(console: Console) -> None:
    """Only what says that the server lives, the page that logs in, and what it looks like."""
    assert send(f"{console.url}/healthz").status == 200
    assert send(f"{console.url}/static/console.css").status == 200
    assert send(f"{console.url}/login").status == 200
    for path in ("/static/../api/jobs", "/static/%2e%2e/api/jobs", "/login/../api/jobs", "/healthz/../api/jobs"):
        assert send(console.url + path).status in (401, 404), path


def test_a_cookie_is_for_this_server_alone(console: Console) -> None:
    """And for no script; each login has a new one, whose end is the end of it."""
    answer = console.log_in("olga")
    told = answer.headers["set-cookie"]
    assert re.match(r"__Host-mediajobs=[\w-]{43};", told)
    for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in told
    assert "Domain" not in told
    first, second = cookie_in(answer), cookie_in(console.log_in("olga"))
    assert first != second
    assert send(f"{console.url}/api/jobs", "GET", [("Cookie", first)]).status == 200
    out = send(f"{console.url}/logout", "POST", console.own(FORM, ("Cookie", first)), "")
    assert (out.status, out.headers["location"]) == (303, "/login")
    assert 'mediajobs=""' in out.headers["set-cookie"]
    assert send(f"{console.url}/api/jobs", "GET", [("Cookie", first)]).status == 401
    assert send(f"{console.url}/api/jobs", "GET", [("Cookie", second)]).status == 200
    stored = console.media.logins.sessions("olga")
    assert not any(second.partition("=")[2] in str(each) for each in stored)


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "none")],
        [],
    ],
)
def test_no_other_site_uses_a_cookie(console: Console, headers: Headers) -> None:
    """To change something, to log out, or to log somebody in."""
    olga = console.by("olga")
    for path, kind, body in (
        ("/api/jobs/retry", JSON, "{}"),
        ("/logout", FORM, ""),
        ("/login", FORM, urlencode({"name": "vera", "password": PASSWORD})),
        ("/dagster/graphql", JSON, json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})),
    ):
        answer = send(console.url + path, "POST", [olga, kind, *headers], body)
        assert answer.status == 403, answer.text
        assert "set-cookie" not in answer.headers
    assert send(f"{console.url}/api/jobs", "GET", [olga]).status == 200


def test_a_token_needs_no_origin_and_ends(console: Console) -> None:
    """It is no cookie, so no page of others can have it sent. Revoked, it is good for nothing."""
    made = console.media.tokens.create("short", Scope.OPERATOR)
    header = ("Authorization", f"Bearer {made.secret}")
    assert send(f"{console.url}/api/doctor", "POST", [header, JSON], "{}").status == 200
    assert send(f"{console.url}/access/tokens", "POST", [header, FORM], "name=x&days=1").status == 403
    listed = next(each for each in console.media.tokens.list() if each.id == made.token.id)
    assert listed.last_used_at is not None
    console.media.tokens.revoke(made.token.id)
    answer = send(f"{console.url}/api/jobs", "GET", [header])
    assert (answer.status, answer.json["code"]) == (401, "LOGIN_NEEDED")
    for wrong in (f"Bearer {made.secret}x", "Bearer mjt_", "bearer  mjt_\xe9"):
        # A cookie beside it does not help.
        assert send(f"{console.url}/api/jobs", "GET", [("Authorization", wrong), console.by("olga")]).status == 401
    for other in (f"Basic {made.secret}", "Bearer", "Bearer eyJhbGciOi", ""):
        # That is somebody else's: a proxy's with a login, which passes it on.
        assert send(f"{console.url}/api/jobs", "GET", [("Authorization", other)]).status == 401
        assert send(f"{console.url}/api/jobs", "GET", [("Authorization", other), console.by("olga")]).status == 200


def test_a_token_for_metrics_reads_metrics(console: Console) -> None:
    """And nothing else."""
    header = ("Authorization", f"Bearer {console.media.tokens.create('prometheus', Scope.METRICS).secret}")
    assert "mediajobs_" in send(f"{console.url}/metrics", "GET", [header]).text
    assert send(f"{console.url}/readyz", "GET", [header]).status in (200, 503)
    for path in ("/api/jobs", "/", "/access", "/dagster/runs", "/openapi.json"):
        assert send(console.url + path, "GET", [header]).status == 403
    assert refused_websocket(f"{console.url}/dagster/graphql", [header]).status == 403


def test_up_starts_with_a_login(tmp_path: Path) -> None:
    """It finds out by itself that its console works, and nobody else gets in by that."""
    home = tmp_path / "home"
    with MediaJobs.open(_env_file=None, home=home) as media:
        media.users.add("olga", Role.OPERATOR, PASSWORD)
    with running_up(home, MEDIAJOBS_LOGIN="true") as server:
        assert send(f"{server.url}/api/jobs").status == 401
        body = urlencode({"name": "olga", "password": PASSWORD})
        cookie = cookie_in(send(f"{server.url}/login", "POST", [("Origin", server.url), FORM], body))
        assert send(f"{server.url}/api/jobs", "GET", [("Cookie", cookie)]).status == 200
        assert server.stop() == 0
    assert media.history.tokens.list() == []
