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
    """First start and last end of each track, seconds, and the number of its packets, by its number in the output.

    A packet without a time to be shown counts by the time at which it is decoded.
    """

    starts: dict[int, Fraction] = field(default_factory=dict[int, Fraction])
    ends: dict[int, Fraction] = field(default_factory=dict[int, Fraction])
    counts: Counter[int] = field(default_factory=Counter[int])
    _bases: dict[int, Fraction] = field(default_factory=dict[int, Fraction])
    _pending: bytes = b""

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
        number = int(fields[0])
        shown, base = int(fields[2]), self._bases[number]
        start = int(fields[1]) if shown == _UNKNOWN else shown
        self.counts[number] += 1
        end = (start + int(fields[3])) * base
        self.starts[number] = min(start * base, self.starts.get(number, start * base))
        self.ends[number] = max(end, self.ends.get(number, end))
