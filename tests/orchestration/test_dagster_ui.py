"""What reaches Dagster's web app: nothing that changes something, unless it is JSON and sent by POST."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mediajobs_dagster.orchestration.serving.dagster_ui import ChangesByJsonOnly
from tests.servers.asgi import send, serving

MUTATION = 'mutation { deleteRun(runId: "x") { __typename } }'
JSON = "application/json"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An app that answers whatever reaches it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(body)(scope, receive, send)

    with serving(ChangesByJsonOnly(app)) as url:
        yield url


@pytest.mark.parametrize(
    "query",
    [
        MUTATION,
        f"# a query\n{MUTATION}",
        "mutation M($id: String!) { terminateRun(runId: $id) { __typename } }",
        f"query Q {{ version }} {MUTATION}",
        "query Q { version } mutation M { x: reloadWorkspace { __typename } }",
        "subscription { locationStateChangeEvents { __typename } }",
        f"{{ version }}{' ' * 20_000}",
        "mutation {" + "a{" * 1000 + "b" + "}" * 1001,
        "no graphql at all",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "target",
    [
        "/graphql?query={}",
        "/graphql?query={}&operationName=Q",
        "/graphql?query=%7Bversion%7D&query={}",
        "/graphql?query={}&query=%7Bversion%7D",
        "/graphql?variables=%7B%7D&query={}",
        "/graphql%0A?query={}",
    ],
)
def test_by_get_nothing_is_changed(url: str, target: str, query: str, method: str) -> None:
    """Whichever operation is named, and wherever the query stands."""
    answer = send(url + target.format(quote(query)), method, [("Accept", "text/html")])
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert method == "HEAD" or "Content-Type: application/json" in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "/graphql",
        "/graphql?query=%7Bversion%7D",
        "/graphql?query=query+Q+%7Bversion%7D&operationName=Q",
        f"/runs?query={quote(MUTATION)}",
        "/logs/a/b.out",
    ],
)
def test_by_get_it_can_be_asked(url: str, target: str) -> None:
    """Pages, downloads, and queries."""
    assert send(url + target).status == 200


@pytest.mark.parametrize("target", ["/graphql", f"/graphql?query={quote(MUTATION)}", "/report_asset_materialization/a"])
@pytest.mark.parametrize(
    "content_type",
    [
        (),
        ("text/plain",),
        ("text/plain; application/json",),
        ("text/plain;charset=application/json",),
        ("multipart/form-data; boundary=application/json",),
        ("application/x-www-form-urlencoded",),
        ("application/graphql",),
        ("application/json, text/plain",),
        ("application/json", "text/plain"),
        ("text/plain", "application/json"),
        ("application/jsonp",),
        ("",),
    ],
)
def test_only_json_is_taken_by_post(url: str, target: str, content_type: tuple[str, ...]) -> None:
    """A page cannot have a browser send that to another site without the site's leave; anything else it can."""
    headers = [("Content-Type", each) for each in content_type]
    answer = send(url + target, "POST", headers, f'{{"query": "{MUTATION}"}}')
    assert answer.status == 415
    assert "Content-Type: application/json" in answer.text


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", f"{JSON};charset=UTF-8"])
def test_json_is_taken_by_post(url: str, content_type: str) -> None:
    """With what browsers and programs add to the type; the body arrives as it was sent."""
    answer = send(f"{url}/graphql?op=Launch", "POST", [("Content-Type", content_type)], '{"query": "mutation"}')
    assert (answer.status, answer.text) == (200, '{"query": "mutation"}')
