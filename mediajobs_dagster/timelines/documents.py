"""Reads a timeline from a file: our JSON, or any format that an OpenTimelineIO adapter reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.small_files import read_small
from mediajobs_dagster.timelines.file_contents import MAX_BYTES, decoded, read_whole
from mediajobs_dagster.timelines.parsing import Fault, too_large
from mediajobs_dagster.transcripts.subtitles import CaptionsError, decode_captions

if TYPE_CHECKING:
    from mediajobs_dagster.timelines.otio.conforming import Library

_CAPTIONS = {".srt": "srt", ".vtt": "vtt"}
_MAX_ALL_CAPTIONS = 16 << 20
"""Bytes of all caption files of a timeline: a short timeline can name one large file a thousand times."""
_STAND_IN = {"format": "vtt", "text": "00:00.000 --> 00:01.000\n-"}


@dataclass(frozen=True)
class Document:
    """A timeline as it is in a file."""

    content: JsonObject
    notes: tuple[str, ...] = ()
    """What could not be imported from another program's timeline."""
    faults: tuple[Fault, ...] = ()
    """Caption files that cannot be read (in `content`, a placeholder replaces each), and media that does not have what
    another program's timeline needs of it."""
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the parts of `content` are in another program's timeline, by their JSON paths: `$.track[3]` is event 004."""


def read_document(path: Path, *, rate: Fraction | None = None, library: Library | None = None) -> Document:
    """Read a timeline. `rate` is the frame rate of an edit decision list, frames per second.

    `library` has the uploads for timelines of other programs: their time codes, and what they are called there.
    Captions may be in a file beside it (`"file": "talk.srt"` in place of `format` and `text`). Raises RequestError when
    the file cannot be read, and when `rate` or a name in `library` is given for a format that has its own.
    """
    if rate is not None and path.suffix.lower() != ".edl":
        raise RequestError(f"{path} has its own frame rate: --rate is only for edit decision lists (.edl).")
    if path.suffix.lower() != ".json":
        from mediajobs_dagster.timelines.otio.reading import read_otio  # a large library, needed here only

        imported = read_otio(path, rate=rate, library=library)
        return Document(imported.timeline.to_json(), imported.notes, imported.faults, imported.places)
    if library and library.named:
        raise RequestError(f"{path} names its uploads itself: --media is only for timelines of other programs.")
    content = _json_of(path)
    if any(too_large(content)):  # its faults are told with all others
        return Document(content)
    return Document(content, faults=tuple(_include_captions(content, path.absolute().parent)))


def _json_of(path: Path) -> JsonObject:
    content = decoded(read_whole(path), path, pairs=_each_once)
    if not isinstance(content, dict):
        raise RequestError(f"{path} is not a timeline: a timeline is a JSON object.")
    return cast(JsonObject, content)


def _each_once(fields: list[tuple[str, object]]) -> JsonObject:
    """The fields of an object; raises ValueError if one is there twice. JSON parsers would silently drop the first."""
    found: JsonObject = {}
    for name, value in fields:
        if name in found:
            raise ValueError(f"the field {name!a} is twice in the same object")
        found[name] = value
    return found


def _include_captions(content: JsonObject, folder: Path) -> Iterator[Fault]:
    layers, room = content.get("layers"), _MAX_ALL_CAPTIONS
    for index, layer in enumerate(cast("list[Any]", layers) if isinstance(layers, list) else []):
        if isinstance(layer, dict) and "file" in layer and cast(JsonObject, layer).get("kind") == "captions":
            try:
                captions, size = _captions(folder / str(cast(JsonObject, layer).pop("file")), room)
                cast(JsonObject, layer).update(captions)
                room -= size
            except CaptionsError as error:
                cast(JsonObject, layer).update(_STAND_IN)
                yield Fault(f"$.layers[{index}].file", str(error))


def _captions(file: Path, room: int) -> tuple[JsonObject, int]:
    """What a layer says of its captions, and the bytes of their file."""
    kind = _CAPTIONS.get(file.suffix.lower())
    if kind is None:
        raise CaptionsError(f"{file.name} is neither .srt nor .vtt")
    try:
        content = read_small(file, MAX_BYTES, "captions")
    except RequestError as error:
        raise CaptionsError(error.message.removesuffix(".")) from error
    if len(content) > room:
        raise CaptionsError(f"the caption files of the timeline have more than {_MAX_ALL_CAPTIONS >> 20} MiB in all")
    return {"format": kind, "text": decode_captions(content)}, len(content)
