"""Reads timelines of other programs: edit decision lists, and what an adapter of OpenTimelineIO is installed for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.file_contents import decoded, depth_of, read_packed, read_whole
from mediajobs_dagster.timelines.model import Timeline, VideoLayer
from mediajobs_dagster.timelines.otio.conforming import Library, as_counted, conformed, rate_of_media
from mediajobs_dagster.timelines.otio.edits import Edit, edit_of
from mediajobs_dagster.timelines.otio.edl import decoded_list, read_list
from mediajobs_dagster.timelines.otio.edl_tracks import tracks_of
from mediajobs_dagster.timelines.otio.library import adapter_of, our_metadata
from mediajobs_dagster.timelines.otio.library import library as library_of_otio
from mediajobs_dagster.timelines.otio.mapping import fingerprint, timeline_of
from mediajobs_dagster.timelines.otio.notes import Notes
from mediajobs_dagster.timelines.parsing import Fault

EDL_SUFFIX = ".edl"
_ARCHIVE, _FOLDER, _IN_BUNDLE = "otioz", "otiod", "content.otio"
"""The timeline in a bundle, which is a JSON timeline together with its media."""
_HOLD_JSON = ("otio_json", _ARCHIVE, _FOLDER)
_DEEPEST = 200
"""The most levels of JSON. No edit has that many, and the parser of these adapters overflows the stack instead."""


@dataclass(frozen=True)
class Imported:
    """A timeline that another program made."""

    timeline: Timeline
    """Its references are addresses, paths or names, or upload ids if they are known or if we wrote the file."""
    notes: tuple[str, ...]
    """What was left out or changed, for people."""
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the parts of the timeline are in the file, by their JSON paths: `$.track[3]` is event 004."""
    faults: tuple[Fault, ...] = ()
    """Parts whose media does not have what they need."""


def read_otio(path: Path, *, rate: Fraction | None = None, library: Library | None = None) -> Imported:
    """Read the file at `path`; its suffix selects the format.

    `rate` is the frame rate of an edit decision list, frames per second; without it the rate is guessed, with a note.
    Where `library` knows the media, its time codes are subtracted from those of the file. Raises RequestError when the
    file cannot be read, when no adapter is installed, when it contains no timeline, or when `library` names media that
    it does not have.
    """
    if path.suffix.lower() == EDL_SUFFIX:
        return _of_list(path, rate, library)
    notes = Notes()
    root = _timeline_in(_opened(path), path)
    edit = edit_of(root, path.absolute().parent, notes)
    ours = our_metadata(root)
    if "timeline" not in ours:
        return _imported(edit, library, notes)
    counted = timeline_of(as_counted(edit, Notes()), Notes()).timeline
    try:
        written = Timeline.model_validate(ours["timeline"])
    except ValidationError:
        notes.add("The metadata that mediajobs wrote is damaged: only the tracks were read.")
        return _imported(edit, library, notes)
    if fingerprint(counted) == ours.get("tracks"):
        return Imported(written, ())
    imported = _imported(edit, library, notes)
    return replace(imported, timeline=_merged(imported.timeline, written, notes), notes=notes.all)


def _of_list(path: Path, rate: Fraction | None, library: Library | None) -> Imported:
    notes = Notes()
    text = decoded_list(read_whole(path), notes)
    if rate is None and library:
        rate = rate_of_media(read_list(text, None, path.stem, Notes()), library, notes)
    events = read_list(text, rate, path.stem, notes)
    return _imported(tracks_of(events, path.absolute().parent, notes), library, notes)


def _imported(edit: Edit, library: Library | None, notes: Notes) -> Imported:
    known = conformed(edit, library, notes) if library else as_counted(edit, notes)
    mapped = timeline_of(known, notes)
    return Imported(mapped.timeline, notes.all, mapped.places, mapped.faults)


def _opened(path: Path) -> Any:
    adapter = adapter_of(path.suffix.removeprefix("."), reads=True)
    content = _content(path, adapter)
    adapters = library_of_otio().adapters
    # No media linker: it is code that an environment variable names, and we link media ourselves.
    links_nothing: dict[str, Any] = {
        "media_linker_name": library_of_otio().media_linker.MediaLinkingPolicy.DoNotLinkMedia
    }
    try:
        if adapter in _HOLD_JSON:
            if depth_of(decoded(content, path)) > _DEEPEST:
                raise RequestError(f"{path} is broken: it is nested too deeply.")
            return adapters.read_from_string(content.decode("utf-8-sig"), "otio_json", **links_nothing)
        return adapters.read_from_file(str(path), adapter, **links_nothing)
    except RequestError:
        raise
    except Exception as error:  # adapters are foreign code; they raise anything for a broken file
        raise _broken(path, adapter, error) from error


def _broken(path: Path, adapter: str, error: Exception) -> RequestError:
    if isinstance(error, library_of_otio().exceptions.UnsupportedSchemaError):
        version = library_of_otio().__version__
        return RequestError(
            f"{path} was written by a newer version of OpenTimelineIO than {version}, which is installed here. "
            "Export it for an older version."
        )
    # What the library says of its own format names its types in C++, and the line.
    line = re.search(r"near line (\d+)", str(error)) if adapter in _HOLD_JSON else None
    why = f": line {line[1]} holds what cannot stand there." if line else f": {error}"
    return RequestError(f"{path} is broken, or is not what its suffix says{why}")


def _content(path: Path, adapter: str) -> bytes:
    """The content of the file, or of the timeline file in a bundle; the media of a bundle are not read."""
    if adapter == _ARCHIVE:
        return read_packed(path, _IN_BUNDLE)
    return read_whole(path / _IN_BUNDLE if adapter == _FOLDER else path)


def _timeline_in(root: Any, path: Path) -> Any:
    """The one timeline that a file holds."""
    if isinstance(root, library_of_otio().schema.SerializableCollection):
        timelines = [each for each in root if isinstance(each, library_of_otio().schema.Timeline)]
        if len(timelines) > 1:
            raise RequestError(f"{path} contains {len(timelines)} timelines. Export the one you need by itself.")
        root = timelines[0] if timelines else None
    if not isinstance(root, library_of_otio().schema.Timeline) or root.tracks is None:
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
