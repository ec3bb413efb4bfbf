"""Where Dagster's UI is at our address."""

from __future__ import annotations

DAGSTER = "/dagster"
"""What the paths of Dagster's UI and of its GraphQL interface begin with."""


def page_of_run(run_id: str) -> str:
    """The path of the page of a run."""
    return f"{DAGSTER}/runs/{run_id}"
