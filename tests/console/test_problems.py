"""What goes wrong is told in one form, with a code, and an id that the log has too."""

from __future__ import annotations

import logging

import pytest

from mediajobs_dagster.console.problems import MEDIA_TYPE, status_of
from mediajobs_dagster.errors import (
    DatabaseUnavailableError,
    MediaJobsError,
    NotFoundError,
    ServiceKeyError,
    TimelineError,
    all_errors,
)
from mediajobs_dagster.system import MediaJobs
from tests.console.client import Client


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("POST", "/healthz", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/jobs/unknown", 404, "NOT_FOUND"),
        ("GET", "/api/jobs?limit=x", 422, "REQUEST_INVALID"),
    ],
)
def test_every_refusal_has_the_same_form(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, status: int, code: str
) -> None:
    """Status, title, detail, code; and the id is in the log."""
    with caplog.at_level(logging.INFO):
        answer = client.ask(method, path)
    body = answer.json
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert (answer.status, body["status"], body["code"]) == (status, status, code)
    assert {"type", "title", "detail"} <= set(body)
    assert any(body["errorId"] in message for message in caplog.messages)


def test_an_unknown_parameter_is_refused_with_those_that_are_known(client: Client) -> None:
    """A filter that is mistyped must not list everything."""
    body = client.get("/api/jobs?stauts=dead").json
    assert body["code"] == "REQUEST_INVALID"
    assert {"limit", "status", "type"} <= set(body["known"])


def test_what_nobody_foresaw_is_answered_too(
    client: Client, media: MediaJobs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word of the exception, which is for the log."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(media, "jobs", fail)
    answer = client.get("/api/jobs")
    assert (answer.status, answer.json["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    assert "secret of the inside" in caplog.text


@pytest.mark.parametrize(
    ("kind", "status"),
    [(NotFoundError, 404), (TimelineError, 422), (DatabaseUnavailableError, 503), (ServiceKeyError, 502)],
)
def test_an_error_has_the_status_of_its_kind(kind: type[MediaJobsError], status: int) -> None:
    """Its own, or that of what it is a kind of."""
    assert status_of(kind) == status


def test_every_error_has_a_status() -> None:
    """Between 400 and 599; those of callers are not the server's fault."""
    for kind in all_errors():
        assert 400 <= status_of(kind) <= 599, kind
