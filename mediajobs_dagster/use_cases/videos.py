"""The use cases of videos: what was found, which events they are of, and why; and a person's word on that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mediajobs_dagster.history import Action, History, VideoFilter
from mediajobs_dagster.models import Event, JsonObject, Video, VideoMatch
from mediajobs_dagster.use_cases.references import References


@dataclass(frozen=True)
class FoundVideo:
    """A video, and the event that it is linked to."""

    video: Video
    event: Event | None

    def to_json(self) -> JsonObject:
        """The camelCase JSON form: that of the video, with the title of its event."""
        return {**self.video.to_json(), "eventTitle": self.event.title if self.event else None}


@dataclass(frozen=True)
class Candidate:
    """A video and an event that were compared."""

    match: VideoMatch
    video: Video
    event: Event

    def to_json(self) -> JsonObject:
        """The camelCase JSON form: that of the match, with both titles."""
        return {**self.match.to_json(), "videoTitle": self.video.title, "eventTitle": self.event.title}


@dataclass(frozen=True)
class VideoDetails:
    """A video, its event, and how well it fits those that it was compared with."""

    found: FoundVideo
    candidates: tuple[Candidate, ...]
    """The best first."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {"video": self.found.to_json(), "candidates": [each.to_json() for each in self.candidates]}


@dataclass(frozen=True)
class Videos:
    """The videos that discovery found. References to videos and events: see `References.video` and `References.event`.

    Methods that take one raise NotFoundError and AmbiguousError.
    """

    history: History
    references: References

    def list(self, filter: VideoFilter | None = None, *, limit: int = 50, after: str | None = None) -> list[FoundVideo]:
        """One page, the newest found first; `after` is the last id of the page before. NotFoundError if unknown."""
        return self._with_events(self.history.videos.list(filter or VideoFilter(), limit=limit, after=after))

    def show(self, reference: str) -> VideoDetails:
        """A video, its event, and what it was compared with."""
        return self._details(self.references.video(reference))

    def candidates(self, event_reference: str, *, limit: int = 20) -> tuple[Candidate, ...]:
        """The videos that came into question for an event, the best first."""
        event = self.references.event(event_reference)
        matches = self.history.videos.matches(event_id=event.id, limit=limit)
        return tuple(Candidate(each, self.history.videos.get(each.video_id), event) for each in matches)

    def link(self, reference: str, event_reference: str) -> VideoDetails:
        """Link a video to an event. Matching never changes that; several videos may be linked to one event."""
        video, event = self.references.video(reference), self.references.event(event_reference)
        decided = self.history.videos.decide(video.id, event.id, now=self.history.now())
        self.history.actions.record(Action(action="video link", target=video.id, count=1, details={"event": event.id}))
        return self._details(decided)

    def unlink(self, reference: str) -> VideoDetails:
        """Say that a video is of no event. Matching never links it again."""
        video = self.references.video(reference)
        decided = self.history.videos.decide(video.id, None, now=self.history.now())
        self.history.actions.record(Action(action="video unlink", target=video.id, count=1))
        return self._details(decided)

    def _details(self, video: Video) -> VideoDetails:
        found = self._with_events([video])[0]
        matches = self.history.videos.matches(video_id=video.id)
        return VideoDetails(found, tuple(Candidate(each, video, self._event(each.event_id)) for each in matches))

    def _with_events(self, videos: Iterable[Video]) -> list[FoundVideo]:
        known: dict[str, Event | None] = {}
        found: list[FoundVideo] = []
        for video in videos:
            if video.event_id and video.event_id not in known:
                known[video.event_id] = self._event(video.event_id)
            found.append(FoundVideo(video, known.get(video.event_id or "")))
        return found

    def _event(self, event_id: str) -> Event:
        return self.history.events.get(event_id)
