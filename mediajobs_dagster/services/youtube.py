"""The YouTube Data API v3: the four methods that finding videos takes. Each call costs one unit of a quota.

The caller brings a meter, which is charged before a call is made. The key goes in a header, so no address shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import unescape
from threading import local
from typing import Any, Protocol, cast

from mediajobs_dagster.errors import (
    JobSettingsError,
    MediaJobsError,
    ServiceAnswerError,
    ServiceError,
    ServiceKeyError,
    ServiceLimitedError,
    ServiceRefusedError,
)
from mediajobs_dagster.models import ServiceCall
from mediajobs_dagster.services.base import ServiceContext
from mediajobs_dagster.services.http import MIB, HttpClient, Query
from mediajobs_dagster.services.listed_video import ListedVideo, is_video_id, parsed_duration, parsed_moment
from mediajobs_dagster.storage.redaction import redact

SERVICE = "youtube"
"""Its name in records of calls."""
SEARCH = "search.list"
METHODS = ("channels.list", "playlistItems.list", "videos.list", SEARCH)
"""What it is asked."""
PAGE = 50
"""Items of one answer, and ids of one request, at most."""

_MOST_BYTES = 4 * MIB
_LONGEST_TEXT = 500
_REASON = re.compile(r'"reason"\s*:\s*"(\w{1,80})"', re.ASCII)
_MESSAGE = re.compile(r'"message"\s*:\s*("(?:\\.|[^"\\]){1,2000}")')
_OF_QUOTA = frozenset({"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"})
_OF_RATE = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_OF_KEY = frozenset(
    {
        *("keyInvalid", "keyExpired", "accessNotConfigured", "ipRefererBlocked", "API_KEY_INVALID", "SERVICE_DISABLED"),
        *("API_KEY_SERVICE_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED", "required"),
    }
)
_GONE = ("Deleted video", "Private video")
"""The titles of items of a playlist whose video is not there any more."""


class Charged(Protocol):
    """A call that was charged."""

    def took(self, requests: int, /) -> None:
        """Say how many requests the service got for it."""
        ...

    def refused(self) -> MediaJobsError:
        """Say that the service's quota is used up; returns the error to raise."""
        ...


class Meter(Protocol):
    """Counts what calls cost."""

    def charge(self, method: str, /) -> Charged:
        """Charge a call that is about to be made. Raises what keeps it from being made."""
        ...


@dataclass(frozen=True)
class Channel:
    """A channel, and the playlist of all that it published."""

    id: str
    title: str
    uploads: str | None


@dataclass(frozen=True)
class Page:
    """One page of a list of videos."""

    videos: tuple[ListedVideo, ...]
    next_token: str | None
    """Names the next page; None: it is the last one."""


class YouTube(HttpClient):
    """Asks the YouTube Data API.

    Every method raises JobSettingsError without a key, what the meter raises, ServiceKeyError, ServiceLimitedError for
    too many requests in a short time, ServiceRefusedError for what does not exist or is private, and ServiceError.
    """

    def __init__(self, context: ServiceContext) -> None:
        self._record = context.record
        self._latest = local()
        super().__init__(replace(context, record=self._keep))

    def channel(self, name: str, meter: Meter) -> Channel:
        """The channel with an id (UC…) or a name (@…)."""
        by = {"forHandle": name} if name.startswith("@") else {"id": name}
        found = self._ask("channels.list", {"part": "snippet,contentDetails", **by}, meter)
        for item in _items(found):
            uploads = _at(item, "contentDetails", "relatedPlaylists", "uploads")
            channel_id = _text(item.get("id"))
            if channel_id:
                return Channel(channel_id, _text(_at(item, "snippet", "title")) or name, _text(uploads))
        raise ServiceRefusedError(f"There is no YouTube channel {name}. Correct MEDIAJOBS_YOUTUBE_CHANNELS.")

    def playlist(self, playlist_id: str, meter: Meter, *, token: str | None = None) -> Page:
        """A page of a playlist, in its order. Videos that were deleted or made private are left out."""
        asked = {"part": "snippet,contentDetails", "playlistId": playlist_id, "maxResults": PAGE, **_token(token)}
        found = self._ask("playlistItems.list", asked, meter)
        return Page(tuple(filter(None, map(_video_of_item, _items(found)))), _text(found.get("nextPageToken")))

    def videos(self, ids: Sequence[str], meter: Meter) -> list[ListedVideo]:
        """The details of at most PAGE videos; one that is gone, or private, is missing."""
        found = self._ask("videos.list", {"part": "snippet,contentDetails", "id": ",".join(ids)}, meter)
        if "items" not in found:  # all of them would be taken to be gone
            raise ServiceAnswerError("youtube videos.list was answered without a list of videos. Try again later.")
        return list(filter(None, map(_video_of_details, _items(found))))

    def search(
        self, query: str, meter: Meter, *, after: datetime | None = None, before: datetime | None = None
    ) -> list[ListedVideo]:
        """The most relevant PAGE videos for a text, published in that time."""
        asked: dict[str, str | int] = {"part": "snippet", "type": "video", "maxResults": PAGE, "q": query}
        asked |= {"publishedAfter": _stamp(after)} if after else {}
        asked |= {"publishedBefore": _stamp(before)} if before else {}
        return list(filter(None, map(_video_of_hit, _items(self._ask(SEARCH, asked, meter)))))

    # --- one call ----------------------------------------------------------------------------------------------------

    def _keep(self, call: ServiceCall) -> None:
        self._latest.call = call  # recorded once it is known what it cost

    def _ask(self, method: str, params: Query, meter: Meter) -> dict[str, Any]:
        settings = self._context.settings
        if settings.youtube_api_key is None:
            raise JobSettingsError("The YouTube Data API needs a key. Set MEDIAJOBS_YOUTUBE_API_KEY.")
        key = settings.youtube_api_key.get_secret_value()
        charged = meter.charge(method)
        requests: int | None = None
        status: str | None = None
        url = f"{settings.youtube_url.rstrip('/')}/{method.partition('.')[0]}"
        try:
            answer = self.request(
                *("GET", url),
                service=SERVICE,
                op=method,
                params=params,
                headers={"X-Goog-Api-Key": key},
                max_bytes=_MOST_BYTES,
                trusted=True,
            )
            return _object(answer.json(), answer.what)
        except ServiceError as error:
            requests = None if error.was_sent else 0
            explained = _explained(method, error, key, charged)
            status = explained.code
            if explained is error:
                raise
            raise explained from None
        finally:
            self._settle(charged, requests, status)

    def _settle(self, charged: Charged, requests: int | None, status: str | None) -> None:
        call: ServiceCall = self._latest.call
        took = call.tries if requests is None else requests
        charged.took(took)
        self._record(call.model_copy(update={"units": float(took), **({"status": status} if status else {})}))


def _told(method: str, error: ServiceError, reasons: Sequence[str]) -> str:
    """What YouTube says of its reasons, in its own words; else the message of the error."""
    found = _MESSAGE.search(error.answer)
    if found is None or error.http_status is None:
        return error.message
    try:
        words = redact(" ".join(str(json.loads(found[1])).split()))[:_LONGEST_TEXT]
    except ValueError:
        return error.message
    because = f" ({reasons[0]})" if reasons else ""
    return f"YouTube answered {method} with {error.http_status}{because}: {words.rstrip('.')}."


def _explained(method: str, error: ServiceError, key: str, charged: Charged) -> MediaJobsError:
    """The error behind an answer: what YouTube gives as its reason says more than the status."""
    reasons = _REASON.findall(error.answer)
    message = redact(_told(method, error, reasons), [key])
    if _OF_QUOTA.intersection(reasons):
        return charged.refused()
    if error.http_status == 403 and _OF_RATE.intersection(reasons):
        return ServiceLimitedError(message, http_status=error.http_status, retry_after_s=error.retry_after_s)
    if error.http_status == 401 or (error.http_status in (400, 403) and _OF_KEY.intersection(reasons)):
        told = f"{message} YouTube does not accept MEDIAJOBS_YOUTUBE_API_KEY. Correct it."
        return ServiceKeyError(told, http_status=error.http_status)
    return error if message == error.message else error.with_message(message)


# --- what answers hold -----------------------------------------------------------------------------------------------


def _video_of_item(item: dict[str, Any]) -> ListedVideo | None:
    if _at(item, "snippet", "title") in _GONE and not _at(item, "contentDetails", "videoPublishedAt"):
        return None
    video_id = _at(item, "contentDetails", "videoId") or _at(item, "snippet", "resourceId", "videoId")
    channel = _at(item, "snippet", "videoOwnerChannelTitle"), _at(item, "snippet", "videoOwnerChannelId")
    return _video(item, video_id, channel, _at(item, "contentDetails", "videoPublishedAt"))


def _video_of_details(item: dict[str, Any]) -> ListedVideo | None:
    return _video(item, item.get("id"), _channel(item), _at(item, "snippet", "publishedAt"))


def _video_of_hit(item: dict[str, Any]) -> ListedVideo | None:
    found = _video(item, _at(item, "id", "videoId"), _channel(item), _at(item, "snippet", "publishedAt"))
    return found and replace(found, title=unescape(found.title))  # other than elsewhere, it comes as HTML


def _channel(item: dict[str, Any]) -> tuple[Any, Any]:
    return _at(item, "snippet", "channelTitle"), _at(item, "snippet", "channelId")


def _video(item: dict[str, Any], video_id: Any, channel: tuple[Any, Any], published: Any) -> ListedVideo | None:
    if not is_video_id(video_id):
        return None
    return ListedVideo(
        video_id,
        _text(_at(item, "snippet", "title")) or video_id,
        channel_id=_text(channel[1]),
        channel=_text(channel[0]),
        published_at=parsed_moment(published),
        duration_s=parsed_duration(_at(item, "contentDetails", "duration")),
    )


def _object(answer: Any, what: str) -> dict[str, Any]:
    if not isinstance(answer, dict) or not isinstance(cast("dict[str, Any]", answer).get("items", []), list):
        raise ServiceAnswerError(f"{what} was not answered as the YouTube Data API does. Check MEDIAJOBS_YOUTUBE_URL.")
    return cast("dict[str, Any]", answer)


def _items(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    items = cast("list[Any]", answer.get("items", []))
    return (cast("dict[str, Any]", item) for item in items if isinstance(item, dict))


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return value


def _text(value: object) -> str | None:
    return " ".join(value.split())[:_LONGEST_TEXT] or None if isinstance(value, str) else None


def _token(token: str | None) -> dict[str, str]:
    return {"pageToken": token} if token else {}


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
