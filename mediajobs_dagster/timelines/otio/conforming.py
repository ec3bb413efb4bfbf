"""Conforms an edit to its media: finds the uploads of its pieces, and counts their times from the start of the files.

An edit names the frames of its media by time code. Where the time code of a file does not begin at zero, that of its
first frame has to be subtracted. Formats differ in whether they say it; if the upload is known, its probe has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import PureWindowsPath

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import MediaInfo, Upload
from mediajobs_dagster.timelines.layout import sound_end, source_length, true_rate
from mediajobs_dagster.timelines.otio.edits import Edit
from mediajobs_dagster.timelines.otio.edl import EventList
from mediajobs_dagster.timelines.otio.notes import Notes, rounded
from mediajobs_dagster.timelines.otio.pieces import Piece
from mediajobs_dagster.timelines.otio.time_codes import can_drop, nominal, read_code, shown_code
from mediajobs_dagster.timelines.resolving import Found

_ZERO = Fraction(0)
_HOUR = 3600
_RATES_OF_FRAMES = range(10, 121)
"""Rates that count frames. Others count samples or seconds."""

LookUp = Callable[[Iterable[str]], Found]
"""Finds the uploads with these names, as `References.resolve` does."""


@dataclass(frozen=True)
class Library:
    """The uploads that an edit may use."""

    look_up: LookUp
    named: Mapping[str, str] = field(default_factory=dict[str, str])
    """References to uploads by the names that they have in the edit, such as a reel; they win over all else."""


def conformed(edit: Edit, library: Library, notes: Notes) -> Edit:
    """The edit with its pieces conformed to the uploads of `library`.

    What has no upload is left to whoever resolves the references later. Raises RequestError for names in
    `library.named` that no piece has, and what the look-up raises.
    """
    pieces = [piece for track in (*edit.video, *edit.audio) for piece in track if piece.source]
    given = {name.casefold(): reference for name, reference in library.named.items()}
    used = {name.casefold() for piece in pieces for name in _names(piece)}
    if unused := [name for name in library.named if name.casefold() not in used]:
        raise RequestError(f"No clip of “{edit.name}” has the name or the reel {', '.join(map(repr, unused))}.")
    found = library.look_up([*given.values(), *(name for piece in pieces for name in _names(piece))])

    def conform(piece: Piece, length: Callable[[MediaInfo], Fraction]) -> Piece:
        if not piece.source:
            return piece
        source = _source(piece, given, found)
        upload = found.get(source)
        info = upload.media_info if isinstance(upload, Upload) else None
        piece = replace(piece, source=upload.id if isinstance(upload, Upload) else source)
        if not isinstance(upload, Upload) or info is None:
            return _as_counted(piece, notes)
        return _placed(piece, upload.filename, info, length(info), notes)

    return replace(
        edit,
        video=[[conform(piece, source_length) for piece in track] for track in edit.video],
        audio=[[conform(piece, sound_end) for piece in track] for track in edit.audio],
    )


def rate_of_media(guessed: EventList, library: Library, notes: Notes) -> Fraction | None:
    """The frame rate of the media of an edit decision list, noted; None if it has several, or none that fits the list.

    `guessed` was read with the lowest rate that fits. Raises what the look-up raises.
    """
    names = {PureWindowsPath(name).name for event in guessed.events for name in event.names}  # with slashes of any kind
    found = library.look_up({*library.named.values(), *names})
    media = [upload.media_info for upload in found.values() if isinstance(upload, Upload) and upload.media_info]
    rates = {true_rate(info.main_video.fps) for info in media if info.main_video and info.main_video.fps}
    if len(rates) != 1:
        return None
    (rate,) = rates
    fits = nominal(rate) >= nominal(guessed.rate) and (can_drop(rate) or not any(each.drops for each in guessed.events))
    if not fits or nominal(rate) not in _RATES_OF_FRAMES:
        return None
    notes.add(
        "An edit decision list does not contain its frame rate: that of its media was taken, "
        f"{rounded(rate)} frames a second."
    )
    return rate


def as_counted(edit: Edit, notes: Notes) -> Edit:
    """The edit with its pieces counted from the start of their files, as far as the edit itself says where that is."""

    def counted(tracks: Sequence[Sequence[Piece]]) -> list[list[Piece]]:
        return [[_as_counted(piece, notes) for piece in track] for track in tracks]

    return replace(edit, video=counted(edit.video), audio=counted(edit.audio))


def _names(piece: Piece) -> tuple[str, ...]:
    return piece.source, *piece.others


def _source(piece: Piece, given: Mapping[str, str], found: Found) -> str:
    """The reference of a piece: the first of its names that is given, has an upload, or might mean several."""
    names = _names(piece)
    chosen = next((given[name.casefold()] for name in names if name.casefold() in given), None)
    if chosen is not None:
        return chosen
    return next((name for name in names if isinstance(found.get(name), Upload)), names[0])


# --- times -----------------------------------------------------------------------------------------------------------


def _is_timed(piece: Piece) -> bool:
    return piece.kind in ("clip", "still") and not piece.whole


def _as_counted(piece: Piece, notes: Notes) -> Piece:
    """The piece counted from where the edit says that its media begins."""
    if not _is_timed(piece):
        return piece
    source_in = piece.source_in - (piece.begins or _ZERO)
    if source_in < 0:
        notes.add(f"{piece.name} starts before its media; its start was counted from zero instead.")
        source_in = max(_ZERO, piece.source_in)
    elif piece.begins is None and source_in >= _HOUR:
        notes.add(
            f"{piece.name} starts {rounded(source_in)} s into its media, if that begins at zero: "
            "the timeline does not say at which time code its media begins."
        )
    return replace(piece, source_in=source_in)


def _placed(piece: Piece, filename: str, info: MediaInfo, length: Fraction, notes: Notes) -> Piece:
    """The piece counted from the start of its file, whose media is known; with a fault if it is not in there."""
    if info.is_image:
        return replace(piece, kind="image")
    if not _is_timed(piece):
        return piece
    starts = _start_of(info, piece)
    if piece.begins is not None:
        # An edit may say that only a part of the file is there for it: then it counts as the file does.
        is_part = starts is not None and 0 < piece.begins - starts < length
        if not is_part:
            return _as_counted(piece, notes)
    if not length:
        return replace(piece, source_in=max(_ZERO, piece.source_in - (starts or _ZERO)))
    begin = starts or _ZERO
    if begin and not 0 <= piece.source_in - begin < length and piece.source_in < length:
        notes.add(f"{piece.name} is counted from zero, although the time code of {filename} begins at {info.timecode}.")
        begin = _ZERO
    return _within(piece, filename, begin, length, has_code=starts is not None)


def _within(piece: Piece, filename: str, begin: Fraction, length: Fraction, *, has_code: bool) -> Piece:
    """The piece counted from `begin`, held against the file's length; the last frame may reach beyond it."""

    def code(time: Fraction) -> str:
        return shown_code(time, piece.rate, drops=piece.drops)

    at, end = piece.source_in - begin, piece.source_out - begin
    lasts = f"but {filename} lasts from {code(begin)} to {code(begin + length)}"
    lasts += "" if has_code else ", as no time code of its own is known"
    fault = ""
    # Of what a dissolve begins with nothing may be left to be shown by itself.
    if not (0 <= at < length or (at == length and not piece.length)):
        fault = f"begins at {code(piece.source_in)}, {lasts}"
    elif piece.kind == "clip" and end > length + 1 / piece.rate:
        fault = f"ends at {code(piece.source_out)}, {lasts}"
    if fault:
        return replace(piece, source_in=_ZERO, source_end=None, whole=True, fault=fault)
    return replace(piece, source_in=at, source_end=max(length, end) if piece.kind == "clip" else length)


def _start_of(info: MediaInfo, piece: Piece) -> Fraction | None:
    """When the first frame of a file is, by the time codes of an edit; None if the file has no time code."""
    code = read_code(info.timecode) if info.timecode else None
    if code is None:
        return None
    own = true_rate(info.main_video.fps) if info.main_video and info.main_video.fps else piece.rate
    # The same label is the same frame, also where the edit has another rate. Samples have no labels.
    rate = piece.rate if nominal(piece.rate) in _RATES_OF_FRAMES else own
    code = replace(code, frames=code.frames * nominal(rate) / nominal(own))
    return code.counted(rate, drops=code.drops and can_drop(rate)) / rate
