"""Writes the structures of containers, right or wrong: boxes, chunks, elements, pages, blocks."""

from __future__ import annotations

import struct
import zlib


def box(name: bytes, payload: bytes = b"", size: int | None = None) -> bytes:
    """A box of ISO/IEC 14496-12. `size` is what it says of itself; None: the truth."""
    return struct.pack(">I", (8 + len(payload) if size is None else size) & 0xFFFFFFFF) + name + payload


def large_box(name: bytes, payload: bytes, size: int) -> bytes:
    """A box with a length of 64 bits, `size`."""
    return struct.pack(">I4sQ", 1, name, size) + payload


def nested(name: bytes, depth: int) -> bytes:
    """Boxes in boxes."""
    header = 8
    return b"".join(struct.pack(">I", header * (depth - level)) + name for level in range(depth))


def with_field(data: bytes, name: bytes, at: int, value: bytes) -> bytes:
    """`data`, with `value` written `at` bytes behind every occurrence of `name`."""
    changed = bytearray(data)
    start = changed.find(name)
    while start >= 0:
        where = start + len(name) + at
        if where + len(value) <= len(changed):
            changed[where : where + len(value)] = value
        start = changed.find(name, start + len(name))
    return bytes(changed)


def with_box_size(data: bytes, name: bytes, size: int) -> bytes:
    """`data`, with a wrong size in every box of that name."""
    return with_field(data, name, -len(name) - 4, struct.pack(">I", size))


def chunk(name: bytes, payload: bytes, size: int | None = None, order: str = "<") -> bytes:
    """A chunk of RIFF, or of IFF with `order` ">"."""
    told = len(payload) if size is None else size
    return name + struct.pack(f"{order}I", told & 0xFFFFFFFF) + payload + b"\0" * (len(payload) % 2)


def png_chunk(name: bytes, payload: bytes, size: int | None = None) -> bytes:
    """A chunk of PNG, with a right check sum."""
    told = len(payload) if size is None else size
    return struct.pack(">I", told) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def element(identity: str, payload: bytes, size: int | None = None) -> bytes:
    """An element of EBML; its size takes eight bytes. `size` -1 means: unknown."""
    told = len(payload) if size is None else size
    length = b"\x01" + b"\xff" * 7 if told < 0 else struct.pack(">Q", (1 << 56) | told)
    return bytes.fromhex(identity) + length + payload


def number(value: int, size: int = 4) -> bytes:
    """An unsigned integer of EBML."""
    return value.to_bytes(size, "big")


def ogg_page(packet: bytes, *, kind: int, granule: int, sequence: int, segments: bytes | None = None) -> bytes:
    """A page of Ogg with a right check sum. `segments` is its table; None: the truth."""
    if segments is None:
        segments = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
    head = struct.pack("<4sBBqIII", b"OggS", 0, kind, granule, 7, sequence, 0)
    page = bytearray(head + bytes([len(segments)]) + segments + packet)
    page[22:26] = struct.pack("<I", _ogg_sum(page))
    return bytes(page)


def _ogg_sum(page: bytes | bytearray) -> int:
    total = 0
    for byte in page:
        total ^= byte << 24
        for _ in range(8):
            total = (total << 1) ^ (0x04C11DB7 if total & 0x80000000 else 0)
    return total & 0xFFFFFFFF


def extended(mantissa: int, exponent: int) -> bytes:
    """A float of 80 bits, as in AIFF."""
    return struct.pack(">HQ", exponent, mantissa)
