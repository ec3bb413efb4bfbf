"""Pieces of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def page(title: str, *parts: str) -> str:
    """A whole page, which says where it comes from."""
    return "\n\n".join((f"# {title}", "<!-- Written by `make docs` from the code. -->", *parts)) + "\n"


def section(title: str, *parts: str, depth: int = 2) -> str:
    """A heading, and what stands below it."""
    return "\n\n".join((f"{'#' * depth} {title}", *filter(None, parts)))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the text of a cell may have several lines and bars."""
    lines = (f"| {' | '.join(_cell(value) for value in row)} |" for row in rows)
    return "\n".join((f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *lines))


def code(value: object) -> str:
    """Something as it is typed."""
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
