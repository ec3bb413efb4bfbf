"""Imports run one way: each part of the package uses only parts on the floors below its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import mediajobs_dagster

PACKAGE = Path(mediajobs_dagster.__file__).parent
NAME = PACKAGE.name

BELOW: dict[str, tuple[str, ...]] = {
    "errors": (),
    "models": ("errors",),
    "settings": ("errors", "models"),
    "history": ("errors", "models"),
    "storage": ("errors", "models"),
    "media": ("errors", "models", "settings", "history", "storage"),
    "resilience": ("errors", "models", "settings", "history", "storage"),
    # A planner knows the value that a command is, and nothing that runs it.
    "job_types": ("errors", "models", "settings", "history", "storage", "media.command"),
    "attempts": ("errors", "models", "settings", "history", "storage", "media", "resilience", "job_types"),
    "sources": ("errors", "models", "settings", "history", "storage", "media", "resilience", "job_types", "attempts"),
    "orchestration": (
        *("errors", "models", "settings", "history", "storage", "media", "resilience", "job_types", "attempts"),
        "sources",
    ),
    "supervisor": ("errors",),
    "definitions": ("job_types", "orchestration"),
    "preload": ("definitions",),
    "cli": (
        *("errors", "models", "settings", "history", "storage", "media", "resilience", "job_types", "attempts"),
        *("sources", "orchestration", "supervisor", "definitions"),
    ),
    "__main__": ("cli",),
}
"""What each part may import, besides itself and the version number."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "dagster": ("orchestration", "definitions"),
    "sqlalchemy": ("history", "orchestration"),  # Dagster's own storage is SQLAlchemy too
    "alembic": ("history",),
    "psycopg2": ("history",),
    "sqlite3": ("history",),
    "subprocess": ("media", "supervisor"),
    "boto3": ("storage",),
    "botocore": ("storage",),
    "s3transfer": ("storage",),
    "click": ("cli",),
    "opentimelineio": ("sources",),
}
"""The libraries that are one part's own business."""

VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "shared"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The folder or module right below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full dotted name of everything a module imports, for type checkers or late in a function included."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write the whole name"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def lies_in(name: str, part: str) -> bool:
    """Whether the dotted `name` is `part` or something inside of it."""
    return f"{name}.".startswith(f"{part}.")


def test_every_part_has_its_floor() -> None:
    """A new folder or module has to say where it stands, and one that is gone is struck off."""
    assert {part_of(path) for path in MODULES} - {"__init__"} == BELOW.keys()


@pytest.mark.parametrize("part", BELOW)
def test_imports_run_downwards(part: str) -> None:
    """A part imports from itself and from the floors below it, and nothing else of the package."""
    allowed = (part, *BELOW[part], "__version__")
    upwards = [
        f"{path.relative_to(PACKAGE)}:{line} imports {name}"
        for path in MODULES
        if part_of(path) == part
        for line, name in imports(path)
        if lies_in(name, NAME) and not any(lies_in(name, f"{NAME}.{each}") for each in allowed)
    ]
    assert upwards == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_one_parts_business(library: str) -> None:
    """Who wants it replaced has one folder to look at."""
    users = {part_of(path) for path in MODULES for _, name in imports(path) if lies_in(name, library)}
    assert users <= set(ONLY_IN[library])
    assert users, f"nothing imports {library} any more: strike it off"


def test_no_name_says_nothing() -> None:
    """Where a thing lies tells what it is for."""
    assert [str(path) for path in PACKAGE.rglob("*") if path.stem in VAGUE] == []
