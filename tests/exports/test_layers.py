"""What lies above the base track: where, from which frame to which, and how it comes and goes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.exports.barcodes import Footage, Pixels, Studio
from tests.exports.conftest import Renders
from tests.exports.timelines import canvas, clip, gap, image, off_by

FPS = Fraction(30)
BLUE, RED, WHITE = (30, 90, 200), (200, 30, 60), (255, 255, 255)


def ink(
    frames: Pixels, ground: tuple[int, int, int] = BLUE, box: tuple[int, int, int, int] = (0, 0, 320, 180)
) -> list[bool]:
    """In which frames something is drawn on a plain ground, within left, top, right, bottom."""
    left, top, right, bottom = box
    far = np.abs(frames[:, top:bottom, left:right].astype(int) - ground).max(axis=3) > 60
    return [int(each.sum()) > 8 for each in far]


def spans(shown: list[bool]) -> list[tuple[int, int]]:
    """First frame and one past the last of each run."""
    edges = np.flatnonzero(np.diff([0, *map(int, shown), 0]))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def test_video_layer(render: Renders, thirty: Footage, pal: Footage) -> None:
    """Its frames, its place and size, and the base track around it."""
    layers = [
        {
            "kind": "video",
            "source": pal.name,
            "in": 0.52,
            "out": 1.52,
            "start": 0.5,
            "scale": 0.4,
            "position": {"x": 0.25, "y": 0.25},
        },
        {
            "kind": "video",
            "source": thirty.name,
            "in": 4.5,
            "start": 1.7,
            "scale": 0.5,
            "position": {"x": 0.6, "y": 0.7},
        },
    ]
    export = render({"canvas": canvas(background="#1E5AC8"), "track": [gap(2)], "layers": layers}, thirty, pal)
    first, second = (16, 9, 128, 72), (112, 80, 160, 90)
    assert export.numbers_at(first) == [None] * 15 + pal.part(30, FPS, in_=Fraction(52, 100)) + [None] * 15
    assert export.numbers_at(second) == [None] * 51 + thirty.part(9, FPS, in_=Fraction(9, 2))
    still = export.frames[20]
    assert off_by(still[:4], BLUE) <= 4
    assert off_by(still[:, :10], BLUE) <= 4
    assert off_by(still[:, 152:], BLUE) <= 4
    assert off_by(still[88:], BLUE) <= 4
    assert off_by(still[14:24, 24:136], (128, 128, 128)) <= 6
    assert off_by(export.frames[:15], BLUE) <= 4


def test_layers_over_a_clip_at_an_ntsc_rate(render: Renders, thirty: Footage, other: Footage, red: Path) -> None:
    """First and last frames hold where a frame is no round number of microseconds; the base track stays as it is."""
    fps = Fraction(30_000, 1001)
    layers = [
        {
            "kind": "image",
            "source": red.name,
            "start": f"{first}/30",
            "duration": f"{length}/30",
            "scale": 0.1,
            "position": {"x": 0.06 + 0.12 * number, "y": 0.1},
        }
        for number, (first, length) in enumerate([(1, 1), (3, 2), (7, 8), (11, 31), (13, 22), (29, 2), (41, 9)])
    ]
    layers.append(
        {
            "kind": "video",
            "source": other.name,
            "start": "31/30",
            "in": 1,
            "out": "40/30",
            "scale": 0.4,
            "position": {"x": 0.8, "y": 0.8},
        }
    )
    document = {"canvas": canvas(fps="30000/1001"), "track": [clip(thirty, 0, 2)], "layers": layers}
    export = render(document, thirty, other, red)
    for number, (first, length) in enumerate([(1, 1), (3, 2), (7, 8), (11, 31), (13, 22), (29, 2), (41, 9)]):
        x = round((0.06 + 0.12 * number) * 320)
        seen = ink(export.frames, (128, 128, 128), (x - 8, 12, x + 8, 24))
        assert spans(seen) == [(first, first + length)], number
    assert export.numbers[:31] == thirty.part(31, fps)
    assert export.numbers_at((192, 108, 128, 72))[31:41] == other.part(10, fps, in_=Fraction(1))
    assert export.numbers[41:] == thirty.part(60, fps)[41:]


def test_rounded_bordered_and_translucent(render: Renders, studio: Studio, red: Path) -> None:
    plain = studio.plain("plain_red.mp4", RED, "bt601", "unknown")
    frame = {"border": {"width": 0.05, "color": "#FFFFFF"}, "radius": 0.5}
    layers = [
        {"kind": "video", "source": plain.name, "out": 0.2, "scale": 0.5, "position": {"x": 0.25, "y": 0.3}, **frame},
        {"kind": "image", "source": red.name, "scale": 0.5, "position": {"x": 0.75, "y": 0.3}, **frame},
        {
            "kind": "video",
            "source": plain.name,
            "out": 0.2,
            "scale": 0.2,
            "position": {"x": 0.2, "y": 0.8},
            "opacity": 0.5,
        },
        {"kind": "image", "source": red.name, "scale": 0.2, "position": {"x": 0.5, "y": 0.8}, "opacity": 0.5},
        {"kind": "logo", "source": red.name, "corner": "bottom-right", "opacity": 0.25, "scale": 0.2},
    ]
    export = render({"canvas": canvas(background="#1E5AC8"), "track": [gap(0.2)], "layers": layers}, plain, red)
    picture = export.frames[3]
    for left in (0, 160):
        assert off_by(picture[10:14, left : left + 6], BLUE) <= 6  # its corners are round
        assert off_by(picture[92:97, left + 154 : left + 160], BLUE) <= 8
        assert off_by(picture[12:14, left + 60 : left + 100], WHITE) <= 12  # the border lies inside the edge
        assert off_by(picture[30:70, left + 40 : left + 120], RED) <= 6
        assert off_by(picture[0:6, left : left + 160], BLUE) <= 6
    half = tuple((a + b) // 2 for a, b in zip(RED, BLUE, strict=True))
    quarter = tuple((a + 3 * b) // 4 for a, b in zip(RED, BLUE, strict=True))
    assert off_by(picture[132:156, 40:88], half) <= 6
    assert off_by(picture[132:156, 136:184], half) <= 6
    assert off_by(picture[140:165, 246:298], quarter) <= 6  # 16 pixels and 9 lines from the corner
    assert off_by(picture[173:, :], BLUE) <= 6


def test_the_last_layer_is_on_top(render: Renders, red: Path, blue: Path) -> None:
    layers = [
        {"kind": "image", "source": red.name, "scale": 0.5},
        {"kind": "image", "source": blue.name, "scale": 0.25, "start": 0.1, "duration": 0.1},
        {"kind": "title", "text": "█", "duration": 1, "style": {"size": 0.1}},
    ]
    export = render({"track": [gap(0.3)], "layers": layers}, red, blue)
    assert off_by(export.frames[0, 60:68, 130:190], RED) <= 6
    assert off_by(export.frames[3:6, 74:78, 128:192], BLUE) <= 8
    assert off_by(export.frames[6:, 60:68, 130:190], RED) <= 6
    assert min(export.frames[:, 80:100, 150:170].max(axis=(1, 2, 3))) > 240


def test_fades_and_slides(render: Renders, red: Path) -> None:
    """The share of a fade's k-th frame of n is k/n; a slide begins with its layer just outside the canvas."""
    fade, slide = {"kind": "fade", "duration": 0.2}, {"kind": "slide", "duration": 0.2}
    layers = [
        {
            "kind": "image",
            "source": red.name,
            "scale": 0.1,
            "position": {"x": 0.2, "y": 0.1},
            "start": 0.1,
            "duration": 0.7,
            "enter": fade,
            "exit": fade,
        },
        {
            "kind": "image",
            "source": red.name,
            "scale": 0.1,
            "position": {"x": 0.5, "y": 0.4},
            "start": 0.1,
            "duration": 0.7,
            "enter": {**slide, "side": "left"},
            "exit": {**slide, "side": "right"},
        },
        {
            "kind": "image",
            "source": red.name,
            "scale": 0.1,
            "position": {"x": 0.95, "y": 0.7},
            "start": 0.1,
            "duration": 0.7,
            "enter": {**slide, "side": "top"},
            "exit": {**slide, "side": "bottom"},
        },
    ]
    export = render({"canvas": canvas(background="#1E5AC8"), "track": [gap(1)], "layers": layers}, red)
    frames = export.frames.astype(int)
    share = (frames[:, 14:22, 56:72, 0].mean(axis=(1, 2)) - 30) / (200 - 30)
    curve = [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]
    assert np.allclose(share, [0, 0, 0, *curve, *[1] * 9, 1, *curve[:0:-1], *[0] * 6], atol=0.04)

    def middle_of_red(box: Pixels, axis: int) -> list[float | None]:
        found = [np.flatnonzero((each[..., 0] > 115).any(axis=axis)) for each in box]
        return [float(each.mean()) + 0.5 if len(each) else None for each in found]

    across, down = middle_of_red(frames[:, 64:80, :284], 0), middle_of_red(frames[:, :, 296:312], 1)
    # From wholly outside to x = 160 in steps of a sixth of the way: 160 + 16 at the left, 160 + 16 at the right.
    assert across[:4] == [None] * 4  # on the first frame it is just outside
    for k in range(1, 6):
        at = 160 - 176 * (1 - k / 6)
        if at > 16:
            assert across[3 + k] == pytest.approx(at, abs=2)
            assert down[3 + k] == pytest.approx(126 - (126 + 9) * (1 - k / 6), abs=3)
        leaving = 160 + 176 * k / 6
        if leaving < 264:
            assert across[18 + k] == pytest.approx(leaving, abs=2)
    assert across[9:19] == pytest.approx([160] * 10, abs=1)
    assert down[9:19] == pytest.approx([126] * 10, abs=1)
    assert across[24:] == [None] * 6


def test_lettering(render: Renders, blue: Path) -> None:
    """Titles, lower thirds and captions: where there is ink, and in which frames."""
    style = {"size": 0.08}
    cues = (
        "00:00:00,100 --> 00:00:00,533\nfirst",
        "00:00:00,700 --> 00:00:01,167\nsecond",
        "00:00:01,167 --> 00:00:01,300\nx y",
    )
    srt = "\n".join(f"{number}\n{cue}\n" for number, cue in enumerate(cues, 1))
    layers = [
        {"kind": "title", "text": "Top", "start": 0.2, "duration": 0.5, "place": "top", "style": style},
        {"kind": "title", "text": "Middle: 100% \\ 'it' \"x\"", "start": "1/3", "duration": "2/3", "style": style},
        {"kind": "lower_third", "name": "Ada", "role": "x", "start": 0.5, "duration": 0.5, "side": "right"},
        {"kind": "captions", "format": "srt", "text": srt, "start": 0.2, "style": {"size": 0.08}},
    ]
    export = render({"canvas": canvas(background="#1E5AC8"), "track": [image(blue, 2)], "layers": layers}, blue)
    frames = export.frames
    assert spans(ink(frames, box=(0, 0, 320, 50))) == [(6, 21)]
    assert spans(ink(frames, box=(0, 70, 320, 110))) == [(10, 30)]
    assert spans(ink(frames, box=(220, 115, 320, 150))) == [(15, 30)]
    assert not any(ink(frames, box=(0, 115, 100, 150)))
    captions = frames[:, 152:, 60:260].astype(int)
    assert spans(ink(frames, box=(100, 152, 220, 180))) == [(9, 22), (27, 45)]
    changes = np.abs(np.diff(captions, axis=0)).max(axis=(1, 2, 3)) > 60
    assert [int(k) + 1 for k in np.flatnonzero(changes)] == [9, 22, 27, 41, 45]
    assert off_by(frames[46:], BLUE) <= 4


def test_captions_up_to_the_end(render: Renders, blue: Path) -> None:
    """The last one is on show as long as the others."""
    srt = "00:00:00,100 --> 00:00:00,300\nfirst\n\n00:00:00,300 --> 00:00:09,000\nlast and longer\n"
    layer = {"kind": "captions", "format": "srt", "text": srt, "style": {"size": 0.08}}
    export = render({"canvas": canvas(), "track": [image(blue, 1)], "layers": [layer]}, blue)
    assert spans(ink(export.frames)) == [(3, 30)]


def test_places_of_captions_lower_thirds_and_logos(render: Renders, blue: Path, red: Path) -> None:
    """A position wins over a place, a side and a corner; of captions it is the middle of each."""
    style, at = {"size": 0.08, "align": "center"}, {"x": 0.25, "y": 0.25}
    cues = ("00:00:00,000 --> 00:00:00,500\nX\nX", "00:00:00,500 --> 00:00:01,000\nX")
    captions = {"kind": "captions", "format": "srt", "text": "\n\n".join(cues), "style": style}
    layers = [
        {**captions, "place": "top"},
        {**captions, "position": {"x": 0.75, "y": 0.5}},
        {"kind": "lower_third", "name": "X", "duration": 1, "position": at, "style": {"size": 0.08}},
        {"kind": "logo", "source": red.name, "position": {"x": 0.25, "y": 0.75}, "scale": 0.2},
    ]
    frames = render({"canvas": canvas(), "track": [image(blue, 1)], "layers": layers}, blue, red).frames

    def middle_of(frame: int, box: tuple[int, int, int, int]) -> tuple[float, float]:
        left, top, right, bottom = box
        far = np.abs(frames[frame, top:bottom, left:right].astype(int) - BLUE).max(axis=2) > 60
        return tuple(float(np.flatnonzero(far.any(axis=axis)).mean()) + first for axis, first in ((0, left), (1, top)))

    two, one = (middle_of(frame, (180, 50, 320, 140)) for frame in (5, 20))
    assert two == pytest.approx((240, 90), abs=3)
    assert one == pytest.approx((240, 90), abs=3)
    upper, lower = (ink(frames[[5, 20]], box=box) for box in ((140, 5, 180, 26), (140, 26, 180, 42)))
    assert upper == [True, True]
    assert lower == [True, False]
    assert middle_of(5, (30, 20, 130, 80)) == pytest.approx((80, 45), abs=3)
    assert middle_of(5, (0, 100, 140, 180)) == pytest.approx((80, 135), abs=2)


def test_captions_come_and_go(render: Renders, blue: Path) -> None:
    """With the first and the last of them; between them they are half there."""
    fade = {"kind": "fade", "duration": 0.2}
    cues = ("00:00:00,200 --> 00:00:00,600\n█", "00:00:00,700 --> 00:00:01,100\n█")
    captions = {"kind": "captions", "format": "srt", "text": "\n\n".join(cues), "style": {"size": 0.2}}
    layers = [
        {**captions, "place": "top", "opacity": 0.5, "enter": fade, "exit": fade},
        {**captions, "enter": {"kind": "slide", "side": "left", "duration": 0.2}},
    ]
    frames = render({"canvas": canvas(), "track": [image(blue, 2)], "layers": layers}, blue).frames.astype(int)
    share = (frames[:, 24:32, 154:166, 0].mean(axis=(1, 2)) - 30) / (255 - 30)
    curve = [0, 1 / 12, 2 / 12, 3 / 12, 4 / 12, 5 / 12]
    assert np.allclose(
        share[:34], [*[0] * 6, *curve, *[0.5] * 6, *[0] * 3, *[0.5] * 6, *[0.5, *curve[:0:-1]], 0], atol=0.03
    )
    middles = [np.flatnonzero(frame[150:158, :, 0].mean(axis=0) > 150) for frame in frames]
    assert [len(each) > 0 for each in middles[:34]] == [*[False] * 7, *[True] * 11, *[False] * 3, *[True] * 12, False]
    steps = [float(each.mean()) for each in middles[9:14]]
    assert steps == sorted(steps)
    assert steps[0] < 120
    assert steps[-1] == pytest.approx(160, abs=2)


@pytest.mark.parametrize("style", ["waveform", "spectrum"])
def test_visualiser(render: Renders, voice: Path, style: str) -> None:
    """It is drawn while its narration is heard, in its place and its colour."""
    layer = {
        "kind": "visualiser",
        "narration": "n",
        "style": style,
        "color": "#C81E3C",
        "position": {"x": 0.5, "y": 0.5},
        "scale": 0.5,
        "height": 0.5,
    }
    document = {
        "canvas": canvas(background="#000000"),
        "track": [gap(2)],
        "layers": [layer],
        "narration": [{"id": "n", "source": voice.name, "start": 0.5, "in": 0.3, "out": 1.3}],
    }
    export = render(document, voice)
    seen = spans(ink(export.frames, (0, 0, 0)))
    assert len(seen) == 1
    assert seen[0][0] in (15, 16)
    assert seen[0][1] == 45
    drawn = export.frames[30].reshape(-1, 3)
    strongest = drawn[drawn.astype(int).sum(axis=1).argmax()]
    assert off_by(strongest, RED) <= 32
    outside = export.frames.copy()
    outside[:, 44:136, 78:242] = 0
    assert off_by(outside, (0, 0, 0)) <= 8
