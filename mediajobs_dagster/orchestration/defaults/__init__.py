"""Dagster's configuration of the embedded default, which the package brings: it works from any folder."""

from __future__ import annotations

from pathlib import Path

INSTANCE = "dagster.yaml"
"""Describes Dagster's instance: where it keeps what it keeps, and how many runs there are at once."""
WORKSPACE = "workspace.yaml"
"""Tells Dagster where our definitions are."""
LOCATION = "mediajobs"
"""The name of our code location in Dagster, however it is started."""
REPOSITORY = "__repository__"
"""Dagster's name for what it makes of our definitions."""


def folder_with(name: str) -> Path:
    """The folder whose file of that name counts: the working folder if it has one, else this one."""
    folder = Path.cwd()
    return folder if (folder / name).is_file() else Path(__file__).parent
