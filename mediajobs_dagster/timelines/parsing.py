"""Reads a timeline as far as it can be read: what is at fault is told and left out, so that the rest is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.model import VERSION, Timeline


@dataclass(frozen=True)
class Fault:
    """One fault of a timeline."""

    path: str
    """Where it stands, as JSON path, such as `$.track[3].out`."""
    message: str
    """What is wrong there, and what would be right."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True)
class Parsed:
    """A document as far as it can be read."""

    timeline: Timeline | None
    """Of what is right in it; None where there is no base track to look at."""
    faults: tuple[Fault, ...]
    holes: frozenset[int]
    """Items of the base track that could not be read; gaps of next to no length stand in for them."""
    kept: Mapping[str, Sequence[int]]
    """For each of the other lists in the timeline, which items of the document's list are in it."""

    def original(self, path: str) -> str:
        """The place in the document of a place in the timeline."""
        for name, numbers in self.kept.items():
            head = f"$.{name}["
            if path.startswith(head):
                number, _, rest = path.removeprefix(head).partition("]")
                return f"{head}{numbers[int(number)]}]{rest}"
        return path

    def has_fault(self, path: str) -> bool:
        """Whether anything at or below a place could not be read."""
        return any(_steps(fault.path)[: len(_steps(path))] == _steps(path) for fault in self.faults)


_LISTS = ("layers", "narration", "music")
_STAND_IN: JsonObject = {"kind": "gap", "duration": "1/1000000000"}
_SHOULD = re.compile(r"^\w+ should (be|have|match) ")
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "union_tag_not_found": "has no kind",
    "tuple_type": "has to be a list",
    "model_type": "has to be an object",
    "model_attributes_type": "has to be an object",
    "string_pattern_mismatch": "has to be a colour, #RRGGBB or #RRGGBBAA",
}
"""What pydantic says in words of its own, by its type of error."""


def parse_timeline(document: JsonObject) -> Parsed:
    """Read a document."""
    kept = {name: tuple(range(len(_list(document, name)))) for name in _LISTS}
    zeros = tuple(_zeros(document))
    try:
        return Parsed(_read(document), zeros, frozenset(), kept)
    except ValidationError as error:
        found = [
            each for each in error.errors(include_url=False, include_context=False) if not _follows(document, each)
        ]
    faults = (*zeros, *(Fault(_json_path(document, each["loc"], each["type"]), _said(each)) for each in found))
    bad = {(each["loc"][0], each["loc"][1]) for each in found if len(each["loc"]) > 1}
    whole = {str(each["loc"][0]) for each in found if len(each["loc"]) == 1}
    pruned: JsonObject = {
        name: dict(cast(JsonObject, value)) if isinstance(value, dict) else value
        for name, value in document.items()
        if name not in whole
    }
    pruned["version"] = VERSION
    pruned["track"] = [
        _STAND_IN if ("track", number) in bad else item for number, item in enumerate(_list(pruned, "track"))
    ]
    for name in _LISTS:
        kept[name] = tuple(number for number in kept[name] if (name, number) not in bad and name not in whole)
        if name in pruned:
            pruned[name] = [pruned[name][number] for number in kept[name]]
    for name, part in bad:
        if isinstance(part, str):  # of the canvas or the loudness, the one field
            pruned[str(name)].pop(part, None)
    holes = frozenset(int(part) for name, part in bad if name == "track")
    try:
        return Parsed(_read(pruned), faults, holes, kept)
    except ValidationError:
        return Parsed(None, faults, holes, kept)


def _read(document: JsonObject) -> Timeline:
    # Python's names of fields (`in_`, `duck_db`) are nobody else's business.
    return Timeline.model_validate(document, by_alias=True, by_name=False)


def in_order(document: JsonObject, faults: Iterable[Fault]) -> list[Fault]:
    """The faults in the order in which their places stand in the document; what is missing stands at the end of where
    it should be.
    """
    return sorted(faults, key=lambda fault: _position(document, fault.path))


def _position(document: JsonObject, path: str) -> tuple[int, ...]:
    node, position = cast(Any, document), list[int]()
    for step in _steps(path):
        if isinstance(step, int):
            position.append(step)
            items = cast("Sequence[Any]", node) if isinstance(node, list) else ()
            node = items[step] if step < len(items) else None
        else:
            fields = cast(JsonObject, node) if isinstance(node, dict) else {}
            position.append(list(fields).index(step) if step in fields else len(fields))
            node = fields.get(step)
    return tuple(position)


def _steps(path: str) -> list[str | int]:
    """`$.track[3].out` as "track", 3, "out"."""
    parts = path.removeprefix("$").replace("[", ".").replace("]", "").split(".")
    return [int(part) if part.isascii() and part.isdecimal() else part for part in parts if part]


def _zeros(document: JsonObject) -> Iterator[Fault]:
    """Texts that no database takes."""
    waiting: list[tuple[str, object]] = [("$", document)]
    while waiting:  # and no recursion: documents may be nested more deeply than we may call
        path, node = waiting.pop()
        if isinstance(node, str) and "\0" in node:
            yield Fault(path, "holds a zero character, which is no text; remove it")
        elif isinstance(node, list):
            waiting += [(f"{path}[{number}]", each) for number, each in enumerate(cast("list[object]", node))]
        elif isinstance(node, dict):
            waiting += [(f"{path}.{name}", each) for name, each in cast(JsonObject, node).items()]


def _follows(document: JsonObject, found: ErrorDetails) -> bool:
    """Whether a finding only follows from others: a track of which no item could be read is not empty."""
    return found["type"] == "too_short" and bool(_list(document, str(found["loc"][0])))


def _said(found: ErrorDetails) -> str:
    if found["type"] == "union_tag_invalid":
        named, _, known = found["msg"].partition(" found using 'kind' does not match any of the expected tags: ")
        return f"the kind {named.removeprefix('Input tag ')} is not known; there are {known}"
    message = _SHOULD.sub(r"has to \1 ", found["msg"].removeprefix("Value error, ")).replace(" after validation", "")
    return _WORDS.get(found["type"], message)


def _list(document: JsonObject, name: str) -> Sequence[Any]:
    value = document.get(name)
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _json_path(document: JsonObject, location: tuple[int | str, ...], kind: str) -> str:
    """The place that pydantic means; it also names the kind of an item, which is no step in the document."""
    path, node = "$", cast(Any, document)
    tag: object = None
    for number, step in enumerate(location):
        if isinstance(step, int) and isinstance(node, list):
            path += f"[{step}]"
            items = cast("list[Any]", node)
            node = items[step] if step < len(items) else None
        elif step == tag:
            tag = None
            continue
        else:
            fields = cast(JsonObject, node) if isinstance(node, dict) else {}
            if step not in fields and not (kind == "missing" and number == len(location) - 1):
                continue
            path += f".{step}"
            node = fields.get(str(step))
        tag = cast(JsonObject, node).get("kind") if isinstance(node, dict) else None
    return path
