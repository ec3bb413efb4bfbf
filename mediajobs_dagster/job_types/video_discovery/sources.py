"""What is asked for videos, the cheap sources first: feeds, then playlists, then details, and searches last.

What a source has is stored at once, so one that fails, or an attempt that ends in the middle, loses nothing of the
others. A fault that all calls of the API would meet ends its use; feeds need no API and are read all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mediajobs_dagster.errors import (
    MediaJobsError,
    QuotaExhaustedError,
    ServiceError,
    ServiceKeyError,
    ServiceLimitedError,
    SettingsError,
)
from mediajobs_dagster.history import VideoChanges
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.video_discovery.metering import QuotaMeter
from mediajobs_dagster.models import FoundVideo, Video
from mediajobs_dagster.resilience.quota import Quota
from mediajobs_dagster.services.channel_feeds import ChannelFeeds
from mediajobs_dagster.services.listed_video import ListedVideo
from mediajobs_dagster.services.youtube import PAGE, YouTube

SITE = "youtube"
_MOST_PAGES = 20
"""Of one playlist: a thousand videos."""
_CHECKED_AGAIN = timedelta(days=1)
_LOOKED_AFTER = timedelta(days=90)
"""How long after its publication it is looked whether a video is still there."""
_LOOKED_AFTER_AT_ONCE = 2 * PAGE
"""At how many of those that no source lists any more a pass looks; two units."""


@dataclass
class Sources:
    """Asks the sources, and stores what they have."""

    bench: Bench
    trace_id: str
    now: datetime
    since: datetime
    """Older videos are not looked for."""
    meter: QuotaMeter = field(init=False)
    asked: int = 0
    """Sources that were asked, or would have been."""
    failed: int = 0
    fault: MediaJobsError | None = None
    """The first that a source failed by."""
    shortage: QuotaExhaustedError | None = None
    """Too little was left of a quota for something."""
    feed_calls: int = 0
    seen: set[str] = field(default_factory=set[str])
    """The ids of all videos that a source had."""
    new: set[str] = field(default_factory=set[str])
    updated: set[str] = field(default_factory=set[str])
    removed: int = 0
    channel_names: set[str] = field(default_factory=set[str])
    """Ids and names of the channels of the settings."""
    _asked_about: set[str] = field(default_factory=set[str])
    """The ids of the videos whose details were asked for; they are told once a pass."""
    _over: MediaJobsError | None = None
    """Why the API is not asked any more."""

    def __post_init__(self) -> None:
        """Open the quota."""
        installation = self.bench.installation
        self.meter = QuotaMeter(Quota.of(installation.history, installation.settings))

    # --- the sources of the settings ---------------------------------------------------------------------------------

    def channel(self, name: str) -> None:
        """Read a channel's feed; its playlist of uploads too, if the feed fails or may not reach far enough back."""
        with_api, told = self._has_key, f"Channel {name}"

        def read() -> None:
            channel_id = self._ask_api(lambda api: api.channel(name, self.meter).id) if name.startswith("@") else name
            self.channel_names.update((channel_id, name))
            try:
                listed = self._feed(channel_id)
            except ServiceError as error:
                if not with_api:
                    raise
                self.bench.note(f"{told}: the feed cannot be read ({error.code}); its playlist is read instead.")
                self._playlist(_uploads_of(channel_id), told, is_newest_first=True)
                return
            self.channel_names.update(video.channel for video in listed if video.channel)
            if with_api and self._may_reach_further(listed):
                self._playlist(_uploads_of(channel_id), told, is_newest_first=True)

        self._from(told, read)

    def playlist(self, playlist_id: str) -> None:
        """Read a playlist."""
        told = f"Playlist {playlist_id}"
        self._from(told, lambda: self._playlist(playlist_id, told, is_newest_first=False))

    def query(self, text: str) -> None:
        """Search for a text of the settings."""
        self._from(f"Search {text}", lambda: self.search(text, after=self.since))

    def search(self, text: str, *, after: datetime, before: datetime | None = None) -> None:
        """Search for a text; videos published in that time."""
        listed = self._ask_api(lambda api: api.search(text, self.meter, after=after, before=before))
        self._store(listed, "search", text)

    def details(self, ids: Iterable[str]) -> None:
        """Ask for the lengths of videos that are new or live, once a day for the others; find out which are gone."""
        known = self.bench.installation.history.videos.known(SITE, set(ids) - self._asked_about)
        self._ask_about([each for each in known.values() if self._is_due(each)])

    def look_after(self) -> None:
        """Find out which are gone of the videos that no source lists any more: deleted ones are dropped from lists."""
        videos = self.bench.installation.history.videos
        since, before = self.now - _LOOKED_AFTER, self.now - _CHECKED_AGAIN
        self._ask_about(videos.unchecked(SITE, since=since, before=before, limit=_LOOKED_AFTER_AT_ONCE))

    def _ask_about(self, due: Sequence[Video]) -> None:
        self._asked_about.update(video.external_id for video in due)
        for start in range(0, len(due) if self._has_key else 0, PAGE):
            chunk = due[start : start + PAGE]
            if not self._from("Details of videos", lambda: self._details(chunk), is_source=False):  # noqa: B023  # called at once
                return

    @property
    def can_ask(self) -> bool:
        """Whether the API can be asked: there is a key, and no fault that each call would meet."""
        return self._has_key and self._over is None

    # --- one of them -------------------------------------------------------------------------------------------------

    def _feed(self, channel_id: str) -> list[ListedVideo]:
        self.feed_calls += 1
        listed = self.bench.service(ChannelFeeds).videos(channel_id)
        known = self.bench.installation.history.videos.known(SITE, [video.id for video in listed])
        self._store(listed, "feed", channel_id)
        return [video for video in listed if video.id not in known]

    def _may_reach_further(self, new: Sequence[ListedVideo]) -> bool:
        """Whether there may be more videos behind those of a feed: all that it holds are new, and none is old."""
        moments = [video.published_at for video in new if video.published_at]
        return len(new) >= _FEED and bool(moments) and min(moments) > self.since

    def _playlist(self, playlist_id: str, told: str, *, is_newest_first: bool) -> None:
        token: str | None = None
        for _ in range(_MOST_PAGES):
            self.bench.check()
            page = self._ask_api(lambda api: api.playlist(playlist_id, self.meter, token=token))  # noqa: B023  # called at once
            history = self.bench.installation.history
            known = history.videos.known(SITE, [video.id for video in page.videos])
            before = set(known) - self.seen
            self._store(page.videos, "playlist", playlist_id)
            token = page.next_token
            is_old = any(video.published_at and video.published_at < self.since for video in page.videos)
            if token is None or (is_newest_first and (before or is_old)):
                return
        self.bench.note(f"{told}: only the first {_MOST_PAGES * PAGE:,} videos were looked at.")

    def _details(self, chunk: Sequence[Video]) -> None:
        ids = [video.external_id for video in chunk]
        listed = self._ask_api(lambda api: api.videos(ids, self.meter))
        self._store(listed, "details", "", with_details=True)
        there = {video.id for video in listed}
        gone = [video.id for video in chunk if video.external_id not in there]
        self.removed += self.bench.installation.history.videos.note_removed(gone, now=self.now)

    def _is_due(self, video: Video) -> bool:
        if video.checked_at is None or self.now - video.checked_at > _CHECKED_AGAIN:
            return True
        return video.duration_seconds is None and (video.published_at or video.created_at) > self.since

    def _store(
        self, listed: Sequence[ListedVideo], found_by: str, found_in: str, *, with_details: bool = False
    ) -> VideoChanges:
        found = [_found(video, found_by, found_in) for video in listed]
        videos = self.bench.installation.history.videos
        changes = videos.store(found, trace_id=self.trace_id, now=self.now, with_details=with_details)
        self.seen.update(video.id for video in listed)
        self.new.update(changes.new)
        self.updated.update(changes.updated)
        self.updated -= self.new
        return changes

    # --- faults ------------------------------------------------------------------------------------------------------

    @property
    def _has_key(self) -> bool:
        return self.bench.installation.settings.youtube_api_key is not None

    def _ask_api(self, ask: Callable[[YouTube], Any]) -> Any:
        if self._over is not None:
            raise self._over
        try:
            return ask(self.bench.service(YouTube))
        except (ServiceKeyError, ServiceLimitedError, SettingsError) as error:
            self._over = error
            raise
        except ServiceError as error:
            if error.is_outage:
                self._over = error
            raise

    def _from(self, told: str, work: Callable[[], None], *, is_source: bool = True) -> bool:
        """Do some work of a source; False, and a note, if it fails by a fault of a service or for want of quota."""
        self.asked += is_source
        self.bench.check()
        try:
            work()
        except QuotaExhaustedError as error:
            self.bench.note(f"{told}: not asked. {error.message}")
            self.shortage = self.shortage or error
        except (ServiceError, SettingsError) as error:
            self.bench.note(f"{told}: {error.code}: {error.message}")
            self.fault = self.fault or error
        else:
            return True
        self.failed += is_source
        return False

    def attempted(self, told: str, work: Callable[[], None]) -> bool:
        """Do further work with these sources; False, and a note, if it failed."""
        return self._from(told, work, is_source=False)


_FEED = 15
"""Videos in a feed, at most."""


def _uploads_of(channel_id: str) -> str:
    """The playlist of all that a channel published."""
    return f"UU{channel_id[2:]}"


def _found(video: ListedVideo, found_by: str, found_in: str) -> FoundVideo:
    return FoundVideo(
        site=SITE,
        external_id=video.id,
        address=f"https://www.youtube.com/watch?v={video.id}",
        title=video.title,
        channel_id=video.channel_id,
        channel=video.channel,
        published_at=video.published_at,
        duration_seconds=video.duration_s,
        found_by=found_by,
        found_in=found_in,
    )
