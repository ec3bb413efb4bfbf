"""The job type as a whole, over real HTTP: what is found, what it costs, to what it is linked, what faults do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.history import VideoFilter
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.video_discovery import JOB_TYPE
from mediajobs_dagster.models import (
    AttemptStatus,
    Event,
    EventStatus,
    LinkedBy,
    NewEvent,
    Tick,
    Video,
    new_trace_id,
)
from mediajobs_dagster.resilience.quota import YOUTUBE_UNITS, Quota
from tests.discovery.video_site import VideoSite
from tests.platform import Platform

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
