"""What a request asks Dagster for, and who may: nothing that changes something gets through unseen, or unrecorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mediajobs_dagster.access.visitor import VISITOR, Means, Visitor
from mediajobs_dagster.errors import DatabaseUnavailableError
from mediajobs_dagster.history import Action
from mediajobs_dagster.history.tokens import Scope as TokenScope
from mediajobs_dagster.orchestration.serving.dagster_changes import Changes, UnreadableError, asked_by, mutations_in
from tests.servers.asgi import Answer, send, serving

DELETE = 'mutation { deleteRun(runId: "x") { __typename } }'


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("{ version }", ()),
        ("subscription { locationStateChangeEvents { __typename } }", ()),
        ('query { a(text: "mutation { b }") }', ()),
        ("query mutation { a }", ()),
        ("{ mutation }", ()),
        (DELETE, ("deleteRun",)),
        ("mutation A { a b: c } mutation B { d }", ("a", "c", "d")),
        ("query Q { q } mutation M { m }", ("m",)),
        ("mutation { ...F } fragment F on Mutation { a ...G } fragment G on Mutation { b ...F }", ("a", "b")),
        ("mutation { ... on Mutation { a } ... { b } }", ("a", "b")),
        ("mutation { ...Unknown }", ("nothing",)),
        ("mutation($a: Int = 1) @skip(if: true) { a @include(if: false) }", ("a",)),
        ("\ufeff#mutation\n,mutation,{a}", ("a",)),
    ],
)
def test_the_mutations_of_a_document_are_found(query: str, fields: tuple[str, ...]) -> None:
    """Of every operation, through fragments; words in texts, names and comments are none."""
    assert sorted(mutations_in(query)) == sorted(fields)


@pytest.mark.parametrize(
    "query",
    [
        f"{DELETE} and what is no GraphQL",
        "mutation {",
        "mutation {" + "a{" * 5000 + "b" + "}" * 5001,
        "mutation { a }" + " " * 300_000,
        "mutation {" + " a" * 60_000 + "}",
    ],
)
def test_what_cannot_be_read_is_not_taken_for_harmless(query: str) -> None:
    """Dagster could read it otherwise."""
    with pytest.raises(UnreadableError):
        mutations_in(query)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'[{"query": "{ a }"}]', b'"{ a }"', b"{}", b'{"query": 1}', b"\xff"]
)
def test_a_body_of_another_shape_is_refused(body: bytes) -> None:
    """So is one of many, which Dagster does not know."""
    with pytest.raises(UnreadableError):
        asked_by(body)


def test_of_a_name_that_is_there_twice_the_last_counts() -> None:
    """As Python reads it, and so Dagster."""
    assert asked_by(b'{"query": "{ a }", "query": "mutation { b }"}').mutations == ("b",)


@contextmanager
def answering(scope: TokenScope | None, record: Any) -> Iterator[str]:
    """An app that echoes what reaches it, for a visitor who may do that; None: for nobody."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)

    changes = Changes(echo, record)

    async def app(asked: Scope, receive: Receive, send: Send) -> None:
        asked[VISITOR] = scope and Visitor(name="anna", scope=scope, means=Means.SESSION)
        await changes(asked, receive, send)

    with serving(app) as url:
        yield url


def ask(url: str, query: str, **more: Any) -> Answer:
    """Ask by POST."""
    return send(f"{url}/dagster/graphql", "POST", [], json.dumps({"query": query, **more}))


def test_an_operators_mutation_is_recorded_before_it_is_done() -> None:
    """With who, what and its variables, without secrets; what cannot be recorded is not done."""
    recorded: list[Action] = []
    with answering(TokenScope.OPERATOR, recorded.append) as url:
        body = json.dumps({"query": DELETE, "variables": {"password": "hunter2"}, "operationName": None})
        assert send(f"{url}/dagster/graphql", "POST", [], body).text == body
        assert ask(url, "{ version }").status == 200
        assert send(f"{url}/dagster/report_asset_check/x", "POST", [], "{}").text == "{}"
        assert send(f"{url}/dagster/runs", "GET").status == 200
        assert ask(url, "mutation { setNuxSeen }").status == 200
    assert [(each.action, each.target, each.who) for each in recorded] == [
        ("dagster mutation", "deleteRun", "anna"),
        ("dagster request", "POST /dagster/report_asset_check/x", "anna"),
    ]
    assert "hunter2" not in str(recorded)

    def fail(_: Action) -> None:
        raise DatabaseUnavailableError

    with answering(TokenScope.OPERATOR, fail) as url:
        answer = ask(url, DELETE)
        assert (answer.status, answer.json["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert ask(url, "{ version }").status == 200


@pytest.mark.parametrize("scope", [TokenScope.VIEWER, TokenScope.METRICS, None])
def test_others_only_ask(scope: TokenScope | None) -> None:
    """What they may not is refused, and not recorded."""
    recorded: list[Action] = []
    with answering(scope, recorded.append) as url:
        assert ask(url, "{ version }").status == 200
        for query in (DELETE, "mutation { setNuxSeen }", "query Q { a } mutation M { b }"):
            answer = ask(url, query, operationName="Q")
            assert (answer.status, answer.json["code"]) == (403, "NOT_ALLOWED")
        assert send(f"{url}/dagster/graphql", "PUT", [], '{"query": "{ a }"}').status == 403
        assert send(f"{url}/dagster/graphql", "POST", [], "x" * (6 << 20)).status == 413
    assert recorded == []
