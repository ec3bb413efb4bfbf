"""An edit of another program, as tracks of pieces: what is common to all formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.timelines.otio.library import rate_of
from mediajobs_dagster.timelines.otio.notes import Notes, named
from mediajobs_dagster.timelines.otio.pieces import Piece, TrackReader, offset_of

MOST_ITEMS = 10_000
"""More items than any timeline of ours may have, so many that they take minutes to read."""


@dataclass(frozen=True)
class Edit:
    """The tracks of an edit. Those without anything on them are left out."""

    name: str
    rate: Fraction | None
    """Frames a second; None if unknown."""
    video: Sequence[Sequence[Piece]]
    """The lowest first."""
    audio: Sequence[Sequence[Piece]]


def edit_of(edit: Any, folder: Path, notes: Notes) -> Edit:
    """The tracks of an OpenTimelineIO timeline; relative paths of media are relative to `folder`.

    Raises RequestError for times that are none, and for too many items.
    """
    check_count(edit.name, len(edit.tracks.find_children()))
    video, audio = _tracks(edit, TrackReader(folder, notes), notes)
    return Edit(edit.name, _rate(edit), video, audio)


def check_count(name: str, count: int) -> None:
    """Raise RequestError for an edit of too many items."""
    if count > MOST_ITEMS:
        raise RequestError(
            f"“{name}” has {count:,} clips, gaps and transitions; {MOST_ITEMS:,} are the most. Export a shorter part "
            "of it."
        )


def _tracks(edit: Any, reader: TrackReader, notes: Notes) -> tuple[list[list[Piece]], list[list[Piece]]]:
    tracks: list[Any] = []
    for child in edit.tracks:
        if child.schema_name() == "Track" and child.kind in ("Video", "Audio"):
            tracks.append(child)
        else:
            notes.add(f"{named(child)} is left out: it is neither a video nor an audio track.")
    for marker in edit.tracks.markers:
        notes.add(f"The marker “{marker.name}” on {named(edit)} is left out.")
    for effect in edit.tracks.effects:
        notes.add(f"The effect “{effect.effect_name or effect.name}” on {named(edit)} is left out.")
    # The start of the earliest track is a time code; it is not time to be shown.
    origin = min((offset_of(track) for track in tracks), default=Fraction(0))
    read = [(track.kind, reader.pieces(track, offset_of(track) - origin)) for track in tracks]
    video, audio = ([pieces for each, pieces in read if each == kind and pieces] for kind in ("Video", "Audio"))
    return video, audio


def _rate(edit: Any) -> Fraction | None:
    """The frame rate of the timeline: that of its start time, or of the first part on its lowest video track."""
    tracks = (track for track in edit.tracks if track.schema_name() == "Track" and track.kind == "Video")
    ranges = (getattr(child, "source_range", None) for track in tracks for child in track)
    times = (edit.global_start_time, *(used.duration for used in ranges if used))
    return next((rate_of(time) for time in times if time), None)
