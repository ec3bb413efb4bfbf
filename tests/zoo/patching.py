"""Changes bytes of files in place, where ffmpeg would not write what real files say."""

from __future__ import annotations

import struct
from pathlib import Path

_EBML_DURATION = b"\x44\x89\x88"
"""The id of Matroska's Duration, and the size of a double."""
_CUES, _VOID = b"\x1c\x53\xbb\x6b", b"\xec"


def declare_length(path: Path, seconds: float) -> None:
    """Make a Matroska file say that it lasts so long. Its ticks are milliseconds; its tracks say nothing of it."""
    data = bytearray(path.read_bytes().replace(b"DURATION", b"OTHERTAG"))
    at = data.index(_EBML_DURATION) + len(_EBML_DURATION)
    data[at : at + 8] = struct.pack(">d", seconds * 1000)
    path.write_bytes(data)


def declare_mp4_length(path: Path, seconds: float) -> None:
    """Make an MP4's movie header, and nothing else of it, say that it lasts so long."""
    data = bytearray(path.read_bytes())
    at = data.index(b"mvhd") + 4
    (ticks,) = struct.unpack_from(">I", data, at + 12)
    struct.pack_into(">I", data, at + 16, round(seconds * ticks))
    path.write_bytes(data)


def remove_cues(path: Path) -> None:
    """Turn the index of a Matroska file into a void of the same size."""
    data = bytearray(path.read_bytes())
    at = data.rindex(_CUES)
    # The id loses three bytes; the size keeps its place, so it is written anew as one of three bytes more.
    width = 9 - data[at + 4].bit_length()
    size = int.from_bytes(data[at + 4 : at + 4 + width]) & ~(1 << (7 * width))
    data[at : at + 4 + width] = _VOID + _vint(size, 3 + width)
    path.write_bytes(data)


def remove_avi_index(path: Path) -> None:
    """Make the index of an AVI one that no reader knows."""
    data = path.read_bytes()
    at = data.rindex(b"idx1")
    path.write_bytes(data[:at] + b"JUNK" + data[at + 4 :])


def rename_sample_entry(path: Path, name: bytes, to: bytes, occurrence: int = 0) -> None:
    """Make a track of an MP4 one of a codec that nobody knows: rename its sample entry, and void what it is set by."""
    data = bytearray(path.read_bytes())
    at = data.index(b"stsd")
    for _ in range(occurrence):
        at = data.index(b"stsd", at + 4)
    entry = data.index(name, at)
    data[entry : entry + 4] = to
    for box in (b"esds", b"avcC"):
        at = data.find(box, entry, entry + 200)
        if at > 0:
            data[at : at + 4] = b"free"
            break
    path.write_bytes(data)


def _vint(value: int, width: int) -> bytes:
    return (value | 1 << (7 * width)).to_bytes(width)
