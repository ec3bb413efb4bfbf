"""Parses a timeline as far as possible: parts with faults are reported and left out, and the rest is still checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mediajobs_dagster.fault_lists import overlong, plain_words, shortened, too_many
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.model import LONGEST, VERSION, Timeline


@dataclass(frozen=True)
class Fault:
    """One fault of a timeline."""

    path: str
    """Where it is: a JSON path such as `$.track[3].out`."""
    message: str
    """What is wrong, and what would be right."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True)
class Parsed:
    """The valid parts of a document, and its faults."""

    timeline: Timeline | None
    """The timeline of the valid parts; None if there is no base track."""
    faults: tuple[Fault, ...]
    holes: frozenset[int]
    """Items of the base track that could not be parsed. Gaps of almost no length replace them."""
    kept: Mapping[str, Sequence[int]]
    """For each other list of the timeline, the indexes of its items in the document."""

    def original(self, path: str) -> str:
        """The path in the document for a path in `timeline`."""
        for name, numbers in self.kept.items():
            head = f"$.{name}["
            if path.startswith(head):
                number, _, rest = path.removeprefix(head).partition("]")
                return f"{head}{numbers[int(number)]}]{rest}"
        return path

    def has_fault(self, path: str) -> bool:
        """Whether there is a fault at or below a path."""
        return any(fault.path == path or fault.path.startswith((f"{path}.", f"{path}[")) for fault in self.faults)


_LISTS = ("layers", "narration", "music")
_STAND_IN: JsonObject = {"kind": "gap", "duration": "1/1000000000"}
_WORDS = {
    "union_tag_not_found": "has no kind",
    "string_pattern_mismatch": "has to be a colour, #RRGGBB or #RRGGBBAA",
}
"""Our words for errors of pydantic that mean something of their own here, by its error type."""


def parse_timeline(document: JsonObject) -> Parsed:
    """Read a document. If it is too large, nothing but that is found."""
    if large := tuple(too_large(document)):
        return Parsed(None, large, frozenset(), {})
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
        if name == "captions":  # whole: it is nothing without its transcript
            pruned.pop(str(name), None)
        elif isinstance(part, str):  # only the field, in the canvas or the loudness
            pruned[str(name)].pop(part, None)
    holes = frozenset(int(part) for name, part in bad if name == "track")
    try:
        return Parsed(_read(pruned), faults, holes, kept)
    except ValidationError:
        return Parsed(None, faults, holes, kept)


def too_large(document: JsonObject) -> Iterator[Fault]:
    """What makes a document so large that it is not checked further."""
    told: set[str] = set()
    for name, most in LONGEST.items():
        if (count := len(_list(document, name))) > most:
            told.add(f"$.{name}")
            yield Fault(f"$.{name}", too_many(count, most))
    yield from (Fault(path, said) for path, said in overlong(document, max(LONGEST.values())) if path not in told)


def _read(document: JsonObject) -> Timeline:
    # Documents use the JSON names of fields only, not Python's (`in_`, `duck_db`).
    return Timeline.model_validate(document, by_alias=True, by_name=False)


def in_order(document: JsonObject, faults: Iterable[Fault]) -> list[Fault]:
    """The faults in the order of the document. A missing field comes at the end of the object it belongs to."""
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
    """Texts with zero characters, which databases refuse."""
    waiting: list[tuple[str, object]] = [("$", document)]
    while waiting:  # not recursive: documents may be nested more deeply than Python's stack allows
        path, node = waiting.pop()
        if isinstance(node, str) and "\0" in node:
            yield Fault(path, "contains a zero character; remove it")
        elif isinstance(node, list):
            waiting += [(f"{path}[{number}]", each) for number, each in enumerate(cast("list[object]", node))]
        elif isinstance(node, dict):
            waiting += [(f"{path}.{name}", each) for name, each in cast(JsonObject, node).items()]


def _follows(document: JsonObject, found: ErrorDetails) -> bool:
    """Whether a finding only follows from others, such as a track that is empty because its items have faults."""
    return found["type"] == "too_short" and bool(_list(document, str(found["loc"][0])))


def _said(found: ErrorDetails) -> str:
    if found["type"] == "union_tag_invalid":
        named, _, known = found["msg"].partition(" found using 'kind' does not match any of the expected tags: ")
        return f"the kind {shortened(named.removeprefix('Input tag '))} is unknown; there are {known}"
    return _WORDS.get(found["type"]) or shortened(plain_words(found["type"], found["msg"]))


def _list(document: JsonObject, name: str) -> Sequence[Any]:
    value = document.get(name)
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _json_path(document: JsonObject, location: tuple[int | str, ...], kind: str) -> str:
    """The JSON path for a location of pydantic, which contains the kinds of items too; paths do not."""
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
