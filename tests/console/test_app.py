"""One address: our app, with Dagster's below `/dagster`."""

from __future__ import annotations

import pytest

from tests.console.client import Client


@pytest.mark.parametrize("path", ["/dagster/", "/dagster/graphql", "/dagster/runs/1"])
def test_what_lies_below_dagster_is_dagsters(client: Client, path: str) -> None:
    """With the whole path, as Dagster's own prefix wants it."""
    assert client.get(path).text == path


@pytest.mark.parametrize("path", ["/dagsters", "/DAGSTER/", "/x/dagster/", "//dagster/"])
def test_what_only_looks_like_it_is_ours(client: Client, path: str) -> None:
    """Another name, or another place."""
    assert client.get(path).json["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/dagster"])
def test_the_start_leads_to_dagster(client: Client, path: str) -> None:
    """By a path, not an address: a proxy knows others."""
    answer = client.get(path)
    assert (answer.status, answer.headers["location"]) == (307, "/dagster/")
