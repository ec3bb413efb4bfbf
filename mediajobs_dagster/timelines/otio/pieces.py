"""Splits the tracks of an OpenTimelineIO timeline into pieces with exact times, and notes what is left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.otio.library import library, our_metadata, rate_of, seconds
from mediajobs_dagster.timelines.otio.media import MediaNames
from mediajobs_dagster.timelines.otio.notes import Notes, named, quoted, rounded

_IMAGES = frozenset({"png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif"})
_SLOWEST, _FASTEST = Fraction(1, 4), Fraction(4)
_DEEPEST = 20
"""The most levels of nesting. Flattening copies everything below, once for each level."""
_ZERO = Fraction(0)


@dataclass(frozen=True)
class Joint:
    """A transition between a piece and the one before it."""

    name: str
    before: Fraction
    """How long before the cut it begins, seconds."""
    after: Fraction
    """How long after the cut it ends, seconds."""
    fade_color: str | None = None
    """The colour of a fade, which does not lengthen the pieces; None: a dissolve."""


@dataclass(frozen=True)
class Piece:
    """An item on a track. Times are seconds."""

    kind: Literal["clip", "still", "image", "gap"]
    start: Fraction
    length: Fraction
    name: str = ""
    """For notes."""
    source: str = ""
    others: tuple[str, ...] = ()
    """Further names that its media may have, if `source` is not known: the name of a clip, of a reel."""
    source_in: Fraction = _ZERO
    """Counted from the start of the file, once the piece is conformed; until then by the time codes of the edit."""
    source_end: Fraction | None = None
    """Where the file ends, counted from its start; None if unknown."""
    begins: Fraction | None = None
    """At which time the file begins by the edit's time codes; None if the edit does not say."""
    rate: Fraction = Fraction(25)
    """Of the edit's time codes for the media, frames a second."""
    drops: bool = False
    """Whether these are drop-frame time codes."""
    whole: bool = False
    """Whether all of the file is shown, and its length is unknown."""
    speed: float = 1.0
    joint: Joint | None = None
    fault: str = ""
    """Why its media cannot be used for it; empty: it can, or nothing is known of it."""
    carried: JsonObject = field(default_factory=dict[str, Any])
    """The item of our own timeline that it was written from, as JSON."""

    @property
    def end(self) -> Fraction:
        """Where it ends on its track."""
        return self.start + self.length

    @property
    def source_out(self) -> Fraction:
        """Where in the file it ends."""
        return self.source_in + self.length * Fraction(str(self.speed))


class TrackReader:
    """Reads tracks of one file."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        """Relative paths are relative to `folder`."""
        self._media, self._notes = MediaNames(folder, notes), notes
        self._depth = 0

    def pieces(self, track: Any, lead: Fraction) -> list[Piece]:
        """The pieces of a track that begins after `lead`, without holes. Raises RequestError for broken times.

        An item that cannot be converted becomes a gap, so that all others keep their times.
        """
        self._markers(track)
        if not track.enabled:
            self._notes.add(f"{named(track)} is disabled and left out.")
            return []
        self._effects(track)
        pieces = list(self._on(self._trimmed(track), lead, track.kind))
        return [Piece("gap", _ZERO, lead), *pieces] if lead and pieces else pieces

    def _trimmed(self, track: Any) -> Any:
        """The content of the track, cut to the part that is used."""
        if track.source_range is None or offset_of(track) > 0:
            return track
        return self._cut(track, track.source_range, named(track)) or []

    def _cut(self, track: Any, part: Any, name: str) -> Any | None:
        """The part of a track; None, with a note, if it cannot be cut."""
        algorithms = library().algorithms
        try:
            return algorithms.track_trimmed_to_range(track, part)
        except (library().exceptions.OTIOError, ValueError) as error:
            self._notes.add(f"{name} is left out, because it cannot be cut to the part that is used: {error}.")
            return None

    def _on(self, children: Iterable[Any], start: Fraction, kind: str) -> Iterator[Piece]:
        joint: Joint | None = None
        first = True
        for child in children:
            if child.schema_name() == "Transition":
                # At the start or end of a track it fades from or to nothing.
                if first:
                    yield Piece("gap", start, _ZERO)
                joint = self._joint(child)
                first = False
                continue
            first = False
            for piece in self._of_child(child, start, kind):
                yield replace(piece, joint=joint) if joint else piece
                start, joint = piece.end, None
        if joint:
            yield Piece("gap", start, _ZERO, joint=joint)

    def _of_child(self, child: Any, start: Fraction, kind: str) -> Iterator[Piece]:
        self._markers(child)
        match child.schema_name():
            case "Gap":
                yield Piece("gap", start, self._length(child) or _ZERO)
            case "Clip" if not child.enabled:
                self._notes.add(f"{named(child)} is disabled and left out.")
                yield Piece("gap", start, self._length(child) or _ZERO)
            case "Clip":
                yield self._clip(child, start)
            case "Stack" | "Track":
                yield from self._nested(child, start, kind)
            case other:
                self._notes.add(f"{named(child)} is left out: a {other} is not supported.")

    # --- what is nested ----------------------------------------------------------------------------------------------

    def _nested(self, nest: Any, start: Fraction, kind: str) -> Iterator[Piece]:
        length = self._length(nest) or _ZERO
        self._effects(nest)
        self._notes.add(f"{named(nest)} is nested: it is replaced by the topmost clips in it.")
        if self._depth == _DEEPEST:
            raise RequestError(f"{named(nest)} is nested more than {_DEEPEST} levels deep. Flatten it in its program.")
        flat = self._flattened(nest, kind) if nest.enabled else None
        at = start
        self._depth += 1
        for piece in self._on(flat or [], start, kind):
            yield piece
            at = piece.end
        self._depth -= 1
        if at < start + length:
            yield Piece("gap", at, start + length - at)

    def _flattened(self, nest: Any, kind: str) -> Any | None:
        tracks = [nest] if nest.schema_name() == "Track" else [_as_track(child, kind) for child in nest]
        tracks = [track for track in tracks if track.kind == kind and track.enabled]
        if not tracks:
            return None
        try:
            flat = library().algorithms.flatten_stack(tracks)
        except (library().exceptions.OTIOError, ValueError) as error:
            self._notes.add(f"{named(nest)} is left out, because it cannot be flattened: {error}.")
            return None
        return self._cut(flat, nest.source_range, named(nest)) if nest.source_range else flat

    # --- clips -------------------------------------------------------------------------------------------------------

    def _clip(self, clip: Any, start: Fraction) -> Piece:
        length, media = self._length(clip), clip.media_reference
        carried = our_metadata(clip).get("item")
        source = self._media.source(clip)
        if source is None:
            return Piece("gap", start, length or _ZERO, named(clip))
        piece = Piece(
            kind="image" if is_image(source) else "clip",
            start=start,
            length=length or _ZERO,
            name=named(clip),
            source=source,
            whole=length is None,
            carried=carried if isinstance(carried, dict) else {},  # pyright: ignore  # decoded JSON
        )
        if piece.carried.get("kind") == "image":
            piece = replace(piece, kind="image")  # an upload's id has no suffix
        speed = held_speed(self._effects(clip), named(clip), self._notes)
        if piece.kind == "image":
            return piece
        if length is None:
            self._notes.add(f"{piece.name} does not say which part of its media is used: all of it was taken.")
        else:
            piece = _timed(piece, clip.source_range, media and media.available_range)
        return replace(piece, kind="still") if speed == 0 else replace(piece, speed=float(speed))

    def _length(self, item: Any) -> Fraction | None:
        """The length of an item, seconds; None if neither it nor its media has one."""
        try:
            length = seconds(item.duration())
        except (library().exceptions.OTIOError, ValueError):
            return None
        if length < 0:
            self._notes.add(f"{named(item)} lasts {rounded(length)} s and is left out.")
        return max(_ZERO, length)

    def _effects(self, item: Any) -> Fraction:
        """How many times faster the item's effects make it; all other effects are noted."""
        scale = Fraction(1)
        for effect in item.effects:
            what = effect.schema_name()
            if what in ("LinearTimeWarp", "FreezeFrame") and item.schema_name() == "Clip":
                # Edit decision lists have fewer than six digits, and six are few enough to stay exact.
                scalar = effect.time_scalar if math.isfinite(effect.time_scalar) else 1.0
                scale *= Fraction(scalar).limit_denominator(10**6)
            else:
                label = effect.effect_name or effect.name or what
                self._notes.add(f"The effect “{label}” on {named(item)} is left out.")
        return Fraction(str(round(float(scale), 6)))

    def _joint(self, transition: Any) -> Joint | None:
        name = f"the transition {quoted(transition.name) or transition.transition_type}"
        before, after = (
            max(_ZERO, seconds(each)) if each else _ZERO for each in (transition.in_offset, transition.out_offset)
        )
        ours = our_metadata(transition).get("transition")
        if isinstance(ours, dict) and ours.get("kind") == "fade":  # pyright: ignore  # decoded JSON
            return Joint(name, before, after, str(ours.get("color")))  # pyright: ignore  # decoded JSON
        if transition.transition_type != "SMPTE_Dissolve":
            self._notes.add(f"{name} is a cut: a {transition.transition_type} is not supported.")
            return None
        return Joint(name, before, after)

    def _markers(self, item: Any) -> None:
        for marker in getattr(item, "markers", ()):
            self._notes.add(f"The marker {quoted(marker.name) or 'without a name'} on {named(item)} is left out.")


def held_speed(scale: Fraction, name: str, notes: Notes) -> Fraction:
    """The speed to play at for that of an edit, 1 is normal; 0: a still. What differs is noted, for what `name` is."""
    if scale == 0:
        return scale
    if scale < 0:
        notes.add(f"{name} plays backwards, which is not supported: it plays forwards.")
    speed = min(max(abs(scale), _SLOWEST), _FASTEST)
    if speed != abs(scale):
        notes.add(f"{name} plays at {rounded(abs(scale))} times its speed: {rounded(speed)} was taken.")
    return speed


def is_image(source: str) -> bool:
    """Whether a reference names an image file."""
    return source.rpartition(".")[2].lower() in _IMAGES


def _timed(piece: Piece, used: Any, available: Any) -> Piece:
    """The piece with the times that a clip says of its media."""
    begins = seconds(available.start_time) if available else None
    return replace(
        piece,
        source_in=seconds(used.start_time) if used else begins or _ZERO,
        source_end=seconds(available.duration) if available else None,
        begins=begins,
        rate=rate_of((used or available).start_time) if used or available else piece.rate,
    )


def offset_of(track: Any) -> Fraction:
    """How long after time code zero a track begins, seconds; edit decision lists have such offsets."""
    return max(_ZERO, -seconds(track.source_range.start_time)) if track.source_range else _ZERO


def _as_track(child: Any, kind: str) -> Any:
    """A child of a stack, wrapped in a track for flattening."""
    if child.schema_name() == "Track":
        return child
    track = library().schema.Track(kind=kind)
    track.append(child.deepcopy())
    return track
