"""Reads a timeline from a file: our own JSON, or whatever OpenTimelineIO has an adapter for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.video_export.captions import CaptionsError, decode_captions
from mediajobs_dagster.job_types.video_export.parsing import Fault
from mediajobs_dagster.models import JsonObject

MAX_BYTES = 4 << 20
_CAPTIONS = {".srt": "srt", ".vtt": "vtt"}
_STAND_IN = {"format": "vtt", "text": "00:00.000 --> 00:01.000\n-"}


@dataclass(frozen=True)
class Document:
    """A timeline as it stands in a file."""

    content: JsonObject
    notes: tuple[str, ...] = ()
    """What of another program's timeline could not be carried over."""
    faults: tuple[Fault, ...] = ()
    """Files with captions that cannot be read; for each, a caption stands in."""


def read_document(path: Path, *, rate: Fraction | None = None) -> Document:
    """Read a timeline. `rate`, frames a second, is what an edit decision list is read with.

    Captions may be named by a file beside it (`"file": "talk.srt"` in place of `format` and `text`). Raises
    RequestError when the file cannot be read.
    """
    if path.suffix.lower() != ".json":
        from mediajobs_dagster.sources.otio.reading import read_otio  # a large library, needed here only

        imported = read_otio(path, rate=rate)
        return Document(imported.timeline.to_json(), imported.notes)
    content = _json_of(path)
    return Document(content, faults=tuple(_include_captions(content, path.absolute().parent)))


def _json_of(path: Path) -> JsonObject:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RequestError(f"{path} has more than {MAX_BYTES >> 20} MiB; no timeline is that long.")
        content: object = json.loads(path.read_bytes(), object_pairs_hook=_each_once)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is no JSON that can be read: {error}.") from error
    if not isinstance(content, dict):
        raise RequestError(f"{path} holds no timeline: a timeline is a JSON object.")
    return cast(JsonObject, content)


def _each_once(fields: list[tuple[str, object]]) -> JsonObject:
    """The fields of an object. Of two of the same name, JSON's readers silently drop one: half an edit, perhaps."""
    found: JsonObject = {}
    for name, value in fields:
        if name in found:
            raise ValueError(f"the field {name!a} stands twice in the same object")
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
    except ValueError as error:  # a zero, or half of a surrogate pair
        raise CaptionsError(f"{file.name!a} is no name that a file can have") from error
    if size > MAX_BYTES:
        raise CaptionsError(f"{file.name} has more than {MAX_BYTES >> 20} MiB")
    return {"format": kind, "text": decode_captions(content)}
