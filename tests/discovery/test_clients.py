"""The clients of the video site, over real HTTP: what they read, what a call costs, and what each refusal means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.cancellation import Cancellation, Deadline
from mediajobs_dagster.errors import MediaJobsError, QuotaExhaustedError, ServiceError
from mediajobs_dagster.models import ServiceCall
from mediajobs_dagster.services.base import ServiceClient, ServiceContext
from mediajobs_dagster.services.channel_feeds import ChannelFeeds
from mediajobs_dagster.services.listed_video import ListedVideo, parsed_duration, parsed_moment
from mediajobs_dagster.services.youtube import YouTube
from mediajobs_dagster.settings import Settings
from tests.discovery.video_site import KEY, VideoSite, feed, feed_entry, refusing
from tests.services.server import Exchange


@dataclass
class Tally:
    """A meter that writes down what it is told."""

    told: list[object] = field(default_factory=list[object])

    def charge(self, method: str, /) -> Tally:
        self.told.append(method)
        return self

    def took(self, requests: int, /) -> None:
        self.told.append(requests)

    def refused(self) -> MediaJobsError:
        self.told.append("refused")
        return QuotaExhaustedError("Nothing is left.")


@dataclass
class Clients:
    """Both clients, and the calls that they recorded."""

    feeds: ChannelFeeds
    youtube: YouTube
    calls: list[ServiceCall]
    meter: Tally = field(default_factory=Tally)


Open = Callable[..., Clients]


@pytest.fixture
def open_clients(site: VideoSite, tmp_path: Path) -> Iterator[Open]:
    """Opens clients of the site; keyword arguments are settings."""
    opened: list[ServiceClient] = []

    def open_them(**more: Any) -> Clients:
        calls: list[ServiceCall] = []
        settings = Settings.load(_env_file=None, **({"home": tmp_path} | site.settings | more))
        context = ServiceContext(settings, Cancellation(), Deadline.after(20), calls.append)
        opened.extend((ChannelFeeds.open(context), YouTube.open(context)))
        return Clients(*opened[-2:], calls)  # pyright: ignore[reportArgumentType]

    yield open_them
    for client in opened:
        client.close()


@pytest.fixture
def clients(open_clients: Open) -> Clients:
    """Clients of the site."""
    return open_clients()


PUBLISHED = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)

# --- feeds -----------------------------------------------------------------------------------------------------------


def test_a_feed_is_read(site: VideoSite, clients: Clients) -> None:
    """Ids, titles in any script, channel and moment; no length, which feeds do not have."""
    site.add("aaaaaaaaaaa", "Lakers & Celtics – 試合 🏀", published_at=PUBLISHED)
    assert clients.feeds.videos("UCleague") == [
        ListedVideo("aaaaaaaaaaa", "Lakers & Celtics – 試合 🏀", "UCleague", "Channel UCleague", PUBLISHED)
    ]
    (call,) = clients.calls
    assert (call.service, call.op, call.status, call.units) == ("youtube", "feed", "ok", None)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/xml"),
        (b"<!doctype html><html><body><h1>Sign in</h1></body></html>", "text/html"),
        (b"\x00\xff\xfe garbage \x80", "application/octet-stream"),
        (b'{"not": "a feed"}', "application/json"),
        (b"/etc/passwd", "text/plain"),
        (b"file:///etc/passwd", "text/plain"),
        (b"<feed", "text/xml"),
        (b"<feed>" * 20_000, "text/xml"),
        (b'<?xml version="1.0" encoding="klingon"?><feed/>', "text/xml"),
    ],
)
def test_what_is_no_feed_is_refused(site: VideoSite, clients: Clients, body: bytes, content_type: str) -> None:
    """With a code that says so; nothing that it names is opened or fetched."""
    site.instead["feed UCx"] = lambda exchange: exchange.answer(body, headers={"Content-Type": content_type})
    with pytest.raises(ServiceError) as caught:
        clients.feeds.videos("UCx")
    assert caught.value.code == "SERVICE_ANSWER_INVALID"


def test_no_address_in_a_feed_is_fetched(site: VideoSite, clients: Clients) -> None:
    """Whatever a body looks like."""
    elsewhere = f"{site.url}/secret"
    site.instead["feed UCx"] = lambda exchange: exchange.answer(elsewhere.encode())
    site.add("aaaaaaaaaaa", elsewhere)
    with pytest.raises(ServiceError):
        clients.feeds.videos("UCx")
    assert clients.feeds.videos("UCleague")[0].title == elsewhere
    assert site.asked == ["feed UCx", "feed UCleague"]


def test_entries_of_a_feed_that_are_odd(site: VideoSite, clients: Clients) -> None:
    """Without an id or with one that is none they are left out; doubles count once; a bad date is no date."""
    good = feed_entry(site.add("aaaaaaaaaaa", "One", published_at=PUBLISHED), "C")
    entries = [
        *(good, good),
        good.replace("aaaaaaaaaaa", "../../../x"),
        "<entry><title>no id</title></entry>",
        feed_entry(site.add("bbbbbbbbbbb", "Two", published_at=PUBLISHED), "C").replace("2026-11-25", "2026-99-99"),
        "<entry><id>yt:video:ccccccccccc</id></entry>",
    ]
    site.instead["feed UCx"] = lambda exchange: exchange.answer(feed("C", "".join(entries)))
    found = clients.feeds.videos("UCx")
    assert [(each.id, each.title, each.published_at) for each in found] == [
        ("aaaaaaaaaaa", "One", PUBLISHED),
        ("bbbbbbbbbbb", "Two", None),
        ("ccccccccccc", "ccccccccccc", None),
    ]


def test_a_feed_in_another_encoding(site: VideoSite, clients: Clients) -> None:
    """As its own declaration says."""
    text = feed("Канал", feed_entry(site.add("aaaaaaaaaaa", "Спартак – Зенит"), "Канал")).decode()
    body = text.replace('encoding="UTF-8"', 'encoding="windows-1251"').encode("cp1251")
    site.instead["feed UCx"] = lambda exchange: exchange.answer(body, headers={"Content-Type": "application/xml"})
    assert [each.title for each in clients.feeds.videos("UCx")] == ["Спартак – Зенит"]


def test_entities_do_not_explode(site: VideoSite, clients: Clients) -> None:
    """A kilobyte that would become gigabytes."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY e0 "x">{levels}]><feed><title>&e9;</title></feed>'
    site.instead["feed UCx"] = lambda exchange: exchange.answer(bomb.encode(), headers={"Content-Type": "text/xml"})
    with pytest.raises(ServiceError, match="entities") as caught:
        clients.feeds.videos("UCx")
    assert caught.value.code == "SERVICE_ANSWER_INVALID"


def test_a_feed_that_is_too_large_or_not_there(site: VideoSite, clients: Clients) -> None:
    """Neither is read to its end."""

    def endless(exchange: Exchange) -> None:
        exchange.end(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n" + b"<feed>" + b"x" * (3 * 1024 * 1024))

    site.instead["feed UCx"] = endless
    with pytest.raises(ServiceError) as caught:
        clients.feeds.videos("UCx")
    assert caught.value.code == "SERVICE_ANSWER_TOO_LARGE"
    with pytest.raises(ServiceError) as caught:
        clients.feeds.videos("UCnobody")
    assert (caught.value.code, caught.value.http_status) == ("SERVICE_REFUSED", 404)


# --- the data API ----------------------------------------------------------------------------------------------------


def test_every_method(site: VideoSite, clients: Clients) -> None:
    """What each reads; each call is charged before it is made, and recorded with what it cost."""
    youtube, meter = clients.youtube, clients.meter
    site.add("aaaaaaaaaaa", "Lakers' <best> game", published_at=PUBLISHED, duration="PT1H2M3S")
    whole = ListedVideo("aaaaaaaaaaa", "Lakers' <best> game", "UCleague", "Channel UCleague", PUBLISHED, 3723.0)
    listed = ListedVideo("aaaaaaaaaaa", "Lakers' <best> game", "UCleague", "Channel UCleague", PUBLISHED)
    assert youtube.channel("UCleague", meter).uploads == "UUleague"
    assert youtube.channel("@Channel UCleague", meter).id == "UCleague"
    assert youtube.playlist("UUleague", meter).videos == (listed,)
    assert youtube.videos(["aaaaaaaaaaa", "gone"], meter) == [whole]
    assert youtube.search("lakers", meter, after=PUBLISHED, before=PUBLISHED) == [listed]
    assert site.searches[0]["publishedAfter"] == "2026-11-25T04:30:00Z"
    methods = ["channels.list", "channels.list", "playlistItems.list", "videos.list", "search.list"]
    assert meter.told == [told for method in methods for told in (method, 1)]
    assert [(call.op, call.units) for call in clients.calls] == [(method, 1.0) for method in methods]


def test_the_key_is_nowhere_to_be_seen(site: VideoSite, clients: Clients) -> None:
    """Not in an address, and not in a message, even if the service repeats it."""
    site.instead["videos"] = refusing(403, "forbidden", f"The key {KEY} may not do this.")
    with pytest.raises(ServiceError) as caught:
        clients.youtube.videos(["a"], clients.meter)
    assert KEY not in f"{caught.value} {clients.calls} {[each.target for each in site.exchanges]}"
    assert site.exchanges[0].headers["X-Goog-Api-Key"] == KEY


def test_pages_follow_each_other(site: VideoSite, clients: Clients) -> None:
    """Fifty a page; those that were deleted are left out."""
    for number in range(60):
        site.add(f"video{number:06}", f"Video {number}", is_gone=number == 3)
    first = clients.youtube.playlist("UUleague", clients.meter)
    second = clients.youtube.playlist("UUleague", clients.meter, token=first.next_token)
    assert (len(first.videos), len(second.videos), second.next_token) == (50, 9, None)


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (403, "quotaExceeded", "QUOTA_EXHAUSTED"),
        (403, "dailyLimitExceeded", "QUOTA_EXHAUSTED"),
        (429, "quotaExceeded", "QUOTA_EXHAUSTED"),
        (403, "rateLimitExceeded", "SERVICE_LIMITED"),
        (403, "forbidden", "SERVICE_REFUSED"),
        (403, "accessNotConfigured", "SERVICE_KEY_REFUSED"),
        (400, "keyInvalid", "SERVICE_KEY_REFUSED"),
        (401, "authError", "SERVICE_KEY_REFUSED"),
        (400, "invalidParameter", "SERVICE_REFUSED"),
        (404, "channelNotFound", "SERVICE_REFUSED"),
        (429, "tooMany", "SERVICE_LIMITED"),
        (500, "backendError", "SERVICE_UNAVAILABLE"),
    ],
)
def test_what_a_refusal_means(site: VideoSite, open_clients: Open, status: int, reason: str, code: str) -> None:
    """A quota that is used up, a key that is not accepted and a thing that is private are three faults."""
    clients = open_clients(service_tries=1)
    site.instead["videos"] = refusing(status, reason)
    with pytest.raises(MediaJobsError) as caught:
        clients.youtube.videos(["a"], clients.meter)
    assert caught.value.code == code
    assert clients.calls[0].status == code
    assert ("refused" in clients.meter.told) == (code == "QUOTA_EXHAUSTED")
    assert clients.meter.told[-1] == 1


def test_a_wrong_key_is_told_as_such(site: VideoSite, open_clients: Open) -> None:
    """As the real API answers it; and without one, nothing is asked or charged."""
    wrong = open_clients(youtube_api_key="AIza-wrong")
    with pytest.raises(MediaJobsError, match="MEDIAJOBS_YOUTUBE_API_KEY") as caught:
        wrong.youtube.videos(["a"], wrong.meter)
    assert caught.value.code == "SERVICE_KEY_REFUSED"
    none = open_clients(youtube_api_key=None)
    with pytest.raises(MediaJobsError, match="Set MEDIAJOBS_YOUTUBE_API_KEY") as caught:
        none.youtube.videos(["a"], none.meter)
    assert (caught.value.code, none.meter.told) == ("JOB_SETTINGS_INVALID", [])


def test_each_try_costs_a_unit_and_no_connection_none(site: VideoSite, open_clients: Open) -> None:
    """Two refusals and an answer are three requests; where nobody listens, the charge is given back."""
    clients = open_clients(service_tries=4)
    site.add("aaaaaaaaaaa", "One")

    def busy_at_first(exchange: Exchange) -> None:
        if len(site.exchanges) >= 2:
            del site.instead["videos"]
        exchange.answer(b"busy", 503)

    site.instead["videos"] = busy_at_first
    assert len(clients.youtube.videos(["aaaaaaaaaaa"], clients.meter)) == 1
    assert (clients.meter.told, clients.calls[0].units) == (["videos.list", 3], 3.0)

    deaf = open_clients(youtube_url="http://127.0.0.1:1", service_tries=2)
    with pytest.raises(ServiceError):
        deaf.youtube.videos(["a"], deaf.meter)
    assert (deaf.meter.told, deaf.calls[0].units) == (["videos.list", 0], 0.0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": 7}', b'{"items"', b"\xff\xfe"])
def test_an_answer_of_another_kind(site: VideoSite, open_clients: Open, body: bytes) -> None:
    """It is the service's fault, and the call counts."""
    clients = open_clients()
    site.instead["videos"] = lambda exchange: exchange.answer(body)
    with pytest.raises(ServiceError) as caught:
        clients.youtube.videos(["a"], clients.meter)
    assert caught.value.code == "SERVICE_ANSWER_INVALID"
    assert clients.meter.told == ["videos.list", 1]


def test_items_that_are_odd_are_left_out(site: VideoSite, clients: Clients) -> None:
    """The others are read."""
    items = [None, 7, {}, {"id": 3}, {"id": "a b"}, {"id": "fine", "snippet": 4, "contentDetails": {"duration": 9}}]
    site.instead["videos"] = lambda exchange: exchange.answer({"items": items})
    assert clients.youtube.videos(["x"], clients.meter) == [ListedVideo("fine", "fine")]


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H2M3S", 3723.0),
        ("PT45S", 45.0),
        ("PT90M", 5400.0),
        ("P1DT1S", 86_401.0),
        ("P1W", 604_800.0),
        ("PT0.5S", 0.5),
        ("P0D", None),
        ("PT0S", None),
        ("P", None),
        ("", None),
        ("1:02:03", None),
        ("PT-5S", None),
        ("PT٣S", None),
        (f"PT{'9' * 5000}S", None),
        (None, None),
        (7, None),
    ],
)
def test_durations(text: object, seconds: float | None) -> None:
    """ISO 8601, as the API writes lengths; a live video has none yet."""
    assert parsed_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-25T04:30:00Z", PUBLISHED),
        ("2026-11-25T04:30:00", PUBLISHED),
        ("2026-11-24T20:30:00-08:00", PUBLISHED),
        ("yesterday", None),
        ("0001-01-01T00:00:00+23:00", None),
        (None, None),
    ],
)
def test_moments(text: object, moment: datetime | None) -> None:
    """A bad one is none, not an error."""
    assert parsed_moment(text) == moment
