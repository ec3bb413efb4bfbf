"""The page of runs is sent with a first choice of pinned tags; whatever else is sent stays as it is."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.serving.pinned_tags import PinnedTags
from tests.servers.asgi import serving

PAGE = "<!DOCTYPE html><html><head><title>é</title></head><body></body></html>"
POLICY = {"Content-Security-Policy": "script-src 'nonce-0123abc' 'strict-dynamic'"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An app with a page that has a policy, one that has none, data, and an answer in pieces."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answers = {
            "/runs": HTMLResponse(PAGE, headers=POLICY),
            "/plain": HTMLResponse(PAGE),
            "/data": JSONResponse({"head": "<head>"}, headers=POLICY),
            "/pieces": StreamingResponse(iter(["a", "b"]), media_type="text/plain"),
        }
        await answers[Request(scope).url.path](scope, receive, send)

    with serving(PinnedTags(app)) as url:
        yield url


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read().decode()


def test_the_page_chooses_once(url: str) -> None:
    """In a script that the page's own policy allows, before any other, and only where there is no choice yet."""
    found = read(f"{url}/runs")
    script = re.search(r'<head><script nonce="0123abc">(.*?)</script><title>é', found)
    assert script
    assert script[1].startswith('if(localStorage.getItem("unpinned-tags")===null)')
    unpinned = set(re.findall(r'\\"([^"\\]+)\\"', script[1]))
    assert {tags.JOB_TYPE, tags.DISPATCH, tags.LANE, tags.SUBJECT, tags.SEARCHING} <= unpinned
    assert not {tags.TRACE_ID, tags.FILE} & unpinned
    assert found.replace(script[0], "<head><title>é") == PAGE


@pytest.mark.parametrize(("path", "body"), [("/plain", PAGE), ("/data", '{"head":"<head>"}'), ("/pieces", "ab")])
def test_anything_else_is_sent_as_it_is(url: str, path: str, body: str) -> None:
    assert read(url + path) == body
