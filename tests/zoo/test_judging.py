"""What judges the outputs of the zoo notices every damage, and finds nothing in what is right."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from mediajobs_dagster.media.tools import Tools
from tests.zoo.damages import DAMAGES, damage
from tests.zoo.judging import judge_export
from tests.zoo.making import AAC, H264, Form, Maker, frames
from tests.zoo.truth import Picture, Sound, Truth, beeps_of, steady

RIGHT = Truth(Picture(steady(75, Fraction(30)), 2.5, rate=Fraction(30)), Sound(beeps_of(2.5), 2.5))
NOTICED = {
    "nothing": set[str](),
    "a frame dropped": {"frames"},
    "a frame shown twice": {"frames"},
    "the picture a frame late": {"frames"},
    "the picture 0.5 s shorter": {"length"},
    "the picture standing still": {"frames"},
    "black": {"frames", "upright"},
    "black for a second": {"frames", "upright"},
    "upside down": {"frames", "upright"},
    "in another matrix": {"colours"},
    "half the size": set[str](),
    "without sound": {"beeps"},
    "muted": {"beeps"},
    "the sound 0.06 s late": {"beeps"},
    "the sound 0.5 s late": {"beeps"},
    "the sound 1 s shorter": {"beeps"},
    "the sound 12 dB softer": {"beeps"},
    "a second of sound missing": {"beeps"},
    "the sound twice as fast": {"beeps"},
}
"""What is said of each damage. A smaller picture is right, as long as its shape is."""


@pytest.fixture(scope="module")
def right(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video as an export makes it."""
    folder = tmp_path_factory.mktemp("right")
    maker, path = Maker(folder, tools), folder / "right.mp4"
    form = Form("bt709", tags=("colorspace=bt709", "range=tv"))
    maker.encode(path, frames(75), *H264, *AAC, rate="30", form=form, inputs=("-i", maker.wav(2.5)))
    return path


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damage_is_noticed(right: Path, tools: Tools, tmp_path: Path, how: str) -> None:
    """And called what it is."""
    path = tmp_path / "video.mp4"
    shutil.copy(right, path)
    damage(path, how, tools)
    found = {fault.aspect for fault in judge_export(path, RIGHT, tools, None)}
    assert found >= NOTICED[how]
    assert bool(found) == bool(NOTICED[how])
