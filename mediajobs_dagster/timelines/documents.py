"""Reads a timeline from a file: our JSON, or any format that an OpenTimelineIO adapter reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.captions import CaptionsError, decode_captions
from mediajobs_dagster.timelines.parsing import Fault
from mediajobs_dagster.timelines.small_files import MAX_BYTES, decoded, read_small

_CAPTIONS = {".srt": "srt", ".vtt": "vtt"}
_STAND_IN = {"format": "vtt", "text": "00:00.000 --> 00:01.000\n-"}


@dataclass(frozen=True)
class Document:
    """A timeline as it is in a file."""

    content: JsonObject
    notes: tuple[str, ...] = ()
    """What could not be imported from another program's timeline."""
    faults: tuple[Fault, ...] = ()
    """Caption files that cannot be read; in `content`, a placeholder replaces each."""


def read_document(path: Path, *, rate: Fraction | None = None) -> Document:
    """Read a timeline. `rate` is the frame rate of an edit decision list, frames per second.

    Captions may be in a file beside it (`"file": "talk.srt"` in place of `format` and `text`). Raises RequestError when
    the file cannot be read, and when `rate` is given for a format that has its own.
    """
    if rate is not None and path.suffix.lower() != ".edl":
        raise RequestError(f"{path} has its own frame rate: --rate is only for edit decision lists (.edl).")
    if path.suffix.lower() != ".json":
        from mediajobs_dagster.timelines.otio.reading import read_otio  # a large library, needed here only

        imported = read_otio(path, rate=rate)
        return Document(imported.timeline.to_json(), imported.notes)
    content = _json_of(path)
    return Document(content, faults=tuple(_include_captions(content, path.absolute().parent)))


def _json_of(path: Path) -> JsonObject:
    content = decoded(read_small(path), path, pairs=_each_once)
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
    layers = content.get("layers")
    for index, layer in enumerate(cast("list[Any]", layers) if isinstance(layers, list) else []):
        if isinstance(layer, dict) and "file" in layer and cast(JsonObject, layer).get("kind") == "captions":
            try:
                cast(JsonObject, layer).update(_captions(folder / str(cast(JsonObject, layer).pop("file"))))
            except CaptionsError as error:
                cast(JsonObject, layer).update(_STAND_IN)
                yield Fault(f"$.layers[{index}].file", str(error))


def _captions(file: Path) -> JsonObject:
    kind = _CAPTIONS.get(file.suffix.lower())
    if kind is None:
        raise CaptionsError(f"{file.name} is neither .srt nor .vtt")
    try:
        size = file.stat().st_size
        content = file.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise CaptionsError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero character, or half of a surrogate pair
        raise CaptionsError(f"{file.name!a} is not a possible file name") from error
    if size > MAX_BYTES:
        raise CaptionsError(f"{file.name} has more than {MAX_BYTES >> 20} MiB")
    return {"format": kind, "text": decode_captions(content)}
