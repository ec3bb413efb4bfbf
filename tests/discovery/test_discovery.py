"""The job type as a whole, over real HTTP: what is found, what it costs, to what it is linked, what faults do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.history import VideoFilter
from mediajobs_dagster.history.schema import videos as videos_table
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.video_discovery import JOB_TYPE
from mediajobs_dagster.models import (
    AttemptStatus,
    Event,
    EventStatus,
    JobStatus,
    LinkedBy,
    NewEvent,
    Tick,
    Video,
    new_trace_id,
)
from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH, YOUTUBE_UNITS, Quota
from tests.discovery.video_site import KEY, VideoSite, refuse, refusing
from tests.platform import Platform
from tests.services.server import Exchange

NOW = datetime.now(UTC).replace(microsecond=0)
BEGAN = NOW - timedelta(hours=8)
ENDED = NOW - timedelta(hours=6)
LAKERS, CELTICS, WARRIORS = "Los Angeles Lakers", "Boston Celtics", "Golden State Warriors"


@dataclass
class Discovery:
    """A platform that asks the site, tick by tick."""

    platform: Platform
    site: VideoSite
    ticks: int = 0

    def run(self, status: AttemptStatus = AttemptStatus.SUCCESS) -> dict[str, Any]:
        """One pass; returns its figures."""
        ended = self.attempt()
        assert ended.status is status, ended.error
        return ended.manifest.figures

    def attempt(self) -> AttemptEnded:
        """One pass."""
        self.site.asked.clear()
        self.ticks += 1
        tick = Tick(schedule=JOB_TYPE.name, created_at=NOW + timedelta(hours=self.ticks))
        self.platform.history.jobs.enqueue([JOB_TYPE.request(tick, trace_id=new_trace_id(), max_attempts=1)])
        (ended,) = self.platform.work()
        return ended

    def event(self, title: str = "Lakers vs Celtics", *names: str, **more: Any) -> Event:
        """An event that is over."""
        values: dict[str, Any] = {
            "external_id": title,
            "title": title,
            "participants": names or (LAKERS, CELTICS),
            "starts_at": BEGAN,
            "ends_at": ENDED,
            "status": EventStatus.FINISHED,
        }
        new = NewEvent(**values | more)
        self.platform.history.events.upsert("games", [new], asked_at=NOW)
        (found,) = self.platform.history.naming.events(new.external_id, limit=1)
        return found

    def videos(self, **conditions: Any) -> dict[str, Video]:
        """The videos that are known, by their ids at the site."""
        found = self.platform.history.videos.list(VideoFilter(**conditions), limit=500)
        return {video.external_id: video for video in found}

    def units(self, bucket: str = YOUTUBE_UNITS) -> int:
        """What the ledger counts as used."""
        standings = Quota.of(self.platform.history, self.platform.settings).standings()
        return next(each.used.units for each in standings if each.bucket.name == bucket)


OpenDiscovery = Callable[..., Discovery]


@pytest.fixture
def open_discovery(open_platform: Callable[..., Platform], site: VideoSite) -> OpenDiscovery:
    """Opens a platform that asks the site; keyword arguments are settings."""

    def open_one(**settings: Any) -> Discovery:
        registry = Registry([JOB_TYPE])
        return Discovery(open_platform(registry=registry, offers=("none",), **(site.settings | settings)), site)

    return open_one


def test_a_new_video_is_found_and_linked_to_its_event(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """By the feed and one call for details. The second pass finds nothing new, and asks for the feed alone."""
    discovery = open_discovery(youtube_channels="UCleague")
    event = discovery.event()
    site.add("aaaaaaaaaaa", "Lakers vs. Celtics | Full Game Highlights", published_at=ENDED + timedelta(hours=1))
    figures = discovery.run()
    assert site.asked == ["feed UCleague", "videos"]
    expected = {"found": 1, "new": 1, "updated": 0, "removed": 0, "matched": 1, "calls": 2, "units": 1}
    assert figures.items() >= expected.items()
    assert (figures["sources"], figures["failed_sources"], figures["events_without_video"]) == (1, 0, 0)
    (video,) = discovery.videos().values()
    assert (video.event_id, video.linked_by, video.found_by) == (event.id, LinkedBy.MATCHING, "feed")
    assert (video.duration_seconds, video.address) == (7500.0, "https://www.youtube.com/watch?v=aaaaaaaaaaa")
    (match,) = discovery.platform.history.videos.matches(event_id=event.id)
    assert match.score > 0.9
    assert [reason.feature for reason in match.reasons] == ["title", "participants", "date", "duration", "channel"]
    assert discovery.units() == 1

    figures = discovery.run()
    assert site.asked == ["feed UCleague"]
    assert [figures[name] for name in ("found", "new", "updated", "matched", "units")] == [1, 0, 0, 0, 0]


# --- cheap first -----------------------------------------------------------------------------------------------------


def test_the_feed_suffices_while_it_reaches_back(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """A feed of which all is new may hide more behind it: then the playlist is read, until something known or old."""
    discovery = open_discovery(youtube_channels="UCleague")
    for number in range(70):
        site.add(f"video{number:06}", f"Video {number}", published_at=NOW - timedelta(hours=70 - number))
    assert discovery.run()["new"] == 70
    assert site.asked == ["feed UCleague", "playlistItems", "playlistItems", "videos", "videos"]
    site.add("newest00001", "One more")
    assert discovery.run()["new"] == 1
    assert site.asked == ["feed UCleague", "videos"]
    for number in range(20):
        site.add(f"newer{number:06}", f"Newer {number}")
    figures = discovery.run()
    assert (figures["new"], figures["found"]) == (20, 50)
    assert site.asked == ["feed UCleague", "playlistItems", "videos"]


def test_old_videos_of_a_channel_are_not_read_through(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """A channel with thousands of videos costs one page at most at first."""
    discovery = open_discovery(youtube_channels="UCleague", discovery_days=2)
    for number in range(120):
        site.add(f"video{number:06}", f"Video {number}", published_at=NOW - timedelta(hours=120 - number))
    assert discovery.run()["found"] == 50
    assert site.asked == ["feed UCleague", "playlistItems", "videos"]


def test_a_name_of_a_channel_is_looked_up(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """One call finds its id; then its feed is read like any other."""
    discovery = open_discovery(youtube_channels="@Channel UCleague")
    site.add("aaaaaaaaaaa", "One")
    assert discovery.run()["new"] == 1
    assert site.asked == ["channels", "feed UCleague", "videos"]


def test_without_a_key_feeds_are_read(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Nothing but them, and videos are linked by what feeds tell."""
    discovery = open_discovery(youtube_channels="UCleague", youtube_api_key="")
    event = discovery.event()
    site.add("aaaaaaaaaaa", "Lakers vs Celtics", published_at=ENDED)
    assert discovery.run().items() >= {"new": 1, "matched": 1, "units": 0, "calls": 1}.items()
    assert site.asked == ["feed UCleague"]
    assert discovery.videos()["aaaaaaaaaaa"].event_id == event.id


def test_one_video_in_many_sources_is_one_video(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Counted once, found by the source that had it first, and asked for in detail once."""
    discovery = open_discovery(
        youtube_channels="UCleague", youtube_playlists="PLbest,UUleague", youtube_queries="lakers"
    )
    site.add("aaaaaaaaaaa", "Lakers &amp; more")
    site.playlists["PLbest"] = ["aaaaaaaaaaa", "aaaaaaaaaaa"]
    figures = discovery.run()
    assert figures.items() >= {"found": 1, "new": 1, "updated": 0, "sources": 4, "calls": 5, "units": 4}.items()
    assert site.asked == ["feed UCleague", "playlistItems", "playlistItems", "search", "videos"]
    (video,) = discovery.videos().values()
    assert (video.found_by, video.found_in, video.title) == ("feed", "UCleague", "Lakers &amp; more")
    assert (discovery.units(), discovery.units(YOUTUBE_SEARCH)) == (3, 1)


def test_what_changed_is_counted_and_what_is_gone_is_noted(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Another title, a length that is known at last, and a video that its site does not have any more."""
    discovery = open_discovery(youtube_channels="UCleague")
    event = discovery.event()
    site.add("live0000001", "Lakers vs Celtics live", duration="P0D", published_at=ENDED)
    site.add("other000002", "Something else", duration="P0D")
    assert discovery.run()["matched"] == 1
    assert discovery.videos()["live0000001"].duration_seconds is None
    site.videos["other000002"].title = "Something better"
    site.videos["other000002"].duration = "PT3M"
    site.videos["live0000001"].is_gone = True
    figures = discovery.run()
    assert (figures["updated"], figures["removed"], figures["new"]) == (1, 1, 0)
    known = discovery.videos(with_removed=True)
    assert (known["other000002"].title, known["other000002"].duration_seconds) == ("Something better", 180.0)
    gone = known["live0000001"]
    assert gone.removed_at
    assert (gone.event_id, gone.linked_by) == (None, None)
    assert [each.id for each in discovery.platform.history.events.finished_without_video(since=BEGAN, now=NOW)] == [
        event.id
    ]


# --- searches --------------------------------------------------------------------------------------------------------


def test_what_a_site_does_not_list_any_more_is_looked_after(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """A deleted video leaves feed and playlist. Once a day it is asked for by its id; its event is free again."""
    discovery = open_discovery(youtube_channels="UCleague")
    event = discovery.event()
    site.add("aaaaaaaaaaa", "Lakers vs Celtics", published_at=ENDED)
    assert discovery.run()["matched"] == 1
    site.videos["aaaaaaaaaaa"].is_gone = True
    site.playlists["UUleague"].remove("aaaaaaaaaaa")
    assert discovery.run()["removed"] == 0
    with discovery.platform.history._database.write() as connection:  # pyright: ignore[reportPrivateUsage]
        long_ago = {"checked_at": NOW - timedelta(days=2)}
        connection.execute(sa.update(videos_table).values(long_ago))
    assert discovery.run()["removed"] == 1
    free = discovery.platform.history.events.finished_without_video(since=BEGAN, now=NOW)
    assert [each.id for each in free] == [event.id]


def test_only_events_without_a_match_are_searched_for(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Last of all, by their participants, in the time that fits; and not again at the next pass."""
    discovery = open_discovery(youtube_channels="UCleague")
    discovery.event()
    missing = discovery.event("Warriors at Nuggets", WARRIORS, "Denver Nuggets")
    discovery.event("To come", "A", "B", status=EventStatus.SCHEDULED, ends_at=NOW + timedelta(days=1))
    site.add("aaaaaaaaaaa", "Lakers vs Celtics", published_at=ENDED)
    site.add("bbbbbbbbbbb", f"{WARRIORS} - Denver Nuggets", channel="UCfan", published_at=ENDED)
    figures = discovery.run()
    assert figures.items() >= {"matched": 2, "searches": 1, "events_without_video": 0, "found": 2}.items()
    assert site.asked == ["feed UCleague", "videos", "search", "videos"]
    (search,) = site.searches
    assert search["q"] == f"{WARRIORS} Denver Nuggets"
    assert search["publishedAfter"] == f"{BEGAN - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    assert discovery.videos()["bbbbbbbbbbb"].event_id == missing.id
    assert discovery.units(YOUTUBE_SEARCH) == 1


def test_an_event_that_cannot_be_searched_for_stops_no_other(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """What the service refuses for one event is noted, and asked again only after a pause."""
    discovery = open_discovery(youtube_channels="UCleague")
    site.add("aaaaaaaaaaa", "One")
    for number in range(2):
        discovery.event(f"Game {number}", f"A{number}", f"B{number}")
    site.instead["search"] = refusing(400, "invalidSearchFilter")
    discovery.run()
    assert site.asked.count("search") == 2
    site.asked.clear()
    discovery.run()
    assert "search" not in site.asked


def test_an_answer_without_a_list_takes_no_video_for_gone(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """An object without items is no answer to the question which videos there are."""
    discovery = open_discovery(youtube_channels="UCleague")
    site.add("aaaaaaaaaaa", "One")
    site.instead["videos"] = lambda exchange: exchange.answer({})
    figures = discovery.run()
    assert figures["removed"] == 0
    assert list(discovery.videos()) == ["aaaaaaaaaaa"]


def test_searches_for_an_event_become_rarer(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """An event that nobody has filmed does not use up the quota hour by hour."""
    discovery = open_discovery(youtube_channels="UCleague")
    site.channels["UCleague"] = "League"
    event = discovery.event()
    videos = discovery.platform.history.videos
    asked: list[int] = []
    for hour in range(30):
        before = len(site.searches)
        count, searched_at = videos.searches([event.id]).get(event.id, (0, NOW))
        if count:  # an hour later: the last search is one hour further back
            videos.note_search(event.id, now=searched_at - timedelta(hours=1))
            _set_searches(discovery, event, count)
        discovery.run()
        asked += [hour] * (len(site.searches) - before)
    assert asked == [0, 1, 3, 7, 15]


def _set_searches(discovery: Discovery, event: Event, count: int) -> None:
    table = "UPDATE video_searches SET searches = :count WHERE event_id = :event"
    with discovery.platform.history._database.write() as connection:
        connection.execute(sa.text(table), {"count": count, "event": event.id})


# --- a person's word -------------------------------------------------------------------------------------------------


def test_a_persons_word_stands(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """A video that a person has unlinked is not linked again, and one that a person linked stays where it is."""
    discovery = open_discovery(youtube_channels="UCleague")
    videos = discovery.platform.media.videos
    event, other = discovery.event(), discovery.event("Warriors at Nuggets", WARRIORS, "Denver Nuggets")
    site.add("aaaaaaaaaaa", "Lakers vs Celtics", published_at=ENDED)
    site.add("ccccccccccc", "Warriors at Nuggets", published_at=ENDED)
    videos_before = discovery.run()["matched"]
    assert videos_before == 2
    videos.unlink("aaaaaaaaaaa")
    videos.link("ccccccccccc", event.id)
    assert discovery.run()["matched"] == 0
    known = discovery.videos()
    assert (known["aaaaaaaaaaa"].event_id, known["aaaaaaaaaaa"].linked_by) == (None, LinkedBy.PERSON)
    assert (known["ccccccccccc"].event_id, known["ccccccccccc"].linked_by) == (event.id, LinkedBy.PERSON)
    site.add("ddddddddddd", "Warriors at Nuggets: full game", published_at=ENDED)
    assert discovery.run()["matched"] == 1
    assert discovery.videos()["ddddddddddd"].event_id == other.id


# --- faults ----------------------------------------------------------------------------------------------------------


def test_one_failing_channel_does_not_lose_the_others(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """HTML for a feed, a channel that is not there, and a playlist that is private: noted, each with its code."""
    discovery = open_discovery(youtube_channels="UChtml,UCleague,UCnobody", youtube_playlists="PLprivate")
    site.add("aaaaaaaaaaa", "One")
    site.instead["feed UChtml"] = lambda exchange: exchange.answer(b"<html><body>consent</body></html>")
    ended = discovery.attempt()
    assert ended.status is AttemptStatus.SUCCESS
    assert ended.manifest.figures.items() >= {"sources": 4, "failed_sources": 3, "new": 1}.items()
    notes = "\n".join(ended.manifest.notes)
    assert "Channel UChtml: the feed cannot be read (SERVICE_ANSWER_INVALID)" in notes
    assert "Channel UCnobody: SERVICE_REFUSED: YouTube answered playlistItems.list with 404" in notes
    assert "Playlist PLprivate: SERVICE_REFUSED" in notes
    assert list(discovery.videos()) == ["aaaaaaaaaaa"]


def test_a_feed_that_fails_is_made_up_for_by_the_playlist(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """For one unit, nothing is lost."""
    discovery = open_discovery(youtube_channels="UCleague", service_tries=1)
    site.add("aaaaaaaaaaa", "One")
    site.instead["feed UCleague"] = lambda exchange: exchange.answer(b"", 500)
    assert discovery.run().items() >= {"new": 1, "failed_sources": 0}.items()
    assert discovery.videos()["aaaaaaaaaaa"].found_by == "playlist"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusing(500, "backendError"), "SERVICE_UNAVAILABLE"),
        (refusing(404, "playlistNotFound"), "SERVICE_REFUSED"),
        (refusing(403, "playlistItemsNotAccessible"), "SERVICE_REFUSED"),
        (refusing(429, "rateLimitExceeded"), "SERVICE_LIMITED"),
        (refusing(400, "keyInvalid"), "SERVICE_KEY_REFUSED"),
        (lambda exchange: exchange.answer(b"{"), "SERVICE_ANSWER_INVALID"),
        (lambda exchange: exchange.end(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"), "SERVICE_ANSWER_INVALID"),
    ],
)
def test_if_all_sources_fail_the_attempt_fails(
    open_discovery: OpenDiscovery, site: VideoSite, answer: Callable[[Exchange], None], code: str
) -> None:
    """By what they failed by, so that retries, breaker and alerts do their part; the figures are on record."""
    discovery = open_discovery(youtube_playlists="PLone", service_tries=1)
    site.instead["playlistItems"] = answer
    ended = discovery.attempt()
    assert (ended.status, ended.error and ended.error.code) == (AttemptStatus.FAILURE, code)
    assert ended.manifest.figures.items() >= {"sources": 1, "failed_sources": 1, "new": 0, "units": 1}.items()
    assert KEY not in ended.manifest.model_dump_json()


def test_a_pause_that_the_service_asks_for_is_kept(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """429 with Retry-After: the job waits at least so long, and the API is not asked again meanwhile."""
    discovery = open_discovery(youtube_playlists="PLone,PLtwo", service_tries=1)
    site.instead["playlistItems"] = lambda exchange: exchange.answer(b"{}", 429, {"Retry-After": "120"})
    ended = discovery.attempt()
    assert ended.error
    assert (ended.error.code, ended.error.retry_after_s) == ("SERVICE_LIMITED", 120.0)
    assert site.asked == ["playlistItems"]
    assert ended.manifest.figures["failed_sources"] == 2


def test_a_key_that_is_not_accepted_is_a_fault_of_ours(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """What feeds have is stored and matched all the same, and the API is asked once."""
    discovery = open_discovery(youtube_channels="UCleague", youtube_playlists="PLone", youtube_api_key="AIza-wrong")
    event = discovery.event()
    site.add("aaaaaaaaaaa", "Lakers vs Celtics", published_at=ENDED)
    ended = discovery.attempt()
    assert ended.error
    assert (ended.status, ended.error.code, ended.error.blame) == (
        AttemptStatus.FAILURE,
        "SERVICE_KEY_REFUSED",
        "system",
    )
    assert "MEDIAJOBS_YOUTUBE_API_KEY" in ended.error.message
    assert site.asked == ["feed UCleague", "playlistItems"]
    assert discovery.videos()["aaaaaaaaaaa"].event_id == event.id


def test_a_service_that_cannot_be_reached_costs_nothing(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Neither units nor the other sources; the next playlist is not even tried."""
    discovery = open_discovery(
        youtube_channels="UCleague", youtube_playlists="PLone,PLtwo", youtube_url="http://127.0.0.1:1", service_tries=2
    )
    site.add("aaaaaaaaaaa", "One")
    ended = discovery.attempt()
    assert ended.status is AttemptStatus.SUCCESS
    assert ended.manifest.figures.items() >= {"new": 1, "failed_sources": 2, "units": 0}.items()
    assert [(call.op, call.units) for call in ended.manifest.calls] == [("feed", None), ("playlistItems.list", 0.0)]
    assert discovery.units() == 0


# --- quota -----------------------------------------------------------------------------------------------------------


def test_the_services_word_empties_the_bucket(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """403 quotaExceeded ends the searches of the day; feeds and playlists go on, and nothing is asked in vain."""
    discovery = open_discovery(youtube_channels="UCleague", youtube_playlists="UUleague", youtube_queries="a,b")
    site.add("aaaaaaaaaaa", "One")
    site.instead["search"] = refusing(403, "quotaExceeded")
    ended = discovery.attempt()
    assert ended.status is AttemptStatus.SUCCESS
    assert site.asked == ["feed UCleague", "playlistItems", "search", "videos"]
    assert ended.manifest.figures.items() >= {"sources": 4, "failed_sources": 2, "new": 1}.items()
    assert any(
        "Search a: not asked. Quota youtube.search: 0 of 100 calls left" in note for note in ended.manifest.notes
    )
    assert [call.status for call in ended.manifest.calls if call.op == "search.list"] == ["QUOTA_EXHAUSTED"]
    discovery.run()
    assert "search" not in site.asked


def test_what_would_not_fit_is_not_started(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Without feeds, a job needs units: the attempt is skipped, and the site is not asked."""
    discovery = open_discovery(youtube_playlists="PLone,PLtwo", youtube_unit_limit=2)
    ended = discovery.attempt()
    assert ended.status is AttemptStatus.SKIPPED
    row = discovery.platform.history.attempts.get(ended.attempt_id)
    assert row.error_code == "QUOTA_EXHAUSTED"
    assert (row.result or {}).items() >= {"bucket": YOUTUBE_UNITS, "unitsLeft": 2, "unitsNeeded": 3}.items()
    assert site.asked == []
    assert discovery.platform.history.jobs.get(ended.job.id).status is JobStatus.SKIPPED


def test_units_run_out_on_the_way(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """What was paid for is kept, the limit holds, and the rest is told."""
    discovery = open_discovery(youtube_channels="UCleague", youtube_playlists="UUleague,PLtwo", youtube_unit_limit=1)
    site.add("aaaaaaaaaaa", "One")
    ended = discovery.attempt()
    assert ended.status is AttemptStatus.SUCCESS
    assert site.asked == ["feed UCleague", "playlistItems"]
    assert discovery.units() == 1
    assert sum("Quota youtube.default: 0 of 1 units left, 1 needed" in note for note in ended.manifest.notes) == 2


def test_if_the_service_refuses_all_the_attempt_is_skipped(open_discovery: OpenDiscovery, site: VideoSite) -> None:
    """Its quota was used up by somebody else's calls: the ledger learns it, and the next job is not started."""
    discovery = open_discovery(youtube_playlists="PLone")
    site.instead["playlistItems"] = lambda exchange: refuse(exchange, 403, "quotaExceeded", "Used up.")
    ended = discovery.attempt()
    assert ended.status is AttemptStatus.SKIPPED
    assert discovery.platform.media.quota.shortage(JOB_TYPE)
    assert discovery.attempt().status is AttemptStatus.SKIPPED
    assert site.asked == []
