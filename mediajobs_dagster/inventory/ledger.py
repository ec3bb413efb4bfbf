"""Compares what lies in the storage with what the history names, however much it is.

Both are written to files as they come, in any order. Keys are spread over the files by a checksum, so a key that is in
both lists is in two files of the same number, and one pair of files at a time fits into memory.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mediajobs_dagster.history.named_objects import NamedObject
from mediajobs_dagster.inventory.claims import Find
from mediajobs_dagster.storage import ObjectStat, Unfinished

_PARTS = 128
"""Pairs of files. Of a hundred million objects, a pair is some hundred megabytes in memory; of a million, a few."""


@dataclass(frozen=True)
class Difference:
    """A part of the comparison."""

    unnamed: Sequence[ObjectStat]
    """Objects that the history does not name."""
    missing: Sequence[NamedObject]
    """Names without an object."""
    named: Sequence[ObjectStat]
    """Objects that the history names."""


class Ledger:
    """The two lists, in files of a folder. Used in a `with` statement, it closes them; the caller removes the folder.

    A file has one JSON list a line: about 200 bytes for an object, and 150 for a name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def add_find(self, find: Find) -> None:
        """Note an object, or parts of one, that lies in the storage. All of them come before the first name."""
        if isinstance(find, Unfinished):
            self._write("parts", [find.key, find.since.timestamp(), find.handle])
        else:
            self._write(f"found-{_part_of(find.key)}", [find.key, find.bytes, find.etag, find.modified.timestamp()])

    def end_finds(self) -> None:
        """Close the files of what was found: as many again are open for the names."""
        self._close()

    def add_name(self, named: NamedObject) -> None:
        """Note an object that the history names."""
        self._write(f"named-{_part_of(named.key)}", [named.key, named.by, named.since.timestamp()])

    def differences(self) -> Iterator[Difference]:
        """The comparison, part by part."""
        self._close()
        for part in range(_PARTS):
            names = {key: (by, since) for key, by, since in self._read(f"named-{part}")}
            found = [
                ObjectStat(key, size, etag, _moment(modified))
                for key, size, etag, modified in self._read(f"found-{part}")
            ]
            named = [stat for stat in found if stat.key in names]
            unnamed = [stat for stat in found if stat.key not in names]
            for stat in named:
                names.pop(stat.key, None)
            missing = [NamedObject(key, by, _moment(since)) for key, (by, since) in names.items()]
            yield Difference(unnamed, missing, named)

    def unfinished(self) -> Iterator[Unfinished]:
        """The parts of objects that were noted."""
        self._close()
        for key, since, handle in self._read("parts"):
            yield Unfinished(key, _moment(since), handle)

    def _write(self, name: str, entry: list[Any]) -> None:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = self._open.enter_context((self._folder / name).open("a", encoding="ascii"))
        # As ASCII: a file name that is no UTF-8 has halves of surrogate pairs.
        file.write(f"{json.dumps(entry)}\n")

    def _read(self, name: str) -> Iterator[list[Any]]:
        path = self._folder / name
        if path.exists():
            with path.open(encoding="ascii") as file:
                yield from map(json.loads, file)

    def _close(self) -> None:
        self._open.close()
        self._files.clear()


def _part_of(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % _PARTS


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
