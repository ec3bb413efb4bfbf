"""What the boxes of an MP4 or QuickTime file tell that ffprobe does not: whether it is whole, and not encrypted.

ffprobe finds nothing wrong with a file that was cut off after its index, and making a thumbnail does not need the rest.
The sizes of the top-level boxes show it at once. Of an encrypted track it tells what is inside of it, and decoding that
looks like damage. Format: ISO/IEC 14496-12, sections 4.2 and 8.12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import pread
from pathlib import Path

ReadAt = Callable[[int, int], bytes]
"""Takes an offset and a size; returns that many bytes, and fewer only at the end of the file."""

_MAX_BOXES = 100_000  # a fragmented file has two a fragment; a hostile one could have one every eight bytes
_MAX_READS = 5_000  # a track of an honest file takes some thirty; a hostile one could nest boxes by the million
_ENCRYPTED = (b"encv", b"enca", b"drmi", b"drms")  # the last two are Apple's


def missing_bytes_of_file(path: Path) -> int:
    """`missing_bytes` of a file on this machine."""
    with path.open("rb", buffering=0) as file:
        return missing_bytes(lambda start, size: pread(file.fileno(), size, start), path.stat().st_size)


def missing_bytes(read_at: ReadAt, size: int, *, most_boxes: int = _MAX_BOXES) -> int:
    """How many bytes a file of `size` lacks of the media data it declares; 0 for any other container.

    Only the first `most_boxes` boxes are looked at.
    """
    return max([0, *(end - size for name, _, end in _boxes(read_at, 0, size, most_boxes) if name == b"mdat")])


def is_encrypted(path: Path) -> bool:
    """Whether all picture and all sound of a file on this machine are encrypted; false for any other container."""
    left = iter(range(_MAX_READS))
    with path.open("rb", buffering=0) as file:

        def read_at(start: int, size: int) -> bytes:
            return b"" if next(left, None) is None else pread(file.fileno(), size, start)

        kinds = list(_sample_entries(read_at, path.stat().st_size))
    return bool(kinds) and all(kind in _ENCRYPTED for kind in kinds)


def truncated_text(missing: int) -> str:
    """What is said of a file that lacks so many bytes."""
    return f"The input lacks {missing} bytes of the media that it declares: its upload was cut off. Upload it again."


def _sample_entries(read_at: ReadAt, size: int) -> Iterator[bytes]:
    """How the samples of each track of picture or sound are coded, by the name of its first sample entry."""
    for track in _found(read_at, (0, size), b"moov", b"trak"):
        handlers = [read_at(start + 8, 4) for start, _ in _found(read_at, track, b"mdia", b"hdlr")]
        if handlers and handlers[0] in (b"vide", b"soun"):
            for start, _ in _found(read_at, track, b"mdia", b"minf", b"stbl", b"stsd"):
                yield read_at(start + 12, 4)  # after version, flags and number of entries, and the length of the first


def _found(read_at: ReadAt, where: tuple[int, int], *names: bytes) -> Iterator[tuple[int, int]]:
    """Where the content begins and ends of each box on that path from the boxes that lie in `where`."""
    first, *rest = names
    for name, start, end in _boxes(read_at, *where, _MAX_BOXES):
        if name == first:
            content = start, min(end, where[1])
            yield from _found(read_at, content, *rest) if rest else (content,)


def _boxes(read_at: ReadAt, start: int, size: int, most: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin of the content and declared end of each box from `start` until `size`."""
    for _ in range(most):
        header = read_at(start, min(16, size - start))
        length, name, content = int.from_bytes(header[:4]), header[4:8], start + 8
        if start == 0 and name not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return
        if length == 1:  # a 64-bit length follows
            length, content = int.from_bytes(header[8:16]), start + 16
        if length < 8:  # 0: up to the end of the file; anything else is not a box
            return
        yield name, content, start + length
        start += length
        if start >= size:
            return
