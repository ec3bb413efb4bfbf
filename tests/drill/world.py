"""The services that the scheduled jobs of a drill ask: a video site and a calendar, over real HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from mediajobs_dagster.models import utc_now
from tests.discovery.video_site import KEY, VideoSite
from tests.services.server import Exchange, serving

_CHANNEL = "UCleague0000000000000000"
_GAMES = 20


@contextmanager
def outside_world() -> Iterator[dict[str, str]]:
    """Services with some games and their videos, until the block ends; the variables that name them."""
    site, calendar = VideoSite(), _calendar()
    for number in range(_GAMES):
        site.add(f"video{number:06}", f"Lions vs. Bears, game {number}", channel=_CHANNEL)

    def behave(exchange: Exchange) -> None:
        if exchange.target.startswith("/calendar"):
            exchange.answer(calendar, headers={"Content-Type": "text/calendar"})
        else:
            site.behave(exchange)

    with serving(behave) as server:
        yield {
            "MEDIAJOBS_CALENDARS": f"games={server.url}/calendar.ics",
            "MEDIAJOBS_PRIVATE_ADDRESSES": "127.0.0.0/8",
            "MEDIAJOBS_YOUTUBE_API_KEY": KEY,
            "MEDIAJOBS_YOUTUBE_CHANNELS": _CHANNEL,
            "MEDIAJOBS_YOUTUBE_URL": f"{server.url}/youtube/v3",
            "MEDIAJOBS_YOUTUBE_FEED_URL": f"{server.url}/feeds/videos.xml",
            "MEDIAJOBS_SERVICE_RETRY_BASE_S": "0",
        }


def _calendar() -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//drill//EN"]
    for number in range(_GAMES):
        at = utc_now() - timedelta(hours=3 * number + 3)
        lines += [
            *("BEGIN:VEVENT", f"UID:game-{number}", f"SUMMARY:Lions vs. Bears\\, game {number}"),
            *(f"DTSTART:{at:%Y%m%dT%H%M%SZ}", f"DTEND:{at + timedelta(hours=2):%Y%m%dT%H%M%SZ}", "END:VEVENT"),
        ]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()
