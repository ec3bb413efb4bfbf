"""A listener that writes a line a record."""

from __future__ import annotations

from collections.abc import Callable

from mediajobs_dagster import Record, Settings


def diary(settings: Settings) -> Callable[[Record], None]:
    """The listener, whose diary lies in MEDIAJOBS_HOME."""

    def write(record: Record) -> None:
        with (settings.home / "diary.txt").open("a") as file:
            file.write(f"{type(record).__name__}\n")

    return write
