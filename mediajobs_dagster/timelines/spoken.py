"""Captions of what is said in an upload, at the times at which a timeline plays it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from mediajobs_dagster.timelines.layout import Media, item_times, used_part
from mediajobs_dagster.timelines.model import Captions, Clip, Timeline, VideoLayer
from mediajobs_dagster.timelines.times import exact
from mediajobs_dagster.transcripts.cutting import part_of
from mediajobs_dagster.transcripts.model import Transcript
from mediajobs_dagster.transcripts.subtitles import Cue
from mediajobs_dagster.transcripts.writing import cues_of, vtt_of


@dataclass(frozen=True)
class Heard:
    """A part of an upload's sound that a timeline plays; seconds."""

    at: Fraction
    """When it begins in the timeline."""
    start: Fraction
    end: Fraction
    """Its place in the upload."""
    speed: Fraction = Fraction(1)

    def moved(self, cue: Cue) -> Cue:
        """A cue of the upload at its time in the timeline."""
        return Cue(self.moment(cue.start), self.moment(cue.end), cue.text)

    def moment(self, seconds: Fraction) -> Fraction:
        """The time in the timeline for one of the upload."""
        return self.at + (min(max(seconds, self.start), self.end) - self.start) / self.speed


def heard_of(timeline: Timeline, source: str, media: Media) -> Iterator[Heard]:
    """Where a timeline without faults plays the sound of a source."""
    for item, times in zip(timeline.track, item_times(timeline, media), strict=True):
        if isinstance(item, Clip) and item.source == source and not item.mute:
            start, end = used_part(item, media[source])
            yield Heard(times.start, start, end, exact(item.speed))
    layers = (each for each in timeline.layers if isinstance(each, VideoLayer) and not each.mute)
    for part in (*layers, *timeline.narration):
        if part.source == source:
            yield Heard(part.start, *used_part(part, media[source]))


def captions_of(timeline: Timeline, media: Media, transcript: Transcript) -> Captions | None:
    """The layer that a timeline's `captions` stand for; None if nothing is said in what it plays of the upload."""
    spoken = timeline.captions
    assert spoken is not None
    cues = [
        heard.moved(cue)
        for heard in heard_of(timeline, spoken.transcript, media)
        for cue in cues_of(part_of(transcript, float(heard.start), float(heard.end)))
    ]
    if not cues:
        return None
    return Captions(
        kind="captions",
        format="vtt",
        text=vtt_of(sorted(cues, key=lambda cue: cue.start)),
        style=spoken.style,
        place=spoken.place,
        position=spoken.position,
        safe_area=spoken.safe_area,
    )
