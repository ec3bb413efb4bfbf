"""The feeds of YouTube channels: the fifteen newest videos of each, without a key and without quota.

Needs the extra `discovery`. What a feed holds is data: no address in it is fetched.
"""

# feedparser has no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from mediajobs_dagster.errors import ExtraMissingError, ServiceAnswerError
from mediajobs_dagster.services.http import MIB, HttpClient
from mediajobs_dagster.services.listed_video import ListedVideo, is_video_id, parsed_moment
from mediajobs_dagster.services.redirects import with_query

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE, FEED = "youtube", "feed"
"""The names of the service and of its one operation, in records of calls."""

_MOST_BYTES = MIB // 2
"""A feed of YouTube has 100 KB at most, and feedparser takes its time."""
_DEEPEST = 50
"""Levels of elements; a feed has five."""
_MOST_ENTRIES = 1000
_LONGEST_TEXT = 500


class ChannelFeeds(HttpClient):
    """Reads the feeds of channels."""

    def videos(self, channel_id: str) -> list[ListedVideo]:
        """The newest videos of a channel, as its feed has them. An entry without a video's id is left out.

        Raises ServiceError and its kinds (a channel that does not exist is a ServiceRefusedError with the status 404),
        ServiceAnswerError when the answer is no feed, and ExtraMissingError.
        """
        url = with_query(self._context.settings.youtube_feed_url, {"channel_id": channel_id})
        answer = self.get_kept(url, service=SERVICE, op=FEED, max_bytes=_MOST_BYTES, trusted=True)
        return _videos_in(answer.body, answer.headers, answer.what)


def _videos_in(body: bytes, headers: Mapping[str, str], what: str) -> list[ListedVideo]:
    try:
        import feedparser
    except ImportError as error:
        raise ExtraMissingError.of("Reading feeds needs", "discovery") from error
    body = body.strip()
    _check(body, what)
    # As a stream: what is given as text would be fetched if it looked like an address, or opened if like a path.
    feed: Any = feedparser.parse(
        io.BytesIO(body),
        response_headers={"content-type": headers.get("Content-Type", "")},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    if not feed.get("version"):
        raise ServiceAnswerError(f"{what} was not answered with a feed. Check the id of the channel and the address.")
    author = _text(feed.feed.get("title"))
    listed = (_video_of(entry, author) for entry in feed.entries[:_MOST_ENTRIES])
    return list({video.id: video for video in listed if video}.values())


def _check(body: bytes, what: str) -> None:
    """Raise ServiceAnswerError unless the document is sound.

    On others feedparser spends minutes, and a kilobyte of nested entities would become gigabytes of text.
    """
    depth = 0

    def begin(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ServiceAnswerError(f"{what} was answered with a document whose elements are nested too deep.")

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    def declare(*_: object) -> None:
        raise ServiceAnswerError(f"{what} was answered with a document that declares entities, which no feed needs.")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.EntityDeclHandler = begin, end, declare
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # an encoding that nobody knows, too
        raise ServiceAnswerError(
            f"{what} was not answered with a feed: {error}. Check the id of the channel and the address."
        ) from error


def _video_of(entry: Any, author: str | None) -> ListedVideo | None:
    video_id = entry.get("yt_videoid") or str(entry.get("id", "")).removeprefix("yt:video:")
    if not is_video_id(video_id):
        return None
    return ListedVideo(
        video_id,
        _text(entry.get("title")) or video_id,
        channel_id=_text(entry.get("yt_channelid")),
        channel=_text(entry.get("author")) or author,
        # Not as feedparser has it, which makes a day of 2026-99-99.
        published_at=parsed_moment(entry.get("published")),
    )


def _text(value: object) -> str | None:
    return " ".join(value.split())[:_LONGEST_TEXT] or None if isinstance(value, str) else None
