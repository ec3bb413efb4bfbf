"""Reads timelines of other programs, in every format for which an OpenTimelineIO adapter is installed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.file_contents import decoded, depth_of, read_packed, read_whole
from mediajobs_dagster.timelines.layout import true_rate
from mediajobs_dagster.timelines.model import Timeline, VideoLayer
from mediajobs_dagster.timelines.otio.edl import prepared
from mediajobs_dagster.timelines.otio.library import EDL, adapter_of, library, our_metadata
from mediajobs_dagster.timelines.otio.mapping import fingerprint, timeline_of
from mediajobs_dagster.timelines.otio.notes import Notes

_ARCHIVE, _FOLDER, _IN_BUNDLE = "otioz", "otiod", "content.otio"
"""The timeline in a bundle, which is a JSON timeline together with its media."""
_HOLD_JSON = ("otio_json", _ARCHIVE, _FOLDER)
_DEEPEST = 200
"""The most levels of JSON. No edit has that many, and the parser of these adapters overflows the stack instead."""


@dataclass(frozen=True)
class Imported:
    """A timeline that another program made."""

    timeline: Timeline
    """Its references are addresses, paths or names, or upload ids if we wrote the file."""
    notes: tuple[str, ...]
    """What was left out or changed, for people."""


def read_otio(path: Path, *, rate: Fraction | None = None) -> Imported:
    """Read the file at `path`; its suffix selects the adapter.

    `rate` is the frame rate of an edit decision list, frames per second; without it the rate is guessed, with a note.
    Raises RequestError when the file cannot be read, when no adapter is installed, or when it contains no timeline.
    """
    notes = Notes()
    edit = _timeline_in(_opened(path, rate, notes), path)
    ours = our_metadata(edit)
    timeline = timeline_of(edit, path.absolute().parent, notes)
    if "timeline" not in ours:
        return Imported(timeline, notes.all)
    try:
        written = Timeline.model_validate(ours["timeline"])
    except ValidationError:
        notes.add("The metadata that mediajobs wrote is damaged: only the tracks were read.")
        return Imported(timeline, notes.all)
    if fingerprint(timeline) == ours.get("tracks"):
        return Imported(written, ())
    return Imported(_merged(timeline, written, notes), notes.all)


def _opened(path: Path, rate: Fraction | None, notes: Notes) -> Any:
    adapter = adapter_of(path.suffix.removeprefix("."), reads=True)
    content = _content(path, adapter)
    adapters = library().adapters
    # No media linker: it is code that an environment variable names, and we link media ourselves.
    links_nothing: dict[str, Any] = {"media_linker_name": library().media_linker.MediaLinkingPolicy.DoNotLinkMedia}
    try:
        if adapter in _HOLD_JSON:
            if depth_of(decoded(content, path)) > _DEEPEST:
                raise RequestError(f"{path} is broken: it is nested too deeply.")
            return adapters.read_from_string(content.decode("utf-8-sig"), "otio_json", **links_nothing)
        if adapter != EDL:
            return adapters.read_from_file(str(path), adapter, **links_nothing)
        text, used, note = prepared(content.decode("utf-8-sig", errors="replace"), rate)
        if note:
            notes.add(note)
        return adapters.read_from_string(text, adapter, rate=float(true_rate(float(used))), **links_nothing)
    except RequestError:
        raise
    except Exception as error:  # adapters are foreign code; they raise anything for a broken file
        raise RequestError(f"{path} is broken, or is not what its suffix says: {error}") from error


def _content(path: Path, adapter: str) -> bytes:
    """The content of the file, or of the timeline file in a bundle; the media of a bundle are not read."""
    if adapter == _ARCHIVE:
        return read_packed(path, _IN_BUNDLE)
    return read_whole(path / _IN_BUNDLE if adapter == _FOLDER else path)


def _timeline_in(root: Any, path: Path) -> Any:
    """The one timeline that a file holds."""
    if isinstance(root, library().schema.SerializableCollection):
        timelines = [each for each in root if isinstance(each, library().schema.Timeline)]
        if len(timelines) > 1:
            raise RequestError(f"{path} contains {len(timelines)} timelines. Export the one you need by itself.")
        root = timelines[0] if timelines else None
    if not isinstance(root, library().schema.Timeline) or root.tracks is None:
        raise RequestError(f"{path} contains no timeline.")
    return root


def _merged(read: Timeline, written: Timeline, notes: Notes) -> Timeline:
    """The tracks as they are now, with what is only in our metadata."""
    others = tuple(layer for layer in written.layers if not isinstance(layer, VideoLayer))
    kept: JsonObject = {"canvas": written.canvas, "music": written.music, "loudness": written.loudness}
    notes.add(
        "The tracks were edited since mediajobs wrote them. Canvas, music, loudness and all layers except videos are "
        "unchanged, even if the clips that they belong to have moved."
    )
    return read.model_copy(update=kept | {"layers": (*read.layers, *others)})
