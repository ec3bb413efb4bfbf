"""What all breakers have in common: their states, and how moments are told."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether a breaker lets jobs through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def moment_words(moment: datetime, at: datetime) -> str:
    """A moment in UTC for people who read it at `at`: with its date if that is another day."""
    moment, day = moment.astimezone(UTC), at.astimezone(UTC).date()
    return f"{moment:%H:%M:%S} UTC" if moment.date() == day else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
