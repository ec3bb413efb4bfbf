"""Writes our timelines for other programs. Reading such a file again gives the same timeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import MediaInfo, Upload
from mediajobs_dagster.storage.whole_file import whole_file
from mediajobs_dagster.timelines.model import (
    Canvas,
    Clip,
    ColourBackground,
    Narration,
    Timeline,
    VideoLayer,
)
from mediajobs_dagster.timelines.otio.assembling import assembled
from mediajobs_dagster.timelines.otio.conforming import as_counted
from mediajobs_dagster.timelines.otio.edits import edit_of
from mediajobs_dagster.timelines.otio.library import OURS, adapter_of, library
from mediajobs_dagster.timelines.otio.mapping import fingerprint, timeline_of
from mediajobs_dagster.timelines.otio.notes import Notes
from mediajobs_dagster.timelines.references import references_of

_LAYERS = {
    "image": "images above the base track",
    "logo": "logos",
    "title": "titles",
    "lower_third": "lower thirds",
    "captions": "captions",
    "visualiser": "visualisers",
}


def write_otio(timeline: Timeline, uploads: Mapping[str, Upload], path: Path) -> tuple[str, ...]:
    """Write a timeline to `path`, in the format of its suffix. The file appears whole or not at all.

    `uploads` are those that the timeline refers to, by reference. Returns notes for people: what is only in the
    metadata, which other programs keep but do not show. Raises RequestError when there is no adapter for the format,
    when the format cannot hold the timeline, when the length of a source is unknown, or when the file cannot be
    written.
    """
    adapter = adapter_of(path.suffix.removeprefix("."), reads=False)
    edit = assembled(timeline, uploads, _media(timeline, uploads))
    notes = Notes()
    read_again = timeline_of(as_counted(edit_of(edit, path.absolute().parent, notes), notes), notes).timeline
    edit.metadata[OURS] = {"timeline": timeline.to_json(), "tracks": fingerprint(read_again)}
    text = _text(edit, adapter, path)
    try:
        with whole_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {os.strerror(error.errno or 0)}.") from error
    only = _only_in_metadata(timeline)
    if only and adapter != "otio_json":
        return (*only, f"A .{path.suffix.removeprefix('.')} file has no such metadata: write .otio to keep all of it.")
    return only


def _text(edit: Any, adapter: str, path: Path) -> str:
    try:
        return library().adapters.write_to_string(edit, adapter)
    except (
        Exception
    ) as error:  # adapters are foreign code; they raise anything when their format cannot hold the timeline
        raise RequestError(f"{path.name} cannot hold this timeline: {error} Write .otio instead.") from error


def _media(timeline: Timeline, uploads: Mapping[str, Upload]) -> dict[str, MediaInfo]:
    """The media info of each reference; its length is 0 if it is unknown and not needed."""
    unknown = MediaInfo(container="", duration_seconds=0, bytes=0)
    media = {
        reference: (upload.media_info if (upload := uploads.get(reference)) else None) or unknown
        for _, reference in references_of(timeline)
    }
    for part in (*timeline.track, *timeline.layers, *timeline.narration):
        if not isinstance(part, Clip | VideoLayer | Narration) or part.out is not None:
            continue
        if not media[part.source].duration_seconds:
            raise RequestError(
                f"The length of {part.source} is unknown, because it was not probed. Give the end of its part in the "
                "timeline (`out`), or run a job on it first."
            )
    return media


# --- what OpenTimelineIO cannot express ------------------------------------------------------------------------------


def _only_in_metadata(timeline: Timeline) -> tuple[str, ...]:
    """One sentence for each kind of thing."""
    kinds = [layer.kind for layer in timeline.layers]
    things = [f"the {name} ({kinds.count(kind)})" for kind, name in _LAYERS.items() if kind in kinds]
    items = timeline.track
    pictured = [item for item in items if item.kind != "gap"]
    videos = [layer for layer in timeline.layers if isinstance(layer, VideoLayer)]
    clips = [item for item in items if isinstance(item, Clip)]
    voiced = any(voice.gain_db or voice.fade_in or voice.fade_out for voice in timeline.narration)
    checks = {
        "how pictures are cropped and fitted": any(item.crop or item.fit != "contain" for item in pictured),
        "the colour of fades": any(item.transition and item.transition.kind == "fade" for item in items),
        "position, size and style of videos above the base track": bool(videos),
        "gain and fades of sounds": voiced or any(part.gain_db for part in (*clips, *videos)),
        "how music is mixed, faded and repeated": bool(timeline.music),
        "the size of the canvas": timeline.canvas.model_copy(update={"fps": None}) != Canvas(),
        "what lies behind the pictures": timeline.canvas.background != ColourBackground(),
        "loudness": timeline.loudness is not None,
    }
    things += [thing for thing, there in checks.items() if there]
    return tuple(f"Only the metadata has {thing}." for thing in things)
