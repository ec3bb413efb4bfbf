"""The base track: cuts, transitions, stills, gaps, speeds: which frame is shown when."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.exports.barcodes import Footage, loudest, luma_of_cells, share_of_second
from tests.exports.conftest import Export, Renders
from tests.exports.timelines import canvas, clip, gap, image, off_by

FPS = Fraction(30)


def test_cuts_in_order_and_to_the_frame(render: Renders, thirty: Footage, other: Footage) -> None:
    export = render(
        {
            "track": [
                clip(thirty, 0, 1),
                clip(other, "61/30", "91/30"),
                clip(thirty, 1.21, 1.81),  # between frames
                clip(other, 4.5),
                clip(thirty, 4.8, 5.02),  # clamped to its end
            ]
        },
        thirty,
        other,
    )
    assert export.numbers == [
        *thirty.part(30, FPS),
        *other.part(30, FPS, in_=Fraction(61, 30)),
        *thirty.part(18, FPS, in_=Fraction(121, 100)),
        *other.part(15, FPS, in_=Fraction(9, 2)),
        *thirty.part(6, FPS, in_=Fraction(24, 5)),
    ]
    assert len(export.sound) == pytest.approx(99 * 1600, abs=1600)


def test_parts_of_one_recording_in_a_row(render: Renders, thirty: Footage) -> None:
    """They share a reader: some touch, some leave out less than its reach, some jump back."""
    parts = [(i / 2 + 0.01 * i, i / 2 + 0.01 * i + 0.3) for i in range(9)] + [(0.2, 0.5), (0.5, 0.8), (3.0, 3.4)]
    export = render({"track": [clip(thirty, round(a, 3), round(b, 3)) for a, b in parts]}, thirty)
    expected: list[tuple[int, int]] = []
    for start, end in parts:
        frames = round((end - start) * 30)
        expected += thirty.part(frames, FPS, in_=Fraction(round(start * 1000), 1000))
    assert export.numbers == expected
    assert len(export.manifest.ffmpeg_commands) >= 2
    opened = [
        argv for argv in (each.argv for each in export.manifest.ffmpeg_commands) if argv[-1].endswith("video.mp4")
    ]
    assert sum(argument == "-i" for argument in opened[0]) == 3


def test_rates_meet_on_one_canvas(
    render: Renders, film: Footage, pal: Footage, ntsc_film: Footage, sixty: Footage, uneven: Footage
) -> None:
    """Each frame shows what its source shows in the middle of that frame's time, whatever the source's rate."""
    sources = (film, pal, ntsc_film, sixty, uneven)
    ranges = ((0, 1), (0.533, 1.533), (1, 2), ("1/3", "4/3"), (0.6, 3.6))
    export = render({"track": [clip(s, *r) for s, r in zip(sources, ranges, strict=True)]}, *sources)
    expected: list[tuple[int, int]] = []
    for source, (start, end) in zip(sources, ranges, strict=True):
        in_, out = Fraction(str(start)), Fraction(str(end))
        expected += source.part(round((out - in_) * FPS), FPS, in_=in_)
    assert export.numbers == expected


# --- transitions -----------------------------------------------------------------------------------------------------


def assert_dissolves(export: Export, at: int, first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    """Frame `at + k` is made of so much of the second as k of all."""
    for k, (before, after) in enumerate(zip(first, second, strict=True)):
        share, off = share_of_second(luma_of_cells(export.frames[at + k]), before, after)
        assert share == pytest.approx(k / len(first), abs=0.03), k
        assert off < 12


def test_dissolves(render: Renders, thirty: Footage, other: Footage, pal: Footage) -> None:
    """After several cuts, with a source of another rate, between two parts of one recording."""
    track = [
        clip(thirty, 0, 0.5),
        clip(other, 1, 2),
        clip(thirty, 1, 2, transition={"kind": "dissolve", "duration": 0.5}),
        clip(pal, 1, 2, transition={"kind": "dissolve", "duration": 0.2}),
        clip(thirty, 3, 3.5),
        clip(thirty, 3.3, 3.9, transition={"kind": "dissolve", "duration": 0.3}),
    ]
    export = render({"track": track}, thirty, other, pal)
    assert len(export.frames) == 15 + 30 + 15 + 24 + 15 + 9
    one, two, three = (
        other.part(30, FPS, in_=Fraction(1)),
        thirty.part(30, FPS, in_=Fraction(1)),
        pal.part(30, FPS, in_=Fraction(1)),
    )
    four, five = thirty.part(15, FPS, in_=Fraction(3)), thirty.part(18, FPS, in_=Fraction(33, 10))
    assert export.numbers[:30] == [*thirty.part(15, FPS), *one[:15]]
    assert_dissolves(export, 30, one[15:], two[:15])
    assert export.numbers[45:54] == two[15:24]
    assert_dissolves(export, 54, two[24:], three[:6])
    assert export.numbers[60:90] == [*three[6:], *four[:6]]
    assert_dissolves(export, 90, four[6:], five[:9])
    assert export.numbers[99:] == five[9:]


def test_fades_through_colours(render: Renders, thirty: Footage, other: Footage) -> None:
    """Half of the time to the colour, half out of it; the frame at the cut is the colour itself."""
    track = [
        clip(thirty, 0, 1),
        clip(other, 1, 2, transition={"kind": "fade", "duration": 0.4, "color": "#C81E3C"}),
        clip(thirty, 2, 3, transition={"kind": "fade", "duration": 0.2}),
    ]
    export = render({"track": track}, thirty, other)
    numbers = export.numbers
    assert numbers[:24] == thirty.part(24, FPS)
    assert numbers[36:57] == other.part(21, FPS, in_=Fraction(6, 5))
    assert numbers[63:] == thirty.part(27, FPS, in_=Fraction(21, 10))
    assert off_by(export.frames[30:31], (200, 30, 60)) <= 4
    assert off_by(export.frames[60:61], (0, 0, 0)) <= 4
    # Grey of the picture's upper edge, and how far it has gone towards the colour.
    upper = export.frames[:, 10:40, 20:300].mean(axis=(1, 2))
    gone = (128 - upper[24:37, 1]) / (128 - 30)
    assert np.allclose(gone, [0, *(k / 6 for k in range(1, 6)), 1, *(k / 6 for k in range(5, -1, -1))], atol=0.05)


def test_dissolves_between_all_kinds(render: Renders, thirty: Footage, other: Footage, red: Path) -> None:
    """Out of a gap, into an image, into a still, out of a hold, and items of a single frame."""
    dissolve = {"transition": {"kind": "dissolve", "duration": 0.2}}
    still = {"kind": "still", "source": other.name, "at": 2, "duration": 0.5, **dissolve}
    track = [
        gap(0.5),
        clip(thirty, 1, 1.5, **dissolve),
        image(red, 0.5, **dissolve),
        still,
        clip(thirty, 2, 2.2, hold=0.3),
        image(red, 0.5, **dissolve),
        image(red, "1/30"),
        clip(other, 1, "31/30", transition={"kind": "dissolve", "duration": "1/30"}),
        clip(thirty, 4, 4.2),
    ]
    document = {"canvas": canvas(background="#1E5AC8"), "track": track}
    export = render(document, thirty, other, red)
    frames, numbers = export.frames, export.numbers
    assert len(frames) == 15 + 9 + 9 + 9 + 15 + 9 + 0 + 1 + 6
    upper = frames[:, 10:40, 40:280].mean(axis=(1, 2))

    def mixes(at: int, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        for k in range(6):
            mixed = np.array(before) + (np.array(after) - before) * k / 6
            assert np.allclose(upper[at + k], mixed, atol=6), (at, k)

    grey, blue, red_ = (128, 128, 128), (30, 90, 200), (200, 30, 60)
    mixes(9, blue, grey)
    assert numbers[15:18] == thirty.part(12, FPS, in_=Fraction(1))[6:9]
    mixes(18, grey, red_)
    mixes(27, red_, grey)
    assert numbers[33:42] == [(2, 60)] * 9
    assert numbers[42:51] == [*thirty.part(6, FPS, in_=Fraction(2)), *[(1, 65)] * 3]
    mixes(51, grey, red_)
    assert off_by(frames[58:67], red_) <= 6
    assert numbers[67:] == thirty.part(6, FPS, in_=Fraction(4))


# --- gaps, stills, images, holds -------------------------------------------------------------------------------------


def test_gaps_stills_images_and_holds(render: Renders, thirty: Footage, other: Footage, red: Path) -> None:
    track = [
        clip(thirty, 1, 1.5, hold=0.5),
        gap(0.5),
        {"kind": "still", "source": other.name, "at": 2.55, "duration": 0.5},
        {"kind": "still", "source": other.name, "at": 4.99, "duration": 0.3},  # half a frame before its end
        image(red, 0.4),
        clip(other, 0, 0.5, start=3),  # leaves a gap from 2.7 on
        clip(thirty, 4.98, 5, hold=0.5),  # less than a frame, and held
    ]
    export = render(
        {"canvas": canvas(background="#1E5AC8"), "track": track},
        thirty,
        other,
        red,
    )
    assert len(export.frames) == 90 + 15 + 16
    numbers, frames = export.numbers, export.frames
    assert numbers[:30] == [*thirty.part(15, FPS, in_=Fraction(1)), *[(1, 44)] * 15]
    assert off_by(frames[30:45], (30, 90, 200)) <= 4
    assert numbers[45:60] == [(2, 76)] * 15
    assert numbers[60:69] == [(2, 149)] * 9
    assert off_by(frames[69:81], (200, 30, 60)) <= 4
    assert off_by(frames[81:90], (30, 90, 200)) <= 4
    assert numbers[90:105] == other.part(15, FPS)
    assert numbers[105:] == [(1, 149)] * 16
    loud = np.abs(export.sound).max(axis=1)
    assert loud[round(1.03 * 48000) : round(2.95 * 48000)].max() < 1e-3  # nothing is heard of what stands still


@pytest.mark.parametrize("speeds", [(0.25, 0.5, 1.5), (2.0, 4.0, 3.3)])
def test_speeds(render: Renders, thirty: Footage, speeds: tuple[float, ...]) -> None:
    """The frames that fall due, and the tone keeps its pitch."""
    length = Fraction(1) if speeds[0] < 1 else Fraction(4)
    export = render(
        {"track": [clip(thirty, "1/2", str(length + Fraction(1, 2)), speed=speed) for speed in speeds]}, thirty
    )
    expected: list[tuple[int, int]] = []
    edges = [Fraction(0)]
    for speed in speeds:
        edges.append(edges[-1] + length / Fraction(str(speed)))
    for speed, (start, end) in zip(speeds, pairwise(edges), strict=True):
        first, last = (int(edge * FPS + Fraction(1, 2)) for edge in (start, end))
        expected += thirty.part(last - first, FPS, in_=Fraction(1, 2), speed=Fraction(str(speed)))
        heard = export.sound.mean(axis=1)[
            round((start + Fraction(1, 10)) * 48000) : round((end - Fraction(1, 10)) * 48000)
        ]
        hz, amplitude = loudest(heard)
        assert hz == pytest.approx(thirty.hz, rel=0.02)
        assert amplitude > 0.05
    assert export.numbers == expected


def test_a_fade_out_of_an_item_of_one_frame(render: Renders, red: Path, blue: Path) -> None:
    """Half of it, snapped by itself, is two frames."""
    fade = {"kind": "fade", "duration": "6/60"}
    track = [image(red, "31/60"), image(blue, "3/60"), image(red, "1/2", transition=fade)]
    frames = render({"track": track}, red, blue).frames
    assert len(frames) == 32
    assert off_by(frames[15], (200, 30, 60)) <= 6
    assert off_by(frames[19:], (200, 30, 60)) <= 6
