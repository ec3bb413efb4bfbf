"""Lengthens the pieces on both sides of a transition so that they overlap.

OpenTimelineIO cuts pieces roughly in the middle of a transition, and the transition reaches beyond the cut on both
sides. Our dissolve is an overlap of whole pieces. So each piece becomes longer by the time its transitions reach beyond
its cuts, and the track keeps its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mediajobs_dagster.timelines.otio.notes import Notes, rounded
from mediajobs_dagster.timelines.otio.pieces import Joint, Piece

_ZERO = Fraction(0)


@dataclass(frozen=True)
class Joined:
    """A piece lengthened by its transitions, which are shortened to the media that there is."""

    piece: Piece
    original: Piece
    """The piece before it was lengthened."""
    joint: Joint | None
    """From the piece before."""
    following: Joint | None
    """Into the next one."""


def joined(pieces: Sequence[Piece], notes: Notes) -> list[Joined]:
    """The pieces of one track, lengthened by their transitions."""
    joints: list[Joint | None] = []
    taken = _ZERO  # by the transition before, of the piece before
    for before, piece in zip([None, *pieces], pieces, strict=False):
        joint = before and piece.joint and _borne(piece.joint, before, piece, before.length - taken, notes)
        joints.append(joint)
        taken = joint.after if joint else _ZERO
    return [
        Joined(_lengthened(piece, joint, following), piece, joint, following)
        for piece, joint, following in zip(pieces, joints, [*joints[1:], None], strict=False)
    ]


def length_of(joint: Joint) -> Fraction:
    """How long a transition lasts, seconds."""
    return joint.before + joint.after


def _borne(joint: Joint, before: Piece, piece: Piece, room: Fraction, notes: Notes) -> Joint | None:
    """The transition, shortened to the media on both sides; None if nothing is left."""
    dissolves = joint.fade_color is None
    ahead = min([joint.before, room, *([_reach_back(piece)] if dissolves else [])])
    behind = min([joint.after, piece.length, *([_reach_on(before)] if dissolves else [])])
    borne = replace(joint, before=max(_ZERO, ahead), after=max(_ZERO, behind))
    asked, left = length_of(joint), length_of(borne)
    if left < asked:
        place = f"between {before.name or 'nothing'} and {piece.name or 'nothing'}"
        became = f"is shortened to {rounded(left)}" if left else "is a cut instead"
        notes.add(f"{joint.name} of {rounded(asked)} s {place} {became}: there is not enough media on both sides.")
    return borne if left else None


def _reach_back(piece: Piece) -> Fraction:
    """How much media a piece has before its start, seconds."""
    return piece.source_in / Fraction(str(piece.speed)) if piece.kind == "clip" else Fraction(10**9)


def _reach_on(piece: Piece) -> Fraction:
    """How much media a piece has after its end, seconds; a large number if unknown."""
    if piece.kind != "clip" or piece.source_end is None:
        return Fraction(10**9)
    return (piece.source_end - piece.source_out) / Fraction(str(piece.speed))


def _lengthened(piece: Piece, joint: Joint | None, following: Joint | None) -> Piece:
    ahead = joint.before if joint and joint.fade_color is None else _ZERO
    behind = following.after if following and following.fade_color is None else _ZERO
    return replace(
        piece,
        start=piece.start - ahead,
        length=piece.length + ahead + behind,
        source_in=piece.source_in - ahead * Fraction(str(piece.speed)) if piece.kind == "clip" else piece.source_in,
    )
