"""Hostile files by chance: a seed, a number and the real clips name each of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

Change = Callable[[bytearray, random.Random], None]

_EXTREMES = tuple(
    value.to_bytes(size, order)
    for size in (2, 4, 8)
    for value in (0, 1, (1 << 8 * size) - 1, (1 << 8 * size - 1) - 1, 1 << 8 * size - 1)
    for order in ("big", "little")
)
_HEAD = 600
"""Headers stand here: a change in them does more than one in the media."""


def _spot(data: bytearray, chance: random.Random, size: int = 1) -> int:
    # Half of all changes hit the headers.
    end = min(_HEAD, len(data)) if chance.random() < 0.5 else len(data)
    return chance.randrange(max(1, end - size))


def _flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 8, 64))):
        data[_spot(data, chance)] ^= 1 << chance.randrange(8)


def _write_extremes(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 4))):
        value = chance.choice(_EXTREMES)
        start = _spot(data, chance, len(value))
        data[start : start + len(value)] = value


def _write_noise(data: bytearray, chance: random.Random) -> None:
    size = chance.choice((4, 16, 64, 256))
    start = _spot(data, chance, size)
    data[start : start + size] = chance.randbytes(min(size, len(data) - start))


def _cut_out(data: bytearray, chance: random.Random) -> None:
    start = _spot(data, chance)
    del data[start : start + chance.choice((1, 4, 16, 200))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = _spot(data, chance)
    part = data[start : start + chance.choice((4, 32, 300))]
    data[start:start] = part * chance.choice((1, 2, 50))


def _cut_off(data: bytearray, chance: random.Random) -> None:
    del data[1 + chance.randrange(len(data)) :]


def _swap(data: bytearray, chance: random.Random) -> None:
    size = chance.choice((4, 8, 64))
    one, other = _spot(data, chance, size), _spot(data, chance, size)
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


_CHANGES: tuple[Change, ...] = (_flip_bits, _write_extremes, _write_noise, _cut_out, _repeat, _cut_off, _swap)


def fuzzed_files(clips: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of `count` files. Number n of a seed is always the same file, whatever the count."""
    endings = sorted(clips)
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        ending = endings[number % len(endings)]
        data = bytearray(clips[ending])
        for change in chance.choices(_CHANGES, k=chance.choice((1, 1, 2, 3))):
            change(data, chance)
            if not data:
                data += b"\0"
        yield f"fuzzed_{seed}_{number:04d}.{ending}", bytes(data)
