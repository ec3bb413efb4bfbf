"""Reads timeline files within limits of size and depth, before any parser sees their content."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from typing_extensions import override

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.small_files import open_regular, read_small

MAX_BYTES = 4 << 20
_PART = 64 << 10
_MOST_AT_ONCE = 1 << 20
"""Bytes of an archive's directory: enough for ten thousand files."""


def read_whole(path: Path) -> bytes:
    """The content of a timeline file. Raises RequestError when it cannot be read or is too large."""
    return read_small(path, MAX_BYTES, "a timeline")


def read_packed(path: Path, name: str) -> bytes:
    """The file `name` in a ZIP archive; nothing else is unpacked. Raises as `read_whole`."""
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(_Sparing(io.FileIO(file.fileno(), closefd=False))) as archive:
                return _unpacked(archive, archive.getinfo(name), path)
        except RequestError:
            raise
        except Exception as error:  # for a broken archive, zipfile raises many kinds of exceptions
            raise RequestError(f"{path} is broken, or is not an archive with {name} in it: {error}") from error


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> bytes:
    # Other methods unpack whatever they hold at once, however small the part is that is asked for.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RequestError(f"{path} is packed with a method that is not supported here. Pack it with deflate.")
    content = bytearray()
    with archive.open(entry) as file:
        while len(content) <= MAX_BYTES and (part := file.read(_PART)):
            content += part
    if len(content) > MAX_BYTES:
        raise RequestError(f"{path} has more than {MAX_BYTES >> 20} MiB, the most for a timeline.")
    return bytes(content)


class _Sparing(io.BufferedReader):
    """Refuses to read much at once: an archive may declare a directory of many GiB, which zipfile reads whole."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_AT_ONCE:
            raise ValueError(f"its directory has more than {_MOST_AT_ONCE >> 20} MiB")
        # Without a size, zipfile reads the end of the file: a comment, which has 64 KiB at most.
        return super().read(_MOST_AT_ONCE if size is None or size < 0 else size)


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
