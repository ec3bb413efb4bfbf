"""How pictures of any shape lie on the canvas, and in which colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.exports.barcodes import Footage, Studio, luma_of_cells, numbers_in, pattern
from tests.exports.conftest import Renders
from tests.exports.timelines import canvas, clip, gap, image, off_by

FPS = Fraction(30)
RED, BLUE = (200, 30, 60), (30, 90, 200)


def test_contained_on_a_portrait_canvas(render: Renders, thirty: Footage, red: Path) -> None:
    export = render(
        {"canvas": canvas(180, 320, background="#1E5AC8"), "track": [clip(thirty, 1, 1.2), image(red, 0.2)]},
        thirty,
        red,
    )
    area = (0, 109, 180, 101)
    assert export.numbers_at(area)[:6] == thirty.part(6, FPS, in_=Fraction(1))
    assert off_by(export.frames[:, :96], BLUE) <= 4
    assert off_by(export.frames[:, 224:], BLUE) <= 4
    assert off_by(export.frames[6:, 114:206], RED) <= 4


def test_covering_and_cropped(render: Renders, thirty: Footage) -> None:
    whole = render(
        {
            "canvas": canvas(240, 180),
            "track": [
                clip(thirty, 1, 1.2, fit="cover"),
                # The grid alone, which is 256 x 65 of the 320 x 180.
                clip(thirty, 2, 2.2, crop={"x": 0.1, "y": 0.3, "width": 0.8, "height": 0.4}, fit="contain"),
                clip(thirty, 3, 3.2, crop={"x": 0.0, "y": 0.25, "width": 1, "height": 0.5}, fit="cover"),
            ],
        },
        thirty,
    )
    frames = whole.frames
    assert numbers_in(frames[:6], (-40, 0, 320, 180)) == thirty.part(6, FPS, in_=Fraction(1))
    scale = 240 / 256
    top = (180 - 72 * scale) / 2 - 54 * scale
    assert numbers_in(frames[6:12], (-32 * scale, top, 320 * scale, 180 * scale)) == thirty.part(
        6, FPS, in_=Fraction(2)
    )
    assert off_by(frames[6:12, :54], (0, 0, 0)) <= 4
    # Covering, it is twice as large, and the middle 120 of its 320 columns are left: four of the eight cells of a row.
    seen = np.tile([False, False, True, True, True, True, False, False], 3)
    for frame, (number, at) in zip(frames[12:], thirty.part(6, FPS, in_=Fraction(3)), strict=True):
        padded = np.pad(frame, ((90, 90), (200, 200), (0, 0)))
        assert np.array_equal((luma_of_cells(padded) > 127)[seen], pattern(number, at)[seen])


@pytest.mark.parametrize(("degrees", "turns"), [(-90, 1), (90, 3), (180, 2)])
def test_rotated(render: Renders, studio: Studio, thirty: Footage, degrees: int, turns: int) -> None:
    turned = studio.turned(thirty, f"turned{degrees}.mp4", degrees)
    export = render({"canvas": {"fps": 30}, "track": [clip(turned, 1, 1.2)]}, turned)
    assert export.frames.shape[1:3] == ((320, 180) if turns % 2 else (180, 320))
    upright = np.rot90(export.frames, turns, axes=(1, 2))
    assert numbers_in(upright) == thirty.part(6, FPS, in_=Fraction(1))


def test_anamorphic(render: Renders, studio: Studio) -> None:
    """Stored 240 x 180 with pixels of 4:3, it fills a canvas of 320 x 180, which is also what it proposes."""
    squeezed = studio.clip("squeezed.mp4", 9, size=(240, 180), seconds=1, before=("-aspect", "16:9"))
    export = render({"canvas": {}, "track": [clip(squeezed, 0, 0.2)]}, squeezed)
    assert export.frames.shape[1:3] == (180, 320)
    assert export.numbers == squeezed.part(6, FPS)


def test_covering_where_it_is_turned(render: Renders, studio: Studio, thirty: Footage) -> None:
    """The middle of it, to the pixel."""
    turned = studio.turned(thirty, "turned-90.mp4", -90)
    export = render({"canvas": canvas(120, 320), "track": [clip(turned, 1, 1.2, fit="cover")]}, turned)
    upright = np.rot90(export.frames, 1, axes=(1, 2))
    assert numbers_in(upright, (0, -30, 320, 180)) == thirty.part(6, FPS, in_=Fraction(1))


def test_covering_where_it_is_anamorphic(render: Renders, studio: Studio) -> None:
    """The middle of it, to the pixel."""
    squeezed = studio.clip("squeezed.mp4", 9, size=(240, 180), seconds=1, before=("-aspect", "16:9"))
    export = render({"canvas": canvas(280, 180), "track": [clip(squeezed, 0, 0.2, fit="cover")]}, squeezed)
    assert export.numbers_at((-20, 0, 320, 180)) == squeezed.part(6, FPS)


def test_a_strip_covers_the_canvas(render: Renders, studio: Studio) -> None:
    """Six columns of a picture, and their middle."""
    half = studio.half_dark("half.mp4")
    export = render({"track": [clip(half, 0, 0.2, fit="cover", crop={"x": 0.25, "width": 0.02})]}, half)
    assert export.frames.shape[1:3] == (180, 320)
    assert export.frames.min() > 240


def test_image_behind(render: Renders, thirty: Footage, red: Path) -> None:
    behind = {"kind": "image", "source": red.name}
    export = render(
        {"canvas": canvas(180, 320, background=behind), "track": [clip(thirty, 1, 1.2), gap(0.2)]}, thirty, red
    )
    assert export.numbers_at((0, 109, 180, 101))[:6] == thirty.part(6, FPS, in_=Fraction(1))
    assert off_by(export.frames[:, :96], RED) <= 4
    assert off_by(export.frames[6:], RED) <= 4


def test_blur_behind(render: Renders, thirty: Footage) -> None:
    track = [clip(thirty, 1, 1.2), gap(0.2)]
    blurred = render({"canvas": canvas(180, 320, background={"kind": "blur"}), "track": track}, thirty)
    assert blurred.numbers_at((0, 109, 180, 101))[:6] == thirty.part(6, FPS, in_=Fraction(1))
    upper = blurred.frames[:6, :96].astype(int)
    assert 60 < upper.mean() < 200
    assert np.abs(np.diff(upper, axis=2)).max() < 16  # no edge is left
    assert off_by(blurred.frames[6:], (0, 0, 0)) <= 4


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt601, told"])
def test_sources_keep_their_colour(render: Renders, studio: Studio, matrix: str) -> None:
    """Whatever matrix a source is in: told, or by the custom that small pictures are in BT.601."""
    told = {"bt601": "unknown", "bt709": "bt709", "bt601, told": "smpte170m"}[matrix]
    plain = studio.plain(f"plain_{told}.mp4", BLUE, matrix[:5], told)
    export = render({"track": [clip(plain, 0, 0.2)]}, plain)
    assert off_by(export.frames, BLUE) <= 4


@pytest.mark.parametrize(
    "form", ["yuvj420p", "yuv420p10le", "yuv444p", "yuv422p"], ids=["full range", "10 bits", "4:4:4", "4:2:2"]
)
def test_sources_of_any_pixel_format(render: Renders, studio: Studio, form: str) -> None:
    plain = studio.plain(f"{form}.mp4", BLUE, "bt709", "bt709", form=form)
    export = render({"track": [clip(plain, 0, 0.2)]}, plain)
    assert off_by(export.frames, BLUE) <= 4
