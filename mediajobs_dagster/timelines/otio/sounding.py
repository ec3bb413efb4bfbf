"""Finds which pictures have their own sound, and which sounds are narration or music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import floor
from typing import Generic, TypeVar

from mediajobs_dagster.timelines.model import Music, Narration
from mediajobs_dagster.timelines.otio.carrying import made
from mediajobs_dagster.timelines.otio.joining import Joined, joined, length_of
from mediajobs_dagster.timelines.otio.library import tellable
from mediajobs_dagster.timelines.otio.notes import Notes
from mediajobs_dagster.timelines.otio.pieces import Piece

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Sound:
    """The sound of a timeline."""

    sounding: Sequence[Piece] | None
    """The pictures with their own sound; None: all of them, because there are no audio tracks."""
    narration: Sequence[Narration] = ()
    voices: Sequence[Piece] = ()
    """What each narration was read from."""
    music: Sequence[Music] = ()
    """Only music of a timeline that we wrote, because a track does not say whether it is music."""

    def is_silent(self, picture: Piece) -> bool:
        """Whether the picture has no sound."""
        return self.sounding is not None and not any(each is picture for each in self.sounding)


def sound_of(tracks: Sequence[Sequence[Piece]], pictures: Sequence[Joined], frame: Fraction, notes: Notes) -> Sound:
    """The sound of audio tracks. `frame` is the length of a frame, seconds: the tolerance when times are compared.

    An audio clip with the same part of the same media at the same time as a picture is that picture's own sound. All
    others become narration, such as a sound that begins before its picture.
    """
    if not tracks:
        return Sound(None)
    sounding: list[Piece] = []
    heard = _Nearby[Piece](frame)  # the channels of one sound may be on several tracks
    shown = _Nearby[Joined](frame)
    for picture in pictures:
        shown.add(picture.original, picture)
    narration: list[Narration] = []
    voices: list[Piece] = []
    ids: set[str | None] = set()
    music: list[Music] = []
    for each in (each for track in tracks for each in joined(track, notes)):
        piece = each.original
        if piece.kind != "clip" or not (piece.length or piece.whole):
            continue
        if piece.carried.get("kind") == "music":
            music.append(_music(piece))
            continue
        if heard.find(piece) is not None:
            continue
        heard.add(piece, piece)
        picture = shown.find(piece)
        if picture is None:
            narration.append(_narration(each, ids, notes))
            voices.append(piece)
            ids.add(narration[-1].id)
            continue
        sounding.append(picture.original)
        if (each.joint and not picture.joint) or (each.following and not picture.following):
            notes.add(f"The sound of {piece.name} begins and ends as its picture does: its own fades are left out.")
    return Sound(sounding, narration, voices, music)


class _Nearby(Generic[Thing]):
    """Things by the pieces they belong to. Looking one up takes the same time however many there are."""

    def __init__(self, frame: Fraction) -> None:
        self._frame = frame
        self._cells: dict[tuple[object, ...], list[tuple[Piece, Thing]]] = {}

    def add(self, piece: Piece, thing: Thing) -> None:
        """Keep a thing."""
        self._cells.setdefault((piece.source, *self._cell(piece)), []).append((piece, thing))

    def find(self, piece: Piece) -> Thing | None:
        """The first thing whose piece is the same part of the same media, at the same time."""
        # What is less than a frame away lies in the same cell, or in one beside it.
        around = product(*((number - 1, number, number + 1) for number in self._cell(piece)))
        near = (each for cell in around for each in self._cells.get((piece.source, *cell), ()))
        return next((thing for other, thing in near if _is_same(piece, other, self._frame)), None)

    def _cell(self, piece: Piece) -> tuple[int, ...]:
        return tuple(floor(time / self._frame) for time in (piece.start, piece.length, piece.source_in))


def _is_same(one: Piece, other: Piece, frame: Fraction) -> bool:
    if one.source != other.source or one.speed != other.speed:
        return False
    apart = (one.start - other.start, one.length - other.length, one.source_in - other.source_in)
    return all(abs(each) < frame for each in apart)


def _narration(each: Joined, taken: set[str | None], notes: Notes) -> Narration:
    piece = each.piece
    if piece.speed != 1:
        notes.add(f"{piece.name} is heard at its normal speed: sound without its picture has no other.")
    fields = {
        "source": piece.source,
        "start": tellable(piece.start),
        "in_": tellable(piece.source_in),
        "out": None if piece.whole else tellable(piece.source_in + piece.length),
    }
    if each.joint:
        fields["fade_in"] = tellable(length_of(each.joint))
    if each.following:
        fields["fade_out"] = tellable(length_of(each.following))
    kept = ("id", "gainDb", *(() if each.joint else ("fadeIn",)), *(() if each.following else ("fadeOut",)))
    carried = piece.carried if piece.carried.get("id") not in taken else piece.carried | {"id": None}
    return made(Narration, carried, kept, **fields)


def _music(piece: Piece) -> Music:
    kept = ("duration", "mode", "duckDb", "gainDb", "fadeIn", "fadeOut")
    start, source_in = tellable(piece.start), tellable(piece.source_in)
    return made(Music, piece.carried, kept, source=piece.source, start=start, in_=source_in)
