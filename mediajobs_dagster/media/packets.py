"""The times of packets, as ffmpeg's muxer `framecrc` lists them: a head, then a line a packet.

#tb 0: 1/1000
0,       2934,       2934,       20,        3, 0x05e402f5
track    dts         pts         duration   bytes  checksum
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

_FIELDS = 4
_UNKNOWN = -(1 << 63)
"""The time stamp of a packet that has none."""


@dataclass
class PacketTimes:
    """First start and last end of each track, by its number in the output.

    A packet without a time to be shown counts by the time at which it is decoded.
    """

    counts: Counter[int] = field(default_factory=Counter[int])
    """How many packets each track has."""
    _starts: dict[int, int] = field(default_factory=dict[int, int])
    _ends: dict[int, int] = field(default_factory=dict[int, int])
    _bases: dict[int, Fraction] = field(default_factory=dict[int, Fraction])
    _pending: bytes = b""

    def start(self, number: int) -> Fraction:
        """When the first packet of a track is shown, seconds."""
        return self._starts[number] * self._bases[number]

    def end(self, number: int) -> Fraction:
        """When the last packet of a track has been shown, seconds."""
        return self._ends[number] * self._bases[number]

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the list."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"#tb "):
                number, _, base = line[4:].decode().partition(":")
                self._bases[int(number)] = Fraction(base.strip())
            elif not line.startswith(b"#"):
                self._take(line.split(b",", _FIELDS))

    def _take(self, fields: list[bytes]) -> None:
        if len(fields) <= _FIELDS:
            return
        number, shown = int(fields[0]), int(fields[2])
        start = int(fields[1]) if shown == _UNKNOWN else shown
        end = start + int(fields[3])
        self.counts[number] += 1
        self._starts[number] = min(start, self._starts.get(number, start))
        self._ends[number] = max(end, self._ends.get(number, end))
