"""A video, as a feed or a service lists it, and what is read from the texts that they use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_DURATION = re.compile(
    r"P(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,9}(?:[.,]\d{1,6})?)S)?)?",
    re.ASCII,
)
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
_VIDEO_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class ListedVideo:
    """What is known of a video; fields that are None were not told."""

    id: str
    title: str
    channel_id: str | None = None
    channel: str | None = None
    published_at: datetime | None = None
    duration_s: float | None = None
    """Length, seconds; None also while it is live or announced."""


def is_video_id(text: object) -> bool:
    """Whether this can be the id of a video: then it is safe in an address."""
    return isinstance(text, str) and bool(_VIDEO_ID.fullmatch(text))


def parsed_duration(text: object) -> float | None:
    """Seconds of an ISO 8601 duration such as PT1H2M3S; None if it is none, or is nothing, as of a live video.

    Years and months are not taken: they have no length of their own.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    parts = {name: float(value.replace(",", ".")) for name, value in found.groupdict().items() if value}
    return sum(_SECONDS[name] * value for name, value in parts.items()) or None


def parsed_moment(text: object) -> datetime | None:
    """The moment of an ISO 8601 time stamp, UTC unless it names a zone; None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
