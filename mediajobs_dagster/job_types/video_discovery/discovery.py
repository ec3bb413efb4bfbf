"""One pass of the discovery: ask the sources, match what they have with events, search for what is still missing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from mediajobs_dagster.errors import ServiceKeyError, SettingsError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.video_discovery.matching import Rules, clear_matches, match
from mediajobs_dagster.job_types.video_discovery.sources import Sources
from mediajobs_dagster.models import Event, VideoMatch

_EVENTS = 200
"""Events that are looked at in one pass, the latest first."""
_CANDIDATES = 2000
"""Videos that they are compared with, the newest first."""
_KEPT = 20
"""Matches that are kept of an event, the best first."""
_LONGEST_PAUSE = timedelta(days=1)
"""Between two searches for an event; the first pauses are an hour, two, four and so on."""
_EARLY = timedelta(days=1)


def discover(trace_id: str, bench: Bench) -> None:
    """Find videos, and link them to their events.

    Raises the fault of the sources if all of them failed, and one of the key or the settings in any case; what was
    found by then is stored and matched.
    """
    settings = bench.installation.settings
    now = bench.installation.history.now()
    sources = Sources(bench, trace_id, now, since=now - timedelta(days=settings.discovery_days))
    for channel in settings.youtube_channels:
        sources.channel(channel)
    for playlist in settings.youtube_playlists:
        sources.playlist(playlist)
    for query in settings.youtube_queries:
        sources.query(query)
    sources.details(sources.seen)
    sources.look_after()
    passed = _Pass(bench, sources, now)
    try:
        passed.match()
        if sources.can_ask and passed.search():
            passed.match()
    finally:
        passed.report()
    _raise_fault(sources, passed)


def _raise_fault(sources: Sources, passed: _Pass) -> None:
    if isinstance(sources.fault, ServiceKeyError | SettingsError):
        raise sources.fault
    is_useless = not (sources.seen or passed.searched)
    if is_useless and sources.failed == sources.asked and (fault := sources.shortage or sources.fault):
        raise fault


@dataclass
class _Pass:
    bench: Bench
    sources: Sources
    now: datetime
    matched: int = 0
    searched: int = 0
    waiting: int = 0
    """Events that have no video."""

    def match(self) -> None:
        """Compare events that are over with videos that nobody has decided on; keep the scores, link what is clear."""
        events, history = self._events(), self.bench.installation.history
        oldest = min((event.starts_at for event in events), default=self.now)
        candidates = history.videos.undecided(since=oldest - _EARLY, limit=_CANDIDATES) if events else []
        rules = Rules.of(self.bench.installation.settings, self.sources.channel_names)
        of_event: dict[str, list[VideoMatch]] = defaultdict(list)
        for event in events:
            self.bench.check()
            found = (match(video, event, rules, now=self.now) for video in candidates)
            of_event[event.id] = [each for each in found if each]
        matches = [each for some in of_event.values() for each in some]
        kept = (each for some in of_event.values() for each in sorted(some, key=lambda one: -one.score)[:_KEPT])
        history.videos.keep_matches(kept)
        linked = [
            each
            for each in clear_matches(matches, rules)
            if history.videos.link_match(each.video_id, each.event_id, now=self.now)
        ]
        self.matched += len(linked)
        self.waiting = len(events) - len(linked)

    def search(self) -> bool:
        """Search for each event that still has no video and that is due; returns whether anything was searched for."""
        before, videos = self.searched, self.bench.installation.history.videos
        events = self._events()
        searches = videos.searches([event.id for event in events])
        for event in events:
            if not _is_due(searches.get(event.id), self.now):
                continue
            if not self.sources.attempted(f"Search for {event.title}", lambda: self._search(event)):  # noqa: B023  # called at once
                if not self.sources.can_ask:
                    break
                # What is refused for this event is refused again: its turn comes after a pause, like any other's.
                videos.note_search(event.id, now=self.now)
                continue
            videos.note_search(event.id, now=self.now)
            self.searched += 1
        if self.searched > before:
            self.sources.details(self.sources.seen)
        return self.searched > before

    def _search(self, event: Event) -> None:
        end = (event.ends_at or event.starts_at) + timedelta(days=self.bench.installation.settings.discovery_days)
        text = " ".join(event.participants) if len(event.participants) > 1 else event.title
        self.sources.search(text, after=event.starts_at - timedelta(hours=3), before=min(end, self.now))

    def _events(self) -> list[Event]:
        events = self.bench.installation.history.events
        return events.finished_without_video(since=self.sources.since, now=self.now, limit=_EVENTS)

    def report(self) -> None:
        """Report the figures; each video and each event is counted once."""
        sources = self.sources
        self.bench.report(
            found=len(sources.seen),
            new=len(sources.new),
            updated=len(sources.updated),
            removed=sources.removed,
            matched=self.matched,
            events_without_video=self.waiting,
            searches=self.searched,
            sources=sources.asked,
            failed_sources=sources.failed,
            calls=sources.feed_calls + sources.meter.calls,
            units=sources.meter.units,
        )


def _is_due(search: tuple[int, datetime] | None, now: datetime) -> bool:
    """Whether an event may be searched for: there was no search, or the pause after the last one is over."""
    if search is None:
        return True
    count, searched_at = search
    return now - searched_at >= min(_LONGEST_PAUSE, timedelta(hours=2.0 ** min(count - 1, 10)))
