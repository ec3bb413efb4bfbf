"""Whether an MP4 or QuickTime file holds all the bytes of media that it declares.

ffprobe finds nothing wrong with a file that was cut off after its index, and making a thumbnail does not need the rest.
The sizes of the top-level boxes show it at once. Format: ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import pread
from pathlib import Path

ReadAt = Callable[[int, int], bytes]
"""Takes an offset and a size; returns that many bytes, and fewer only at the end of the file."""

_MAX_BOXES = 100_000  # a fragmented file has two a fragment; a hostile one could have one every eight bytes


def missing_bytes_of_file(path: Path) -> int:
    """`missing_bytes` of a file on this machine."""
    with path.open("rb", buffering=0) as file:
        return missing_bytes(lambda start, size: pread(file.fileno(), size, start), path.stat().st_size)


def missing_bytes(read_at: ReadAt, size: int, *, most_boxes: int = _MAX_BOXES) -> int:
    """How many bytes a file of `size` lacks of the media data it declares; 0 for any other container.

    Only the first `most_boxes` boxes are looked at.
    """
    return max([0, *(end - size for name, end in _boxes(read_at, size, most_boxes) if name == b"mdat")])


def truncated_text(missing: int) -> str:
    """What is said of a file that lacks so many bytes."""
    return f"The input lacks {missing} bytes of the media that it declares: its upload was cut off. Upload it again."


def _boxes(read_at: ReadAt, size: int, most: int) -> Iterator[tuple[bytes, int]]:
    """Name and declared end of each top-level box."""
    start = 0
    for _ in range(most):
        header = read_at(start, min(16, size - start))
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
