"""A video site on loopback: the endpoints of the YouTube Data API v3 that are used, and the feeds of channels.

It answers as the real one does: pages of fifty, errors with reasons, empty lists for ids that do not exist. A test can
put any other answer in the place of one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.services.server import Behaviour, Exchange, serving

KEY = "AIzaSyA-test-key-0123456789"
PAGE = 50
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class SiteVideo:
    """A video of the site."""

    id: str
    title: str
    channel: str = "UCleague"
    published_at: datetime = NOW
    duration: str = "PT2H5M"
    is_gone: bool = False


@dataclass
class VideoSite:
    """What the site holds, and what it was asked."""

    videos: dict[str, SiteVideo] = field(default_factory=dict[str, SiteVideo])
    channels: dict[str, str] = field(default_factory=dict[str, str])
    """Titles by id."""
    playlists: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Ids of videos by the id of the playlist."""
    instead: dict[str, Behaviour] = field(default_factory=dict[str, Behaviour])
    """What to do in the place of an answer, by `feed UC…` or the name of a method such as `videos`."""
    asked: list[str] = field(default_factory=list[str])
    """`feed UC…`, or the name of a method; in their order."""
    searches: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    url: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that make mediajobs ask this site."""
        return {
            "youtube_url": f"{self.url}/youtube/v3",
            "youtube_feed_url": f"{self.url}/feeds/videos.xml",
            "youtube_api_key": KEY,
            "service_retry_base_s": 0.0,
        }

    def add(self, video_id: str, title: str, **more: Any) -> SiteVideo:
        """Publish a video in its channel."""
        video = self.videos[video_id] = SiteVideo(video_id, title, **more)
        self.channels.setdefault(video.channel, f"Channel {video.channel}")
        self.playlists.setdefault(f"UU{video.channel[2:]}", []).insert(0, video_id)
        return video

    # --- answers -----------------------------------------------------------------------------------------------------

    def behave(self, exchange: Exchange) -> None:
        """Answer a request."""
        self.exchanges.append(exchange)
        parts = urlsplit(exchange.target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        name = parts.path.rpartition("/")[2]
        method = f"feed {query.get('channel_id')}" if name == "videos.xml" else name
        self.asked.append(method)
        if method in self.instead:
            self.instead[method](exchange)
        elif name == "videos.xml":
            self._feed(exchange, query)
        elif exchange.headers.get("X-Goog-Api-Key") != KEY:
            refuse(exchange, 400, "badRequest", "API key not valid.", detail="API_KEY_INVALID")
        else:
            answers: dict[str, Callable[[Exchange, dict[str, str]], None]] = {
                "channels": self._channels,
                "playlistItems": self._playlist_items,
                "videos": self._details,
                "search": self._search,
            }
            answers[name](exchange, query)

    def _feed(self, exchange: Exchange, query: dict[str, str]) -> None:
        channel = query["channel_id"]
        if channel not in self.channels:
            exchange.answer(b"Not Found", 404)
            return
        newest = self.playlists.get(f"UU{channel[2:]}", [])[:15]
        entries = "".join(feed_entry(self.videos[each], self.channels[channel]) for each in newest)
        exchange.answer(feed(self.channels[channel], entries), headers={"Content-Type": "text/xml; charset=UTF-8"})

    def _channels(self, exchange: Exchange, query: dict[str, str]) -> None:
        named = {f"@{title}": each for each, title in self.channels.items()}
        found = [each for each in (query.get("id"), named.get(query.get("forHandle", ""))) if each in self.channels]
        exchange.answer(
            {
                "items": [
                    {
                        "id": each,
                        "snippet": {"title": self.channels[each]},
                        "contentDetails": {"relatedPlaylists": {"uploads": f"UU{each[2:]}"}},
                    }
                    for each in found
                ]
            }
        )

    def _playlist_items(self, exchange: Exchange, query: dict[str, str]) -> None:
        if query["playlistId"] not in self.playlists:
            refuse(exchange, 404, "playlistNotFound", "The playlist cannot be found.")
            return
        start = int(query.get("pageToken", "0"))
        ids = self.playlists[query["playlistId"]]
        items = [self._item(self.videos[each]) for each in ids[start : start + PAGE]]
        more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(ids) else {}
        exchange.answer({"items": items, **more})

    def _item(self, video: SiteVideo) -> dict[str, Any]:
        if video.is_gone:
            return {"snippet": {"title": "Deleted video"}, "contentDetails": {"videoId": video.id}}
        channel = {"videoOwnerChannelId": video.channel, "videoOwnerChannelTitle": self.channels[video.channel]}
        details = {"videoId": video.id, "videoPublishedAt": stamp(video.published_at)}
        return {"snippet": {"title": video.title, **channel}, "contentDetails": details}

    def _details(self, exchange: Exchange, query: dict[str, str]) -> None:
        ids = query["id"].split(",")
        assert len(ids) <= PAGE
        found = [self.videos[each] for each in ids if each in self.videos and not self.videos[each].is_gone]
        exchange.answer(
            {
                "items": [
                    {"id": each.id, "snippet": self._snippet(each), "contentDetails": {"duration": each.duration}}
                    for each in found
                ]
            }
        )

    def _search(self, exchange: Exchange, query: dict[str, str]) -> None:
        self.searches.append(query)
        words = query["q"].casefold().split()
        found = [
            each
            for each in self.videos.values()
            if all(word in each.title.casefold() for word in words) and not each.is_gone
        ]
        items = [
            {"id": {"kind": "youtube#video", "videoId": each.id}, "snippet": self._snippet(each, as_html=True)}
            for each in found[:PAGE]
        ]
        exchange.answer({"items": items})

    def _snippet(self, video: SiteVideo, *, as_html: bool = False) -> dict[str, str]:
        return {
            "title": escape(video.title) if as_html else video.title,
            "channelId": video.channel,
            "channelTitle": self.channels[video.channel],
            "publishedAt": stamp(video.published_at),
        }


@contextmanager
def running_site() -> Generator[VideoSite]:
    """Run it until the block ends."""
    site = VideoSite()
    with serving(site.behave) as server:
        site.url = server.url
        yield site


def stamp(moment: datetime) -> str:
    """A moment as the API writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def refuse(exchange: Exchange, status: int, reason: str, message: str, *, detail: str | None = None) -> None:
    """An error as the API gives it."""
    error: dict[str, Any] = {"code": status, "message": message, "errors": [{"message": message, "reason": reason}]}
    if detail:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail}]
    exchange.answer({"error": error}, status)


def refusing(status: int, reason: str, message: str = "Refused.") -> Behaviour:
    """Answers every request with this error."""
    return lambda exchange: refuse(exchange, status, reason, message)


def feed(title: str, entries: str) -> bytes:
    """The feed of a channel, as the site writes it."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns:media="http://search.yahoo.com/mrss/"
      xmlns="http://www.w3.org/2005/Atom">
 <title>{escape(title)}</title>
{entries}</feed>
""".encode()


def feed_entry(video: SiteVideo, channel: str) -> str:
    """One entry of it."""
    return f""" <entry>
  <id>yt:video:{video.id}</id>
  <yt:videoId>{video.id}</yt:videoId>
  <yt:channelId>{video.channel}</yt:channelId>
  <title>{escape(video.title)}</title>
  <link rel="alternate" href="https://www.youtube.com/watch?v={video.id}"/>
  <author><name>{escape(channel)}</name></author>
  <published>{video.published_at.isoformat()}</published>
  <media:group><media:title>{escape(video.title)}</media:title></media:group>
 </entry>
"""
