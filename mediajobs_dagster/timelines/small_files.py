"""Reads timeline files within limits of size and depth, before any parser sees their content."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject

MAX_BYTES = 4 << 20


def read_small(path: Path) -> bytes:
    """The content of a timeline file. Raises RequestError when it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            return _within_limit(file, path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_packed(path: Path, name: str) -> bytes:
    """The file `name` in a ZIP archive; nothing else is unpacked. Raises as `read_small`."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return _within_limit(file, path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # for a broken archive, zipfile raises many kinds of exceptions
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{path} is broken, or is not an archive with {name} in it: {error}") from error


def _within_limit(file: IO[bytes], path: Path) -> bytes:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise RequestError(f"{path} has more than {MAX_BYTES >> 20} MiB, the most for a timeline.")
    return content


def decoded(
    content: bytes, path: Path, *, pairs: Callable[[list[tuple[str, object]]], JsonObject] | None = None
) -> object:
    """Parse the JSON of a file; `pairs` makes its objects. Raises RequestError."""
    try:
        return json.loads(content, object_pairs_hook=pairs)
    except ValueError as error:
        raise RequestError(f"{path} is broken, or is not what its suffix says: it is not JSON: {error}.") from error
    except RecursionError as error:
        raise RequestError(f"{path} is broken: it is nested too deeply.") from error


def depth_of(value: object) -> int:
    """How many levels of lists and objects are nested."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [part for each in level for part in _parts(each)]
    return depth - 1


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast(JsonObject, value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()
