"""Folders that go when nothing is in them any more."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def remove_if_empty(*folders: Path) -> None:
    """Remove folders, one after the other, up to the first that has something in it."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
