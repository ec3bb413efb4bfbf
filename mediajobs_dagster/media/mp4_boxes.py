"""Whether an MP4 or QuickTime file holds all the bytes of media that it declares.

ffprobe sees a whole film in a file that was cut off behind its index, and a thumbnail is made before anything misses
the rest. The sizes of the top-level boxes tell at once. Format: ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MAX_BOXES = 100_000  # a fragmented file has two a fragment; a hostile one could have one every eight bytes


def missing_bytes(path: Path) -> int:
    """How many bytes the file lacks of the media data it declares; 0 for a whole file and for any other container."""
    size = path.stat().st_size
    return max([0, *(end - size for name, end in _boxes(path, size) if name == b"mdat")])


def _boxes(path: Path, size: int) -> Iterator[tuple[bytes, int]]:
    """Name and declared end of each top-level box."""
    start = 0
    with path.open("rb", buffering=0) as file:
        for _ in range(_MAX_BOXES):
            file.seek(start)
            header = file.read(16)
            length, name = int.from_bytes(header[:4]), header[4:8]
            if start == 0 and name not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return
            if length == 1:  # a 64-bit length follows
                length = int.from_bytes(header[8:16])
            if length < 8:  # 0: up to the end of the file; anything else is not a box
                return
            yield name, start + length
            start += length
            if start >= size:
                return
