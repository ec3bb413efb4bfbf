"""Texts that are stored in few bytes: compressed with words that the writer and the reader know.

Compression alone helps little with a text of a few kilobytes, because most of its words are in it once. Here zlib
begins with a dictionary of what such texts have in common ("preset dictionary", RFC 1950): a manifest of 6 KB takes
half a kilobyte, a quarter of what it would take without.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import partial

compact_json = partial(json.dumps, separators=(",", ":"))
"""How JSON is written into the databases: without spaces."""

# Higher levels find nothing more in texts of a few kilobytes.
_LEVEL = 6


@dataclass(frozen=True)
class Packing:
    """Packs texts of one kind. `words` must never change: every text is read with those it was written with."""

    words: bytes
    """What such texts are made of, the most frequent last: zlib refers to what is near with fewer bits."""

    def pack(self, text: str) -> bytes:
        """The text as a zlib stream."""
        compressor = zlib.compressobj(_LEVEL, zdict=self.words)
        return compressor.compress(text.encode()) + compressor.flush()

    def unpack(self, packed: bytes) -> str:
        """The text of a zlib stream. Raises zlib.error when it is none, or was written with other words."""
        decompressor = zlib.decompressobj(zdict=self.words)
        return (decompressor.decompress(packed) + decompressor.flush()).decode()
