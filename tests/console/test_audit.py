"""Every change through the API and the pages is on record, with who made it; what changes nothing is not."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.history import Action
from mediajobs_dagster.history.tokens import Scope
from mediajobs_dagster.history.users import Role
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.console.client import Client
from tests.console.conftest import dagster_ui
from tests.platform import Platform
from tests.servers.asgi import Headers, serving

THUMB = "upload_thumb_v1"

RECORDED: dict[str, str | None] = {
    "POST /api/uploads": "add",
    "DELETE /api/uploads/{reference}": "upload delete",
    "POST /api/jobs": "jobs submit",
    "POST /api/jobs/{reference}/retry": "job retry",
    "POST /api/jobs/{reference}/cancel": "job cancel",
    "POST /api/jobs/retry": "jobs retry",
    "POST /api/jobs/cancel": "jobs cancel",
    "POST /api/exports": "export",
    "POST /api/ingests": "ingest",
    "POST /api/studies": "study",
    "POST /api/breakers/{name}/open": "breaker open",
    "POST /api/breakers/{name}/close": "breaker close",
    "POST /api/schedules/{name}/run": "schedule run",
    "POST /api/videos/{reference}/link": "video link",
    "POST /api/videos/{reference}/unlink": "video unlink",
    "POST /api/storage/gc": "storage gc",
    "POST /api/storage/restore/{removal}": "storage restore",
    "POST /api/webhooks/deliveries/{reference}/send": "webhook send",
    "POST /api/doctor": None,
}
"""What each operation that changes something leaves on record; None: it changes nothing."""


@pytest.fixture
def operator(media: MediaJobs, outside: FromDagster) -> Iterator[Client]:
    """A console that asks for a login."""
    media.users.add("olga", Role.OPERATOR, "correct horse battery")
    with serving(console_app(media, outside, dagster_ui, login=True)) as url:
        yield Client(url)


@pytest.fixture
def token(media: MediaJobs) -> Headers:
    """The header of a program of Olga's."""
    media.users.add("petra", Role.OPERATOR, None)
    secret = media.tokens.create("ci", Scope.OPERATOR, user="petra").secret
    return [("Authorization", f"Bearer {secret}")]


def test_every_operation_that_changes_something_has_its_word(client: Client) -> None:
    """A new route needs a record, or has to change nothing."""
    paths = client.get("/openapi.json").json["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert {each for each in operations if not each.startswith("GET ")} == set(RECORDED)


def test_what_a_program_does_is_recorded_with_its_name(
    operator: Client, token: Headers, media: MediaJobs, clips: Clips
) -> None:
    """Its user, and the token; and nothing is recorded of what was refused, or repeated."""

    def last() -> list[tuple[str, str, int]]:
        found = [each for each in media.history.actions.list() if each.who == "petra (token ci)"]
        return [(each.action, each.target, each.count) for each in reversed(found)]

    name, content = "clip.mp4", clips.landscape().read_bytes()
    sent = operator.ask("POST", f"/api/uploads?name={name}&types={THUMB}", token, content)
    assert sent.status == 201, sent.text
    upload, job = sent.json["uploads"][0]["id"], sent.json["jobs"][0]["id"]
    operator.ask("POST", f"/api/uploads?name={name}&types={THUMB}", token, content)
    assert operator.post(f"/api/jobs/{job}/cancel", None, token).status == 200
    assert operator.post(f"/api/jobs/{job}/cancel", None, token).status == 409
    assert operator.post(f"/api/jobs/{job}/retry", None, token).status == 200
    assert operator.post("/api/jobs", {"upload": upload, "types": ["upload_edit_proxy_v1"]}, token).status < 300
    assert operator.post("/api/jobs/cancel", {"filter": {"type": THUMB}}, token).status == 200
    assert operator.post("/api/jobs/retry", {"filter": {"type": THUMB, "status": ["cancelled"]}}, token).status == 200
    assert operator.post("/api/schedules/storage_report/run", None, token).status < 300
    assert operator.post(f"/api/breakers/{THUMB}/open", {"reason": "test"}, token).status == 200
    assert operator.ask("DELETE", f"/api/uploads/{upload}?dry_run=true", token).status == 200
    assert operator.ask("DELETE", f"/api/uploads/{upload}", token).status == 200
    assert operator.post("/api/doctor", None, token).status == 200
    assert [action for action, _, _ in last()] == [
        *("add", "job cancel", "job retry", "jobs submit", "jobs cancel", "jobs retry"),
        *("schedule run", "breaker open", "upload delete"),
    ]
    assert ("add", name, 1) in last()
    assert ("upload delete", name, 1) in last()


def test_who_comes_without_a_login_is_called_api(client: Client, media: MediaJobs, platform: Platform) -> None:
    """Where none is needed; and whoever works at the machine has the name of the machine."""
    media.breakers.open(THUMB)
    client.post(f"/api/breakers/{THUMB}/close")
    whos = {each.action: each.who for each in platform.history.actions.list()}
    assert whos["breaker close"] == "api"
    assert "@" in whos["breaker open"]


def test_what_was_done_is_read_page_by_page(client: Client, media: MediaJobs) -> None:
    """Over HTTP and on the page: none is missing, none twice."""
    for number in range(103):
        media.history.actions.record(Action(action="jobs retry", target=f"job {number}", count=1))
    media.history.actions.record(Action(action="login", target="anna", count=1))
    found, path = list[str](), "/api/actions?limit=40&action=jobs+retry"
    while path:
        answer = client.get(path)
        found += [each["target"] for each in answer.json["actions"]]
        path = answer.json["next"]
    assert found == [f"job {number}" for number in reversed(range(103))]
    assert client.get("/api/actions?after=nosuch").status == 404

    first = client.get("/audit?action=jobs+retry").text
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link
    older = client.get(html.unescape(link[1])).text
    assert first.count("<tr data-row>") == 100
    assert [f"job {number}<" in older for number in (3, 2, 1, 0)] == [False, True, True, True]
    assert "First page" in older


def test_the_page_tells_it(operator: Client, token: Headers, media: MediaJobs) -> None:
    """Of one kind, if it is asked for; a hostile word is only a word."""
    media.breakers.open(THUMB, reason="<script>alert(1)</script>")
    page = operator.get("/audit", token).text
    assert "breaker open" in page
    assert "<script>alert(1)" not in page
    assert "breaker open" not in operator.get("/audit?action=login", token).text.partition("<tbody>")[2]
    assert operator.get("/audit?action=%01%27", token).status == 200
