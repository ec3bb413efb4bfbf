"""Converts our timeline to the tracks of an OpenTimelineIO timeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from mediajobs_dagster.models import JsonObject, Upload
from mediajobs_dagster.timelines.layout import (
    ItemTimes,
    Media,
    canvas_fps,
    item_times,
    sound_end,
    source_length,
    source_range,
    used_part,
)
from mediajobs_dagster.timelines.model import (
    Clip,
    Dissolve,
    FadeThrough,
    Gap,
    Music,
    Narration,
    Picture,
    Still,
    Timeline,
    TrackItem,
    Transition,
    VideoLayer,
)
from mediajobs_dagster.timelines.otio.library import OURS, library
from mediajobs_dagster.timelines.times import snap

_ZERO = Fraction(0)


@dataclass(frozen=True)
class _Part:
    """A part of one track: a piece of media, or a gap. Times are seconds."""

    length: Fraction
    source: str | None = None
    source_in: Fraction = _ZERO
    speed: float = 1.0
    frozen: bool = False
    carried: JsonObject | None = None
    transition: Transition | None = None
    """From the part before."""
    offsets: tuple[Fraction, Fraction] = (_ZERO, _ZERO)
    """How long before and after the cut the transition lasts."""
    sounds: bool = False


def assembled(timeline: Timeline, uploads: Mapping[str, Upload], media: Media) -> Any:
    """The OpenTimelineIO timeline, without metadata of its own. `media` has the media info of every reference."""
    return _Assembly(timeline, uploads, media).edit()


class _Assembly:
    def __init__(self, timeline: Timeline, uploads: Mapping[str, Upload], media: Media) -> None:
        self._timeline, self._uploads, self._media = timeline, uploads, media
        self._fps = canvas_fps(timeline, media)
        self._otio = library()
        self._edit = self._otio.schema.Timeline(timeline.title)

    def edit(self) -> Any:
        """All tracks: video from the lowest upwards, then audio."""
        self._edit.global_start_time = self._time(_ZERO)
        base, end = self._base()
        layers = [layer for layer in self._timeline.layers if isinstance(layer, VideoLayer)]
        pictures = [(layer.start, self._layer(layer)) for layer in layers]
        sounds = [(start, part) for start, part in pictures if part.sounds]
        self._add("Video", "Video", base)
        for number, track in enumerate(_apart(pictures), start=2):
            self._add("Video", f"Video {number}", track)
        if any(part.sounds for part in base):
            self._add("Audio", "Sound", [part if part.sounds else _Part(part.length) for part in base])
        voices = [(entry.start, self._voice(entry)) for entry in self._timeline.narration]
        music = [(entry.start, self._music(entry, end)) for entry in self._timeline.music if entry.start < end]
        for name, parts in (("Sound above", sounds), ("Narration", voices), ("Music", music)):
            for track in _apart(parts):
                self._add("Audio", name, track)
        return self._edit

    # --- the parts of tracks -----------------------------------------------------------------------------------------

    def _base(self) -> tuple[list[_Part], Fraction]:
        """The base track, and where it ends."""
        laid = list(zip(self._timeline.track, item_times(self._timeline, self._media), strict=True))
        ends = [_ZERO, *(times.start + times.length for _, times in laid)]
        offsets = [self._offsets(item, end - times.start) for (item, times), end in zip(laid, ends, strict=False)]
        parts: list[_Part] = []
        end = _ZERO
        for index, (item, times) in enumerate(laid):
            if times.start > end:
                parts.append(_Part(times.start - end))
            # Our items overlap in a dissolve; in OpenTimelineIO they are cut in its middle.
            ahead = offsets[index][0] if isinstance(item.transition, Dissolve) else _ZERO
            following = laid[index + 1][0].transition if index + 1 < len(laid) else None
            behind = offsets[index + 1][1] if isinstance(following, Dissolve) else _ZERO
            shown = list(_cut(self._item(item, times), ahead, behind))
            if index and shown and any(offsets[index]):
                shown[0] = replace(shown[0], transition=item.transition, offsets=offsets[index])
            parts += shown
            end = times.start + times.length
        return parts, end

    def _offsets(self, item: TrackItem, overlap: Fraction) -> tuple[Fraction, Fraction]:
        """How far an item's transition reaches on both sides of the cut: half each, in whole frames if possible."""
        if item.transition is None:
            return _ZERO, _ZERO
        length = item.transition.duration if isinstance(item.transition, FadeThrough) else max(_ZERO, overlap)
        # In whole frames, a transition of one frame would leave nothing of an item of one frame.
        ahead = snap(length / 2, self._fps) / self._fps if length * self._fps >= 2 else length / 2
        return ahead, length - ahead

    def _item(self, item: TrackItem, times: ItemTimes) -> list[_Part]:
        carried = item.to_json()
        match item:
            case Gap():
                return [_Part(item.duration)]
            case Picture():
                return [_Part(item.duration, item.source, carried=carried)]
            case Still():
                return [_Part(item.duration, item.source, item.at, frozen=True, carried=carried)]
            case Clip():
                start, end = source_range(item, self._media)
                plays = _Part(
                    times.length - item.hold,
                    item.source,
                    start,
                    speed=item.speed,
                    carried=carried,
                    sounds=not item.mute and self._has_sound(item.source),
                )
                last = max(start, end - 1 / self._fps)
                return [plays, replace(plays, length=item.hold, source_in=last, speed=1.0, frozen=True, sounds=False)]

    def _layer(self, layer: VideoLayer) -> _Part:
        begin, end = used_part(layer, self._media[layer.source])
        sounds = not layer.mute and self._has_sound(layer.source)
        return _Part(end - begin, layer.source, begin, carried=layer.to_json(), sounds=sounds)

    def _voice(self, entry: Narration) -> _Part:
        begin, end = used_part(entry, self._media[entry.source])
        return _Part(end - begin, entry.source, begin, carried=entry.to_json() | {"kind": "narration"})

    def _music(self, entry: Music, end: Fraction) -> _Part:
        length = end - entry.start if entry.duration is None else min(entry.duration, end - entry.start)
        known = sound_end(self._media[entry.source])
        length = min(length, known - entry.in_) if known > entry.in_ else length
        return _Part(length, entry.source, entry.in_, carried=entry.to_json() | {"kind": "music"})

    def _has_sound(self, source: str) -> bool:
        info = self._media[source]
        return info.main_audio is not None or not info.video  # what was not probed may have some

    # --- objects -----------------------------------------------------------------------------------------------------

    def _add(self, kind: str, name: str, parts: Sequence[_Part]) -> None:
        track = self._otio.schema.Track(name, kind=kind)
        for before, part in zip([None, *parts], parts, strict=False):
            # Sound has a crossfade only if both sides are heard.
            if part.transition and (kind == "Video" or (before and before.sounds)):
                track.append(self._transition(part.transition, part.offsets))
            track.append(self._clip(part, kind) if part.source is not None else self._gap(part.length))
        self._edit.tracks.append(track)

    def _clip(self, part: _Part, kind: str) -> Any:
        schema = self._otio.schema
        source = part.source or ""
        upload = self._uploads.get(source)
        name = upload.filename if upload else source
        info = self._media.get(source)
        length = info and (source_length(info) if kind == "Video" else sound_end(info))
        media = schema.ExternalReference(name, self._range(_ZERO, length) if length else None)
        media.metadata[OURS] = {"upload": source, "target_url": name}
        clip = schema.Clip(name, media, self._range(part.source_in, part.length))
        if part.carried:
            clip.metadata[OURS] = {"item": part.carried}
        if part.frozen:
            clip.effects.append(schema.FreezeFrame())
        elif part.speed != 1:
            clip.effects.append(schema.LinearTimeWarp(time_scalar=part.speed))
        return clip

    def _gap(self, length: Fraction) -> Any:
        return self._otio.schema.Gap(source_range=self._range(_ZERO, length))

    def _transition(self, transition: Transition, offsets: tuple[Fraction, Fraction]) -> Any:
        fades = isinstance(transition, FadeThrough)
        made = self._otio.schema.Transition(
            name="Fade" if fades else "Dissolve",
            transition_type="Custom_Transition" if fades else "SMPTE_Dissolve",
            in_offset=self._time(offsets[0]),
            out_offset=self._time(offsets[1]),
        )
        made.metadata[OURS] = {"transition": transition.to_json()}
        return made

    def _time(self, seconds: Fraction) -> Any:
        return self._otio.opentime.RationalTime(float(seconds * self._fps), float(self._fps))

    def _range(self, start: Fraction, length: Fraction) -> Any:
        return self._otio.opentime.TimeRange(self._time(start), self._time(length))


def _cut(parts: Sequence[_Part], ahead: Fraction, behind: Fraction) -> Iterator[_Part]:
    """The parts of one item, without `ahead` seconds at its start and `behind` seconds at its end."""
    total = sum((part.length for part in parts), _ZERO)
    at = _ZERO
    for part in parts:
        start, end = max(at, ahead), min(at + part.length, total - behind)
        if start < end:
            moved = _ZERO if part.frozen else (start - at) * Fraction(str(part.speed))
            yield replace(part, length=end - start, source_in=part.source_in + moved)
        at += part.length


def _apart(parts: Sequence[tuple[Fraction, _Part]]) -> list[list[_Part]]:
    """Parts with their start times, on as many tracks as needed; a later part is never below an earlier one."""
    tracks: list[list[_Part]] = []
    end = _ZERO
    for start, part in parts:
        if not tracks or start < end:
            tracks.append([])
            end = _ZERO
        if start > end:
            tracks[-1].append(_Part(start - end))
        tracks[-1].append(part)
        end = start + part.length
    return tracks
