"""Reads files with timelines within limits, before anything that trusts them sees their content."""

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
    """The content of a file with a timeline. Raises RequestError when it cannot be read, or is too long."""
    try:
        with path.open("rb") as file:
            return _within_limit(file, path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_packed(path: Path, name: str) -> bytes:
    """The file `name` in a ZIP archive, of which only that is looked at. Raises as `read_small`."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return _within_limit(file, path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # of a broken archive, zipfile raises a dozen different things
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{path} is broken, or no archive that holds {name}: {error}") from error


def _within_limit(file: IO[bytes], path: Path) -> bytes:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise RequestError(f"{path} has more than {MAX_BYTES >> 20} MiB; no timeline is that long.")
    return content


def decoded(
    content: bytes, path: Path, *, pairs: Callable[[list[tuple[str, object]]], JsonObject] | None = None
) -> object:
    """The JSON that stood in a file; `pairs` makes its objects. Raises RequestError."""
    try:
        return json.loads(content, object_pairs_hook=pairs)
    except ValueError as error:
        raise RequestError(f"{path} is broken, or is not what its suffix says: it is no JSON: {error}.") from error
    except RecursionError as error:
        raise RequestError(f"{path} is broken: it is nested without end.") from error


def depth_of(value: object) -> int:
    """How many levels of lists and objects lie in each other."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [part for each in level for part in _parts(each)]
    return depth - 1


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast(JsonObject, value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()
