"""Converts an edit of another program to our timeline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.timelines.model import (
    VERSION,
    Canvas,
    Clip,
    Dissolve,
    FadeThrough,
    Gap,
    ImageLayer,
    Layer,
    Motion,
    Picture,
    Position,
    Still,
    Timeline,
    TrackItem,
    Transition,
    VideoLayer,
)
from mediajobs_dagster.timelines.otio.carrying import made
from mediajobs_dagster.timelines.otio.edits import Edit
from mediajobs_dagster.timelines.otio.joining import Joined, joined, length_of
from mediajobs_dagster.timelines.otio.library import tellable
from mediajobs_dagster.timelines.otio.notes import Notes, rounded
from mediajobs_dagster.timelines.otio.pieces import Joint, Piece
from mediajobs_dagster.timelines.otio.sounding import Sound, sound_of
from mediajobs_dagster.timelines.parsing import Fault

_MIDDLE = Position(x=0.5, y=0.5)
_PICTURED = ("fit", "crop")
_LAYERED = ("opacity", "enter", "exit", "position", "scale", "border", "radius")


@dataclass(frozen=True)
class Mapped:
    """Our timeline of an edit."""

    timeline: Timeline
    places: Mapping[str, str]
    """What the parts of the timeline are in the edit, by their JSON paths: `$.track[3]` is the clip “talk”."""
    faults: tuple[Fault, ...]
    """Parts whose media does not have what they need."""


def timeline_of(edit: Edit, notes: Notes) -> Mapped:
    """Our timeline for the tracks of `edit`, whose media is known as far as it can be (see `conforming`).

    Raises RequestError when there is no picture, or when the result is not a valid timeline.
    """
    try:
        return _mapped(edit, notes)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"“{edit.name}” cannot become a timeline. {place}: {first['msg']}.") from error


def _mapped(edit: Edit, notes: Notes) -> Mapped:
    tracks = [joined(track, notes) for track in edit.video]
    pictures = [each for track in tracks for each in track if each.piece.kind == "clip"]
    sound = sound_of(edit.audio, pictures, 1 / (edit.rate or Fraction(25)), notes)
    base = list(_base(tracks[0], sound, notes)) if tracks else []
    if not base:
        why = " ".join(("It has no video track with anything on it.", *notes.all[:3]))
        raise RequestError(f"“{edit.name}” cannot become a timeline. {why}")
    base += _rest(edit, tracks[0])
    layers = [each for track in tracks[1:] for each in _layers(track, sound, notes)]
    timeline = Timeline(
        version=VERSION,
        title=edit.name[:200],
        canvas=_canvas(edit.rate, notes),
        track=tuple(item for _, item in base),
        layers=tuple(layer for _, layer in layers),
        narration=tuple(sound.narration),
        music=tuple(sound.music),
    )
    parts = {f"$.track[{number}]": piece for number, (piece, _) in enumerate(base)}
    parts |= {f"$.layers[{number}]": piece for number, (piece, _) in enumerate(layers)}
    parts |= {f"$.narration[{number}]": piece for number, piece in enumerate(sound.voices)}
    places = {path: piece.name for path, piece in parts.items() if piece.name}
    return Mapped(timeline, places, tuple(Fault(path, piece.fault) for path, piece in parts.items() if piece.fault))


def fingerprint(timeline: Timeline) -> str:
    """A digest of what the tracks say, which shows whether they were edited."""
    return hashlib.sha256(json.dumps(timeline.to_json(), sort_keys=True).encode()).hexdigest()


# --- canvas ----------------------------------------------------------------------------------------------------------


def _canvas(rate: Fraction | None, notes: Notes) -> Canvas:
    if rate is None:
        return Canvas()
    try:
        return Canvas(fps=rate)
    except ValidationError:
        notes.add(
            f"Exports have 23.976 to 60 frames a second, not {rounded(rate)}: the rate follows from the first clip."
        )
        return Canvas()


# --- base track ------------------------------------------------------------------------------------------------------


def _base(track: Sequence[Joined], sound: Sound, notes: Notes) -> Iterable[tuple[Piece, TrackItem]]:
    begun = False
    for each in track:
        if _is_nothing(each.piece, notes):
            continue
        yield each.piece, _item(each, _transition(each) if begun else None, sound, notes)
        begun = True


def _rest(edit: Edit, track: Sequence[Joined]) -> Iterable[tuple[Piece, TrackItem]]:
    """A gap after the base track, as long as something above it or beside it goes on."""
    ends = max(each.piece.end for each in track)
    others = (piece for other in (*edit.video[1:], *edit.audio) for piece in other if piece.kind != "gap")
    length = max((piece.end for piece in others), default=ends) - ends
    if length >= 1 / (edit.rate or Fraction(25)):
        yield Piece("gap", ends, length), Gap(kind="gap", duration=tellable(length))


def _is_nothing(piece: Piece, notes: Notes) -> bool:
    if piece.length or piece.whole:
        return False
    if piece.kind != "gap":
        notes.add(f"{piece.name} has no length and is left out.")
    return True


def _transition(each: Joined) -> Transition | None:
    if each.joint is None:
        return None
    duration = tellable(length_of(each.joint))
    if each.joint.fade_color is None:
        return Dissolve(kind="dissolve", duration=duration)
    return made(FadeThrough, {"color": each.joint.fade_color}, ("color",), kind="fade", duration=duration)


def _item(each: Joined, transition: Transition | None, sound: Sound, notes: Notes) -> TrackItem:
    piece = each.piece
    length = tellable(piece.length)
    if piece.kind == "gap" or (piece.source_end is not None and piece.source_in >= piece.source_end):
        if piece.kind != "gap":
            notes.add(f"{piece.name} starts after the end of its media and is left empty.")
        return Gap(kind="gap", duration=length, transition=transition)
    shown = {"source": piece.source, "transition": transition}
    if piece.kind == "image":
        return made(Picture, piece.carried, _PICTURED, kind="image", duration=length, **shown)
    at = tellable(piece.source_in)
    if piece.kind == "still":
        return made(Still, piece.carried, _PICTURED, kind="still", at=at, duration=length, **shown)
    out, hold = _end(piece)
    if hold:
        notes.add(
            f"{piece.name} goes on for {rounded(hold)} s after the end of its media: its last frame stands still."
        )
    return made(
        Clip,
        piece.carried,
        (*_PICTURED, "gainDb"),
        kind="clip",
        in_=at,
        out=out,
        hold=hold,
        speed=piece.speed,
        mute=sound.is_silent(each.original),
        **shown,
    )


def _end(piece: Piece) -> tuple[Fraction | None, Fraction]:
    """Where a clip ends in its file (None: at the end of the file), and how long its last frame is held after that."""
    if piece.whole:
        return None, Fraction(0)
    end = piece.source_end
    if end is None or piece.source_out <= end:
        return tellable(piece.source_out), Fraction(0)
    return tellable(end), tellable((piece.source_out - end) / Fraction(str(piece.speed)))


# --- layers ----------------------------------------------------------------------------------------------------------


def _layers(track: Sequence[Joined], sound: Sound, notes: Notes) -> Iterable[tuple[Piece, Layer]]:
    for each, after in zip(track, [*track[1:], None], strict=False):
        piece = each.piece
        if piece.kind == "gap" or _is_nothing(piece, notes):
            continue
        if piece.kind == "still":
            notes.add(f"{piece.name} stands still above another picture, which is not supported: it is left out.")
            continue
        fields: dict[str, Any] = {"source": piece.source, "start": tellable(piece.start)}
        if each.joint:
            fields["enter"] = _fade(each.joint)
        # It stays visible while the next picture of its track fades in; if both faded, the base would show through.
        if each.following and (after is None or after.piece.kind == "gap"):
            fields["exit"] = _fade(each.following)
        given = {"position": _MIDDLE, "scale": 1.0} | piece.carried
        kept = tuple(name for name in _LAYERED if name not in fields)
        if piece.kind == "image":
            duration = tellable(piece.length)
            yield piece, made(ImageLayer, given, kept, kind="image", duration=duration, **fields)
            continue
        if piece.speed != 1:
            notes.add(f"{piece.name} plays at its normal speed: above another picture no other is supported.")
            piece = replace(piece, speed=1.0)
        out, hold = _end(piece)
        if hold:
            notes.add(f"{piece.name} ends {rounded(hold)} s early, with its media.")
        fields |= {"in_": tellable(piece.source_in), "out": out, "mute": sound.is_silent(each.original)}
        yield piece, made(VideoLayer, given, (*kept, "crop", "gainDb"), kind="video", **fields)


def _fade(joint: Joint) -> Motion:
    return Motion(kind="fade", duration=tellable(length_of(joint)))
