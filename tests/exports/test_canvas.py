"""Canvases: sizes and rates that are asked for, and those that are taken from the first clip."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.exports.barcodes import Footage, Studio
from tests.exports.conftest import Renders
from tests.exports.timelines import canvas, clip


@pytest.mark.parametrize(
    ("preset", "size"), [("1080p", (1920, 1080)), ("9:16", (1080, 1920)), ("1:1", (1080, 1080)), ("4:5", (1080, 1350))]
)
def test_presets(render: Renders, thirty: Footage, preset: str, size: tuple[int, int]) -> None:
    export = render({"canvas": {"preset": preset, "fps": 30}, "track": [clip(thirty, 0, 0.1)]}, thirty, profile="draft")
    assert export.frames.shape[2:0:-1] == size
    scale = min(size[0] / 320, size[1] / 180)
    width, height = 320 * scale, 180 * scale
    assert export.numbers_at(((size[0] - width) / 2, (size[1] - height) / 2, width, height)) == thirty.part(
        3, Fraction(30)
    )


@pytest.mark.parametrize("fps", ["24000/1001", "24", "25", "30000/1001", "48", "50", "60000/1001", "60"])
def test_rates(render: Renders, thirty: Footage, ntsc_film: Footage, fps: str) -> None:
    """A second of each of two clips, and a tenth of the first again, at the frame nearest to where each ends."""
    rate = Fraction(fps)
    track = [clip(thirty, 0, 1), clip(ntsc_film, 0.5, 1.5), clip(thirty, 2, 2.1)]
    export = render({"canvas": canvas(fps=fps), "track": track}, thirty, ntsc_film)
    first, second, end = (int(moment * rate + Fraction(1, 2)) for moment in (1, 2, Fraction(21, 10)))
    assert export.numbers == [
        *thirty.part(first, rate),
        *ntsc_film.part(second - first, rate, in_=Fraction(1, 2)),
        *thirty.part(end - second, rate, in_=Fraction(2)),
    ]
    video = export.manifest.outputs[0].media_info
    assert video is not None
    assert video.main_video is not None
    assert video.main_video.fps == pytest.approx(float(rate), abs=0.001)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("25", "25"),
        ("24000/1001", "24000/1001"),
        ("30000/1001", "30000/1001"),
        ("15", "30"),
        ("10", "30"),
        ("120", "60"),
    ],
)
def test_taken_from_the_first_clip(render: Renders, studio: Studio, rate: str, expected: str) -> None:
    """Its size and its rate; what is slower or faster than exports are is doubled or halved until it fits."""
    source = studio.clip(
        f"rate_{rate.replace('/', '_')}.mp4", 11, rate=rate, seconds=1.001 if "/" in rate else 1, size=(256, 144)
    )
    export = render({"canvas": {}, "track": [clip(source)]}, source)
    assert export.frames.shape[1:3] == (144, 256)
    assert export.numbers == source.part(round(Fraction(expected) * source.frames / source.rate), Fraction(expected))
