"""What becomes of an object that people have removed: whether it can be brought back, and from where."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

TRASH = ".trash/"
"""The prefix of removed objects in a local folder. What lies below it is not swept as left over."""


class Undo(StrEnum):
    """Whether a removal can be undone."""

    TRASH = "trash"
    """The storage keeps what was removed below `.trash/`, and `put_back` brings it back."""
    VERSIONS = "versions"
    """The bucket keeps versions: the object is hidden by a delete marker, and back once that is deleted."""
    NEVER = "never"
    """What is removed is gone."""
    UNKNOWN = "unknown"
    """The server does not say whether it keeps versions."""


def trash_key(label: str, key: str) -> str:
    """Where an object lies after its removal. `label` names the removal, and is a UUIDv7."""
    return f"{TRASH}{label}/{key}"


def trashed_at(key: str) -> datetime | None:
    """When what lies under that key was removed; None for a key that is not in the trash."""
    if not key.startswith(TRASH):
        return None
    try:
        label = UUID(key.split("/")[1])
        return datetime.fromtimestamp((label.int >> 80) / 1000, UTC) if label.version == 7 else None
    except (ValueError, OverflowError, OSError):  # no id, or none with a moment in it
        return None
