"""Reads font files: their faces, with weight and slant, and the characters they have glyphs for.

Pillow has the name of a family, but neither weight nor characters, so these are read from the file's tables (see the
OpenType specification: `OS/2`, `fvar`, `cmap`). Only scalable faces count.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import ImageFont

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.small_files import open_regular

SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
"""Suffixes of font files."""

_OUTLINES = frozenset({b"glyf", b"CFF ", b"CFF2"})
_READ = (b"cmap", b"OS/2", b"fvar")
_MAX_TABLE = 64 << 20
_MAX_FACES = 1000
_UNICODE_MAPS = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3), (0, 2), (0, 1), (0, 0))
"""Platform and encoding of the Unicode character maps, the most complete first."""


class Characters(Protocol):
    """The characters a face has glyphs for."""

    def __contains__(self, code: int, /) -> bool: ...


@dataclass(frozen=True)
class Axis:
    """One axis of a variable face."""

    tag: bytes
    lowest: float
    default: float
    highest: float


@dataclass(frozen=True)
class Face:
    """One face in a font file."""

    path: Path
    index: int
    """Its number in a collection (.ttc)."""
    family: str
    weight: int
    width: int
    """1 to 9; 5 is normal."""
    italic: bool
    axes: tuple[Axis, ...] = ()

    def weight_for(self, weight: int) -> float:
        """The weight of the face that is nearest to `weight`."""
        for axis in self.axes:
            if axis.tag == b"wght":
                return min(max(weight, axis.lowest), axis.highest)
        return self.weight


def faces_of(path: Path) -> Iterator[Face]:
    """The scalable faces in a file; none if it is not a font, or is damaged."""
    try:
        with open_regular(path) as file:
            for index, offset in enumerate(_offsets(file)):
                tables = _tables(file, offset)
                if _OUTLINES & tables.keys() and b"cmap" in tables:
                    family = ImageFont.truetype(path, 16, index=index).getname()[0]
                    if family:
                        yield _face(file, tables, path, index, family)
    except (OSError, RequestError, struct.error, ValueError):
        return


def characters_of(face: Face) -> Characters:
    """The characters of a face. Raises RequestError when its file is gone."""
    with open_regular(face.path) as file:
        tables = _tables(file, list(_offsets(file))[face.index])
        return _characters(_read(file, tables, b"cmap"))


def _offsets(file: BinaryIO) -> tuple[int, ...]:
    head = file.read(12)
    if not head.startswith(b"ttcf"):
        return (0,)
    (count,) = struct.unpack(">I", head[8:12])
    if count > _MAX_FACES:
        raise ValueError("no font")
    return struct.unpack(f">{count}I", file.read(4 * count))


def _tables(file: BinaryIO, offset: int) -> dict[bytes, tuple[int, int]]:
    file.seek(offset)
    version, count = struct.unpack(">4sH6x", file.read(12))
    if version not in (b"\0\1\0\0", b"OTTO", b"true"):
        raise ValueError("no font")
    records: Iterator[tuple[bytes, int, int]] = struct.iter_unpack(">4s4xII", file.read(16 * count))
    tables = {tag: (start, length) for tag, start, length in records}
    if any(tables.get(tag, (0, 0))[1] > _MAX_TABLE for tag in _READ):
        raise ValueError("no font")  # a damaged one may declare gigabytes
    return tables


def _read(file: BinaryIO, tables: dict[bytes, tuple[int, int]], tag: bytes) -> bytes:
    start, length = tables[tag]
    file.seek(start)
    return file.read(length)


def _face(file: BinaryIO, tables: dict[bytes, tuple[int, int]], path: Path, index: int, family: str) -> Face:
    weight, width, italic = 400, 5, False
    if b"OS/2" in tables:
        weight, width, selection = struct.unpack_from(">4xHH54xH", _read(file, tables, b"OS/2"))
        italic = bool(selection & (1 << 0 | 1 << 9))  # italic, oblique
    axes = tuple(_axes(_read(file, tables, b"fvar"))) if b"fvar" in tables else ()
    return Face(path, index, family, weight, width, italic, axes)


def _axes(table: bytes) -> Iterator[Axis]:
    offset, count, size = struct.unpack_from(">4xH2xHH", table)
    for number in range(count):
        tag, *limits = struct.unpack_from(">4s3i", table, offset + number * size)
        yield Axis(tag, *(limit / 65536 for limit in limits))  # 16.16 fixed point


# --- characters ------------------------------------------------------------------------------------------------------


def _characters(table: bytes) -> Characters:
    (count,) = struct.unpack_from(">2xH", table)
    maps = {
        (platform, encoding): offset
        for platform, encoding, offset in (struct.unpack_from(">HHI", table, 4 + 8 * i) for i in range(count))
    }
    for key in _UNICODE_MAPS:
        offset = maps.get(key)
        if offset is None:
            continue
        (kind,) = struct.unpack_from(">H", table, offset)
        if kind == 12:
            return _Groups(table, offset)
        if kind == 4:
            return _Segments(table, offset)
    return frozenset[int]()


def _big_endian(code: str, data: bytes) -> array[int]:
    values = array(code, data[: len(data) - len(data) % array(code).itemsize])
    if sys.byteorder == "little":
        values.byteswap()
    return values


class _Groups:
    """A `cmap` of format 12: ranges of characters whose glyphs are consecutive."""

    def __init__(self, table: bytes, offset: int) -> None:
        (count,) = struct.unpack_from(">12xI", table, offset)
        # "I" is four bytes on every machine that CPython 3.11 runs on.
        values = _big_endian("I", table[offset + 16 : offset + 16 + 12 * count])
        self._first, self._last = values[0::3], values[1::3]

    def __contains__(self, code: int, /) -> bool:
        index = bisect_right(self._first, code) - 1
        return index >= 0 and code <= self._last[index]


class _Segments:
    """A `cmap` of format 4: ranges in the basic plane, in which single characters may have no glyph."""

    def __init__(self, table: bytes, offset: int) -> None:
        words = _big_endian("H", table[offset:])
        count = words[3] // 2
        self._words = words
        self._last = words[7 : 7 + count]
        self._first = words[8 + count : 8 + 2 * count]
        self._delta = words[8 + 2 * count : 8 + 3 * count]
        self._offsets_at = 8 + 3 * count

    def __contains__(self, code: int, /) -> bool:
        index = bisect_left(self._last, code)
        if code > 0xFFFF or index == len(self._last) or code < self._first[index]:
            return False
        offset = self._words[self._offsets_at + index]
        if offset == 0:
            return (code + self._delta[index]) & 0xFFFF != 0
        # The offset is in bytes, relative to its own position in the table.
        place = self._offsets_at + index + offset // 2 + code - self._first[index]
        return place < len(self._words) and self._words[place] != 0
