"""Goes through sound block by block, and finds the stretches of it in which somebody speaks.

Memory does not grow with the length: the sound is a file of samples of which one block is read at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

RATE: Final = 16_000
"""Samples a second, of one channel: what the models were trained on."""
BLOCK_S: Final = 120
"""Seconds of sound that are looked at at once; as floats they take 8 MB, and finding speech in them takes 100."""
LONGEST_S: Final = 29
"""Seconds of a stretch: the model listens to 30 at a time."""
_BYTES = 2
_END_S = 30
"""Where a block may end: at the longest pause in its last half minute."""
_GAP_S = 1.5
"""A longer pause ends a stretch: the less silence a model hears, the less it makes up."""

Floats = npt.NDArray[np.float32]
Span = tuple[int, int]
"""First sample, and the one after the last."""
Detector = Callable[[Floats], Sequence[Span]]
"""Finds speech: its spans in a block of sound, in order. None is longer than `LONGEST_S`."""


@dataclass(frozen=True)
class Stretch:
    """A part of the sound in which somebody speaks."""

    start: int
    """The number of its first sample."""
    sound: Floats
    """Its samples, -1 to 1."""

    @property
    def end(self) -> int:
        """The number of the sample after its last one."""
        return self.start + len(self.sound)


@dataclass(frozen=True)
class Block:
    """A part of the sound that was looked through."""

    end: int
    """The number of the sample after its last one."""
    stretches: tuple[Stretch, ...]


def samples_in(path: Path) -> int:
    """How many samples there are in a file: of one channel, 16 bits, little endian."""
    return path.stat().st_size // _BYTES


def blocks(path: Path, detect: Detector) -> Iterator[Block]:
    """All of the sound in a file in blocks, each cut where nobody speaks, if there is such a place."""
    at, whole = 0, samples_in(path)
    while at < whole:
        # Not a map of the file, whose pages would stay in memory.
        samples = np.fromfile(path, dtype="<i2", count=BLOCK_S * RATE, offset=at * _BYTES)
        block = samples.astype(np.float32) / np.float32(32768)
        spans = detect(block)
        length = len(block) if at + len(block) >= whole else _cut(spans, len(block))
        spans = [(start, min(end, length)) for start, end in spans if start < length]
        stretches = tuple(Stretch(at + start, block[start:end]) for start, end in _joined(spans))
        at += length
        yield Block(at, stretches)


def _cut(spans: Sequence[Span], length: int) -> int:
    """The middle of the longest pause at the end of a block; its end where there is none."""
    earliest = length - _END_S * RATE
    edges = [0, *(edge for span in spans for edge in span), length]
    pauses = [(max(start, earliest), end) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    start, end = max(pauses, key=lambda pause: pause[1] - pause[0])
    return (start + end) // 2 if end > start else length


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    """Spans with the short pauses between them, as long as the model can listen to at once."""
    if not spans:
        return
    start, end = spans[0]
    for before, span in pairwise(spans):
        if span[0] - before[1] > _GAP_S * RATE or span[1] - start > LONGEST_S * RATE:
            yield start, end
            start = span[0]
        end = span[1]
    yield start, end
