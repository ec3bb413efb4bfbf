"""Keeps the checking of documents from outside, and the lists of their faults, within bounds.

A document of a few MiB can hold a million items or a field with a name of a MiB. If each is checked, and a fault is
told of each, that takes gigabytes. So lengths come first, and of the faults a hundred are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, cast

from mediajobs_dagster.printable import in_one_line

MAX_FAULTS: Final = 100
"""How many faults are told; of the others, their number."""
MAX_FIELDS: Final = 100
"""The most fields of one object. No object of ours has half as many."""
MAX_VALUES: Final = 100_000
"""The most values in a document, those in lists and objects included."""
MAX_DEPTH: Final = 50
"""The most levels of lists and objects."""
_TOLD_STEPS = 4
"""How much of the path to what is nested too deeply is told, such as `$.track[3].out`."""
_MAX_NAME = 200
"""The most characters of a field's name."""
_MAX_CHARACTERS = 2_000
"""The most characters of what is told of one fault."""

_SHOULD = re.compile(r"^\w+ should (be|have|match) ")
_PLAIN_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "tuple_type": "has to be a list",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "float_type": "has to be a number",
    "float_parsing": "has to be a number",
    "int_type": "has to be a whole number",
    "int_parsing": "has to be a whole number",
    "int_from_float": "has to be a whole number",
    "model_type": "has to be an object",
    "model_attributes_type": "has to be an object",
}
"""By the error type of pydantic."""


def plain_words(kind: str, message: str) -> str:
    """What is wrong with a value, in our words: for an error of pydantic, by its type and its message."""
    said = _SHOULD.sub(r"has to \1 ", message.removeprefix("Value error, ")).replace(" after validation", "")
    return _PLAIN_WORDS.get(kind, said)


def overlong(document: object, most_items: int, place: str = "$") -> Iterator[tuple[str, str]]:
    """JSON path and message for each place where a document is too large to be checked further.

    `most_items` is the length of the longest list that is accepted. At most one fault is found for each list or object,
    and nothing below it is looked at.
    """
    values = 0
    waiting: list[tuple[tuple[str, ...], object]] = [((place,), document)]
    while waiting:  # not recursive: documents may be nested more deeply than Python's stack allows
        steps, node = waiting.pop()
        if not isinstance(node, dict | list) or not node:
            continue
        node = cast("dict[object, object] | list[object]", node)
        if len(steps) > MAX_DEPTH:
            yield "".join(steps[:_TOLD_STEPS]), f"is nested more than {MAX_DEPTH} levels deep"
        elif fault := _fault_of(node, most_items):
            yield "".join(steps), fault
        elif (values := values + len(node)) > MAX_VALUES:
            yield place, f"has more than {MAX_VALUES:,} values"
            return
        else:
            waiting += [((*steps, step), each) for step, each in _parts(node)]


def _fault_of(node: dict[object, object] | list[object], most_items: int) -> str | None:
    if isinstance(node, list):
        return too_many(len(node), most_items) if len(node) > most_items else None
    if len(node) > MAX_FIELDS:
        return f"has {len(node):,} fields; {MAX_FIELDS} are the most"
    longest = max(len(str(name)) for name in node)
    return (
        f"has a field whose name has {longest:,} characters; {_MAX_NAME} are the most" if longest > _MAX_NAME else None
    )


def _parts(node: dict[object, object] | list[object]) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        yield from ((f".{name}", each) for name, each in node.items())
    else:
        yield from ((f"[{number}]", each) for number, each in enumerate(node))


def too_many(count: int, most: int) -> str:
    """The message for a list that is too long."""
    return f"has to have at most {most} items, not {count}"


def listed(faults: Iterable[str], separator: str = "; ") -> str:
    """The first hundred faults, each in one line of a readable length, and how many more there are."""
    rest = iter(faults)
    told = [in_one_line(shortened(fault)) for fault in islice(rest, MAX_FAULTS)]
    more = sum(1 for _ in rest)
    return separator.join([*told, f"and {more:,} more"] if more else told)


def shortened(text: str) -> str:
    """`text`, or its beginning if it is too long to be read."""
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} …"
