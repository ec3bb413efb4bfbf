"""Lays out the events of an edit decision list on tracks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from mediajobs_dagster.timelines.otio.edits import Edit, check_count
from mediajobs_dagster.timelines.otio.edl import BLACK, Event, EventList
from mediajobs_dagster.timelines.otio.media import MediaNames
from mediajobs_dagster.timelines.otio.notes import Notes, rounded
from mediajobs_dagster.timelines.otio.pieces import Joint, Piece, held_speed, is_image

_ZERO = Fraction(0)
_BARS = "BARS"
_DAY, _HALF_A_DAY = 86_400, 43_200


@dataclass(frozen=True)
class _Laid:
    """An event, or what is left of it, on one track. Times are seconds of the programme."""

    event: Event
    start: Fraction
    end: Fraction
    outgoing: Event | None = None
    """What a transition begins with, as the list says it; None: it does not say, or there is none."""

    @property
    def is_transition(self) -> bool:
        return self.event.kind in ("D", "W") and self.start == self.event.record[0]


def tracks_of(found: EventList, folder: Path, notes: Notes) -> Edit:
    """The tracks of a list in `folder`. Later events of a list are recorded over earlier ones.

    Raises RequestError for too many events.
    """
    check_count(found.title, len(found.events))
    tracks: dict[str, list[_Laid]] = {}
    before: Event | None = None
    for event in _in_one_day(found.events):
        outgoing = before if before and before.number == event.number and before.tracks == event.tracks else None
        before = event
        if event.kind == "K":
            notes.add(f"{event.name} is keyed over the picture, which is not supported: it is left out.")
            continue
        if event.record[0] == event.record[1]:
            if event.kind != "C":
                notes.add(f"{event.name} has no length and is left out.")
            continue
        for track in event.tracks:
            _record(tracks.setdefault(track, []), _Laid(event, *event.record, outgoing), notes)
    origin = min((laid[0].start for laid in tracks.values()), default=_ZERO)
    reader = _Pieces(found.rate, MediaNames(folder, notes), notes)
    names = sorted(tracks, key=lambda name: (len(name), name))
    video, audio = (
        [list(reader.on(tracks[name], origin)) for name in names if name.startswith(kind)] for kind in ("V", "A")
    )
    return Edit(found.title, found.rate, video, audio)


def _in_one_day(events: Sequence[Event]) -> Iterator[Event]:
    """The events; those after midnight, of a programme that begins before it, are moved on by a day."""
    times = [event.record[0] for event in events]
    crosses = times and max(times) - min(times) > _HALF_A_DAY
    for event in events:
        if crosses and event.record[0] < _HALF_A_DAY:
            event = replace(event, record=(event.record[0] + _DAY, event.record[1] + _DAY))
        yield event


def _record(track: list[_Laid], new: _Laid, notes: Notes) -> None:
    """Put an event on a track, over what is there."""
    first = bisect_right(track, new.start, key=lambda laid: laid.end)
    last = bisect_left(track, new.end, key=lambda laid: laid.start)
    kept: list[_Laid] = []
    for laid in track[first:last]:
        parts = [
            *([replace(laid, end=new.start)] if laid.start < new.start else []),
            *([replace(laid, start=new.end)] if laid.end > new.end else []),
        ]
        # Some programs write a dissolve as an overlap, which is not lost.
        is_joined = new.event.kind == "D" and laid.end - new.start <= new.event.transition and len(parts) == 1
        if not parts:
            notes.add(f"{new.event.name} lies over {laid.event.name}, which is not shown.")
        elif not is_joined:
            lost = rounded(min(laid.end, new.end) - max(laid.start, new.start))
            notes.add(f"{new.event.name} lies over {lost} s of {laid.event.name}, which are not shown.")
        kept += parts
    track[first:last] = sorted([*kept, new], key=lambda laid: laid.start)


class _Pieces:
    """Makes the pieces of tracks."""

    def __init__(self, rate: Fraction, media: MediaNames, notes: Notes) -> None:
        self._rate, self._media, self._notes = rate, media, notes

    def on(self, track: Sequence[_Laid], origin: Fraction) -> Iterator[Piece]:
        """The pieces of a track, without holes."""
        end = origin
        before: Event | None = None
        for laid in track:
            if laid.start > end:
                yield Piece("gap", end - origin, laid.start - end)
                before = None
            joint = self._joint(laid)
            if joint and (before is None or _is_other(laid.outgoing, before)):
                yield self._outgoing(laid.outgoing, laid.start - origin)
            yield replace(self._piece(laid, laid.start - origin), joint=joint)
            end, before = laid.end, laid.event

    def _joint(self, laid: _Laid) -> Joint | None:
        event = laid.event
        if not laid.is_transition or not event.transition:
            return None
        if event.kind == "W":
            self._notes.add(f"{event.name} begins with a wipe, which is not supported: it is a cut.")
            return None
        return Joint(f"the dissolve into {event.name}", _ZERO, event.transition)

    def _outgoing(self, event: Event | None, start: Fraction) -> Piece:
        """What a transition begins with, if the piece before is something else: nothing, or a part of no length."""
        if event is None or event.reel in BLACK:
            return Piece("gap", start, _ZERO)
        return self._piece(_Laid(event, *event.record), start)

    def _piece(self, laid: _Laid, start: Fraction) -> Piece:
        event, length = laid.event, laid.end - laid.start
        if event.reel in BLACK:
            return Piece("gap", start, length)
        if event.reel == _BARS:
            self._notes.add(f"{event.name} shows colour bars instead of a file: it is left empty.")
            return Piece("gap", start, length)
        scale = self._scale(event)
        speed = held_speed(scale, event.name, self._notes)
        source, *others = self._located(event.names)
        skipped = (laid.start - event.record[0]) * speed
        kind = "image" if is_image(source) else "clip" if speed else "still"
        return Piece(
            kind=kind,
            start=start,
            length=length,
            name=event.name,
            source=source,
            others=tuple(others),
            source_in=event.source[0] + skipped,
            rate=self._rate,
            drops=event.drops,
            speed=float(speed) if kind == "clip" else 1.0,
        )

    def _located(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names, before those that are paths what they lead to."""
        located = ((self._media.located(name), name) if "/" in name or "\\" in name else (name,) for name in names)
        return tuple(dict.fromkeys(name for each in located for name in each))

    def _scale(self, event: Event) -> Fraction:
        """The speed of an event. Without one, its source has to last as long as it does."""
        if event.speed is not None:
            return event.speed
        used, lasts = event.source[1] - event.source[0], event.record[1] - event.record[0]
        if abs(used - lasts) * self._rate >= 1:
            self._notes.add(
                f"{event.name} lasts {rounded(lasts)} s and names {rounded(used)} s of its source, but no speed (M2): "
                f"{rounded(lasts)} s of it are shown at its normal speed."
            )
        return Fraction(1)


def _is_other(outgoing: Event | None, before: Event) -> bool:
    """Whether a transition begins with something else than the event before it."""
    if outgoing is None:
        return False
    if outgoing.reel in BLACK or before.reel in BLACK:
        return (outgoing.reel in BLACK) != (before.reel in BLACK)
    # Some programs write the reel that comes next, and then the time tells; AX may be any reel.
    goes_on = outgoing.reel == before.reel or outgoing.source[0] == before.source[1]
    return not goes_on and "AX" not in (outgoing.reel, before.reel)
