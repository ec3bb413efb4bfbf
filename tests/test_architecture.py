"""Imports run one way: each part of the package uses only parts on the floors below its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import mediajobs_dagster

PACKAGE = Path(mediajobs_dagster.__file__).parent
NAME = PACKAGE.name

FLOORS: tuple[str, ...] = (
    *("errors", "printable", "small_files", "fault_lists", "cancellation", "models", "cron", "settings", "records"),
    *("trace_context", "plugins", "listeners", "side_by_side", "temporary"),
    *("history", "storage", "redacted_logs", "access", "services", "media", "resilience", "inventory", "capacity"),
    *("transcripts", "speech", "timelines", "study", "job_types", "attempts", "intake", "telemetry", "webhooks"),
    *("use_cases", "system"),
    *("gate", "orchestration", "supervisor", "console"),
    *("definitions", "preload", "cli", "__main__"),
)
"""The parts of the package, from the one that everything may use to the one that uses everything."""

CLOSED: dict[str, tuple[str, ...]] = {
    "history": ("settings",),
    "storage": ("settings", "history"),
    # Of the storage, what takes secrets out of text.
    "services": (
        *("history", "listeners"),
        *(
            f"storage.{path.stem}"
            for path in (PACKAGE / "storage").glob("*.py")
            if path.stem not in ("redaction", "__init__")
        ),
    ),
    "timelines": ("settings", "media", "resilience", "listeners"),
    "study": ("settings", "history", "media", "resilience", "listeners"),
    # A planner knows the values that a command and a picture are, and nothing that runs ffmpeg.
    "job_types": tuple(
        f"media.{path.stem}"
        for path in (PACKAGE / "media").glob("*.py")
        if path.stem not in ("command", "images", "__init__")
    ),
    "intake": ("attempts",),
    "gate": FLOORS[: FLOORS.index("gate")][1:],
    "supervisor": FLOORS[: FLOORS.index("supervisor")][1:],
}
"""What a part must not import, although it stands on a floor below its own."""

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
    "urllib3": ("services",),
    "feedparser": ("services",),
    "yt_dlp": ("services",),
    "apprise": ("telemetry",),
    "structlog": ("telemetry",),
    "prometheus_client": ("telemetry",),
    "opentelemetry": ("telemetry",),
    "starlette": ("gate", "orchestration", "console"),
    "fastapi": ("console",),
    "jinja2": ("console",),
    "uvicorn": ("orchestration",),
    "graphql": ("orchestration",),
    "argon2": ("access",),
    "click": ("cli",),
    "opentimelineio": ("timelines",),
    "icalendar": ("services",),
    "faster_whisper": ("speech",),
    "ctranslate2": ("speech",),
    "typst": ("study",),
}
"""The libraries that are one part's own business."""

INTERNALS = PACKAGE / "orchestration" / "internals"
PRIVATE = re.compile(r"dagster\.(_|core\b)|dagster_(?!postgres\b|aws\b)\w")
"""A module of Dagster that is private, or one of its companions, which document no module at all."""

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


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and value of every string that is all of an expression."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def lies_in(name: str, part: str) -> bool:
    """Whether the dotted `name` is `part` or something inside of it."""
    return f"{name}.".startswith(f"{part}.")


def test_every_part_has_its_floor() -> None:
    """A new folder or module has to say where it stands, and one that is gone is struck off."""
    assert sorted({part_of(path) for path in MODULES} - {"__init__"}) == sorted(FLOORS)


@pytest.mark.parametrize("part", FLOORS)
def test_imports_run_downwards(part: str) -> None:
    """A part imports from itself and from the floors below it, but for those that are closed to it."""
    allowed = (*FLOORS[: FLOORS.index(part) + 1], "__version__")
    closed = CLOSED.get(part, ())
    upwards = [
        f"{path.relative_to(PACKAGE)}:{line} imports {name}"
        for path in MODULES
        if part_of(path) == part
        for line, name in imports(path)
        if lies_in(name, NAME)
        and (
            not any(lies_in(name, f"{NAME}.{each}") for each in allowed)
            or any(lies_in(name, f"{NAME}.{each}") for each in closed)
        )
    ]
    assert upwards == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_one_parts_business(library: str) -> None:
    """Who wants it replaced has one folder to look at."""
    users = {part_of(path) for path in MODULES for _, name in imports(path) if lies_in(name, library)}
    assert users <= set(ONLY_IN[library])
    assert users, f"nothing imports {library} any more: strike it off"


def test_private_names_of_dagster_lie_in_one_place() -> None:
    """What a new Dagster may break is in one folder, and tested; not by import, and not as text."""
    users = [
        f"{path.relative_to(PACKAGE)}:{line} takes {name}"
        for path in MODULES
        if INTERNALS not in path.parents
        for line, name in (*imports(path), *texts(path))
        if PRIVATE.match(name)
    ]
    assert users == []
    for name in ("dagster._core.events.X", "dagster.core.y", "dagster_shared.utils", "dagster_celery.launcher"):
        assert PRIVATE.match(name), name
    assert not PRIVATE.match("dagster.DagsterInstance")


def test_no_name_says_nothing() -> None:
    """Where a thing lies tells what it is for."""
    assert [str(path) for path in PACKAGE.rglob("*") if path.stem in VAGUE] == []
