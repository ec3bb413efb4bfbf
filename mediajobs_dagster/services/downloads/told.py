"""What a site tells of a video, as values: yt-dlp's answer, of which anything may be missing or of another type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from mediajobs_dagster.models import JsonObject

LONGEST_TITLE = 1000
_MOST_CHAPTERS = 1000
_MOST_SUBTITLES = 20
_TEXT = ("vtt", "srt")
"""The formats of subtitles that are taken, the best first."""


@dataclass(frozen=True)
class Chapter:
    """A part of a video that has a title."""

    start_s: float
    end_s: float | None
    title: str

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"startSeconds": self.start_s, "endSeconds": self.end_s, "title": self.title}


@dataclass(frozen=True)
class TrackOfText:
    """Subtitles that a site has."""

    language: str
    is_automatic: bool
    """Whether the site's own speech recognition made them."""
    format: str
    info: JsonObject
    """What yt-dlp downloads them by."""


@dataclass(frozen=True)
class ToldVideo:
    """What is known of a video."""

    address: str
    """Its page."""
    title: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    published_at: datetime | None = None
    duration_s: float | None = None
    language: str | None = None
    chapters: tuple[Chapter, ...] = ()

    @classmethod
    def of(cls, info: Mapping[str, Any], address: str) -> ToldVideo:
        """What yt-dlp's answer tells of the video at `address`."""
        return cls(
            address=_text(info.get("webpage_url")) or address,
            title=_text(info.get("title")),
            channel=_text(info.get("channel")) or _text(info.get("uploader")),
            channel_id=_text(info.get("channel_id")),
            published_at=_moment(info),
            duration_s=_number(info.get("duration")),
            language=_text(info.get("language")),
            chapters=tuple(_chapters(info.get("chapters"))),
        )

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "address": self.address,
            "title": self.title,
            "channel": self.channel,
            "channelId": self.channel_id,
            "publishedAt": self.published_at.isoformat() if self.published_at else None,
            "durationSeconds": self.duration_s,
            "language": self.language,
            "chapters": [each.to_json() for each in self.chapters],
        }


def text_tracks(info: Mapping[str, Any], languages: Sequence[str]) -> list[TrackOfText]:
    """The subtitles to fetch: those people made in `languages` or the video's own, else those that the site made."""
    own = _text(info.get("language"))
    wanted = {each.lower().partition("-")[0] for each in (*languages, *([own] if own else ()))}
    made = _tracks(info.get("subtitles"), is_automatic=False)
    chosen = [each for each in made if each.language.lower().partition("-")[0] in wanted] or made
    have = {each.language.lower().partition("-")[0] for each in chosen}
    for each in _tracks(info.get("automatic_captions"), is_automatic=True):
        # A site translates its own into a hundred languages; only those of what is spoken are worth having.
        base = each.language.lower().partition("-")[0]
        if base not in have and (each.language.endswith("-orig") or (own and base == own.lower().partition("-")[0])):
            chosen.append(each)
            have.add(base)
    return chosen[:_MOST_SUBTITLES]


def _tracks(given: Any, *, is_automatic: bool) -> list[TrackOfText]:
    found: list[TrackOfText] = []
    tracks = cast("dict[str, Any]", given or {})
    for language, formats in tracks.items():
        known: list[JsonObject] = [each for each in formats or () if each.get("ext") in _TEXT]
        if known:
            best = min(known, key=lambda each: _TEXT.index(each["ext"]))
            found.append(TrackOfText(str(language)[:40], is_automatic, best["ext"], best))
    return found


def _chapters(given: Any) -> Iterator[Chapter]:
    chapters = cast("list[JsonObject]", given or [])
    for each in chapters[:_MOST_CHAPTERS]:
        start = _number(each.get("start_time"))
        if start is not None:
            yield Chapter(start, _number(each.get("end_time")), (_text(each.get("title")) or "")[:LONGEST_TITLE])


def _moment(info: Mapping[str, Any]) -> datetime | None:
    try:
        if (seconds := _number(info.get("timestamp"))) is not None:
            return datetime.fromtimestamp(seconds, UTC)
        if day := _text(info.get("upload_date")):
            return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass  # no moment that a calendar has
    return None


def _text(value: object) -> str | None:
    return value.strip()[:LONGEST_TITLE] or None if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e10 else None
