"""Recognises HEIF pictures by their first bytes: HEIC, as phones take photos, and AVIF.

They have the boxes of an MP4, so ffmpeg takes them for videos, and one of the tiles that make up a picture for its
track. Format: ISO/IEC 14496-12, section 4.3 (file types), ISO/IEC 23008-12, section 10 (their names), and the AV1 Image
File Format, section 6.
"""

from __future__ import annotations

HEAD_BYTES = 256
"""How much of a file tells what it is."""

AVIF, HEIF = "AVIF", "HEIF"
"""The two ways to decode such a picture, by Pillow's names."""

_AV1 = frozenset({b"avif", b"avis"})
_PICTURES = _AV1 | {
    # HEVC: pictures, and sequences of them. Then any coding, H.264, and JPEG 2000.
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"mif2", b"mif3", b"msf1", b"avci", b"avcs", b"j2ki", b"j2is"),
}
"""Major brands of files whose main content is a picture. A video may name them too, but only as compatible ones."""


def heif_coding(head: bytes) -> str | None:
    """`AVIF` or `HEIF`, from the first `HEAD_BYTES` of a file; None for any other file."""
    if head[4:8] != b"ftyp" or head[8:12] not in _PICTURES:
        return None
    listed = head[16 : int.from_bytes(head[:4])]
    brands = {head[8:12], *(listed[at : at + 4] for at in range(0, len(listed), 4))}
    return HEIF if _AV1.isdisjoint(brands) else AVIF
