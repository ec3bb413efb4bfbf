"""Picture sizes."""

from __future__ import annotations

import random

import pytest

from mediajobs_dagster.errors import InputCorruptError
from mediajobs_dagster.job_types.geometry import fit_long_edge
from tests.job_types.sources import a_picture


def test_any_picture_fits() -> None:
    """Whatever its size, aspect and rotation: the long edge is exact, the other within a pixel of the true shape."""
    chance = random.Random(3)
    for _ in range(2_000):
        picture = a_picture(
            width=chance.randint(1, 8192),
            height=chance.randint(1, 8192),
            rotation=chance.choice([0, 90, 180, 270]),
            sample_aspect=(chance.randint(1, 16), chance.randint(1, 16)),
        )
        even, long_edge = chance.random() < 0.5, chance.choice([540, 640])
        fitted = fit_long_edge(picture, long_edge, even=even)
        grain = 2 if even else 1
        shown = picture.display_size
        scale = long_edge / max(shown)
        assert max(fitted) == long_edge
        assert all(edge >= grain and edge % grain == 0 for edge in fitted)
        for edge, true in zip(fitted, shown, strict=True):
            assert abs(edge - true * scale) <= grain / 2 or edge == grain


def test_a_quarter_turn_swaps_the_edges() -> None:
    """What is stored lying down and shown standing stands in the output."""
    lying, standing = a_picture(), a_picture(rotation=90)
    assert fit_long_edge(lying, 640, even=False) == (640, 360)
    assert fit_long_edge(standing, 640, even=False) == (360, 640)


def test_small_pictures_are_enlarged() -> None:
    """The long edge is what the contract says, also for sources below it."""
    assert fit_long_edge(a_picture(width=160, height=90), 640, even=False) == (640, 360)


@pytest.mark.parametrize(("width", "height"), [(0, 360), (640, 0), (0, 0)])
def test_a_picture_without_a_size_is_corrupt(width: int, height: int) -> None:
    """Not a division by zero: a fault of the file, with its name."""
    with pytest.raises(InputCorruptError, match=f"{width}x{height}"):
        fit_long_edge(a_picture(width=width, height=height), 640, even=False)
