"""Pictures and sounds of the zoo: each frame carries its number and four patches of known colour, each sound beeps."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from tests.exports.barcodes import DARK, GREY, LIGHT, RATE, Samples, pattern
from tests.zoo.truth import BEEP_S, beeps_of

Pixels = npt.NDArray[np.uint8]

MAIN, DECOY = 0x55, 0xAA
"""The clip's number in the pictures of the track that a viewer gets, and of one that he must not get."""
BEEP_HZ, DECOY_HZ = 1000, 3000
LOUD = 0.5
"""The amplitude of beeps."""
PATCHES = ((200, 40, 60), (40, 160, 70), (40, 80, 200), (210, 190, 50))
"""The colours at the corners of the upright picture: top left, top right, bottom left, bottom right."""
_CORNERS = ((0.0, 0.0), (0.8, 0.0), (0.0, 0.76), (0.8, 0.76))
_PATCH = (0.2, 0.24)
BAR = (0.3, 0.78, 0.4, 0.2)
"""Left, top, width and height of the area of the bar that moves from field to field."""


def draw(number: int, size: tuple[int, int] = (320, 180), *, clip: int = MAIN) -> Pixels:
    """A frame, height x width x RGB."""
    width, height = size
    picture = _blank(size).copy()
    left, top, across, down = _grid(size)
    for cell, white in enumerate(pattern(clip, number)):
        row, column = divmod(cell, 8)
        rows = slice(round(top + row * down), round(top + (row + 1) * down))
        columns = slice(round(left + column * across), round(left + (column + 1) * across))
        picture[rows, columns] = LIGHT if white else DARK
    assert picture.shape == (height, width, 3)
    return picture


def draw_bar(picture: Pixels, step: int) -> Pixels:
    """The same picture with the bar at one of its 12 places."""
    height, width, _ = picture.shape
    left, top, across, down = BAR
    begin = round((left + across * (step % 12) / 16) * width)
    rows = slice(round(top * height), round((top + down) * height))
    picture[rows, begin : begin + round(across / 4 * width)] = LIGHT
    return picture


def sound(seconds: float, *, rate: int = RATE) -> Samples:
    """Silence with beeps, mono."""
    samples = np.zeros(round(seconds * rate), np.float32)
    times = np.arange(round(BEEP_S * rate)) / rate
    beep = LOUD * np.sin(2 * np.pi * BEEP_HZ * times)
    for begin in beeps_of(seconds):
        start = round(begin * rate)
        samples[start : start + len(beep)] = beep
    return samples


def decoy(seconds: float) -> Samples:
    """The sound of a track that nobody should get: a tone without an end."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (LOUD * np.sin(2 * np.pi * DECOY_HZ * times)).astype(np.float32)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(frames: Pixels) -> list[tuple[int, int] | None]:
    """Clip and number that each frame shows, whatever its contrast; None where they cannot be told.

    Of each cell its inner half counts, for its edges mix with its neighbours.
    """
    height, width = frames.shape[1:3]
    left, top, across, down = _grid((width, height))
    cells = np.empty((len(frames), 24))
    for cell in range(24):
        row, column = divmod(cell, 8)
        rows = slice(round(top + (row + 0.25) * down), round(top + (row + 0.75) * down))
        columns = slice(round(left + (column + 0.25) * across), round(left + (column + 0.75) * across))
        cells[:, cell] = frames[:, rows, columns].mean(axis=(1, 2, 3))
    return [_number_of(each) for each in cells]


def _number_of(cells: npt.NDArray[np.float64]) -> tuple[int, int] | None:
    low, high = cells.min(), cells.max()
    middle, contrast = (low + high) / 2, high - low
    if contrast < 40 or np.any(np.abs(cells - middle) < contrast / 5):
        return None
    bits = sum(1 << (23 - cell) for cell, luma in enumerate(cells) if luma > middle)
    clip, number = bits >> 16, bits & 0xFFFF
    return (clip, number) if clip in (MAIN, DECOY) else None


def patches(frame: Pixels) -> list[tuple[int, int, int]]:
    """The colour in the middle of each corner's patch."""
    height, width, _ = frame.shape
    found: list[tuple[int, int, int]] = []
    for left, top in _CORNERS:
        rows = slice(round((top + 0.08) * height), round((top + 0.16) * height))
        columns = slice(round((left + 0.07) * width), round((left + 0.13) * width))
        red, green, blue = np.median(frame[rows, columns].reshape(-1, 3), axis=0)
        found.append((round(red), round(green), round(blue)))
    return found


def colours_off(frame: Pixels) -> int:
    """How far the farthest patch is from its colour, steps."""
    return int(np.abs(np.array(patches(frame)) - np.array(PATCHES)).max())


def is_upright(frame: Pixels) -> bool:
    """Whether each patch looks more like its own colour than like that of another corner, whatever the contrast."""
    found, wanted = (_evened(np.array(colours, float)) for colours in (patches(frame), PATCHES))
    off = np.abs(found[:, None] - wanted[None]).sum(axis=2)
    return bool(np.all(off.argmin(axis=1) == np.arange(4)))


def combing(frame: Pixels, lines: int) -> float:
    """How much more each line around the bar differs from the next one than from the one after that, steps.

    `lines` is how many the source has: a frame of another height is looked at where those would be.
    """
    height, width, _ = frame.shape
    left, top, across, down = BAR
    first, last = round((top + 0.03) * lines), round((top + down - 0.03) * lines)
    rows = ((np.arange(first, last) + 0.5) * height / lines).astype(int)
    area = frame[rows, round(left * width) : round((left + across) * width)].mean(axis=2)
    next_ = np.abs(area[2:] - area[1:-1]).mean()
    after = np.abs(area[2:] - area[:-2]).mean()
    return float(next_ - after)


def beeps_in(samples: Samples) -> list[float]:
    """When beeps begin in a mono sound of 48 kHz, seconds."""
    turned = samples.astype(np.complex128) * np.exp(-2j * np.pi * BEEP_HZ * np.arange(len(samples)) / RATE)
    strength = _mean_of(turned, round(BEEP_S * RATE))
    above = np.flatnonzero(strength > LOUD / 4)
    runs = np.split(above, np.flatnonzero(np.diff(above) > RATE // 10) + 1) if len(above) else []
    return [float(run[strength[run].argmax()]) / RATE for run in runs]


def noise_in(samples: Samples, beeps: list[float]) -> float:
    """The highest level, as the root of the mean square of 20 ms, outside the beeps."""
    quiet: npt.NDArray[np.float64] = samples.astype(np.float64)
    for beep in beeps:
        quiet[max(0, round((beep - 0.04) * RATE)) : round((beep + BEEP_S + 0.06) * RATE)] = 0
    return float(np.sqrt(_mean_of(np.square(quiet), RATE // 50).max())) if len(quiet) > RATE // 50 else 0.0


def _mean_of(values: npt.NDArray[np.complex128] | npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Twice the absolute mean of each stretch of that length; of squares, their mean."""
    total = np.concatenate([[0], np.cumsum(values)])
    mean = (total[length:] - total[:-length]) / length
    return np.abs(mean) * (2 if np.iscomplexobj(values) else 1)


def _evened(colours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return (colours - colours.mean(axis=0)) / np.maximum(colours.std(axis=0), 1)


@cache
def _blank(size: tuple[int, int]) -> Pixels:
    width, height = size
    picture = np.full((height, width, 3), GREY, np.uint8)
    for (left, top), colour in zip(_CORNERS, PATCHES, strict=True):
        rows = slice(round(top * height), round((top + _PATCH[1]) * height))
        picture[rows, round(left * width) : round((left + _PATCH[0]) * width)] = colour
    return picture


def _grid(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left and top of the grid of cells, and width and height of a cell, pixels."""
    width, height = size
    return 0.1 * width, 0.32 * height, 0.8 * width / 8, 0.36 * height / 3
