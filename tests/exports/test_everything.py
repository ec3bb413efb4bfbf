"""All elements of a timeline at once, looked at on either side of every boundary."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import Footage, hz_of, level, luma_of_cells, marks, share_of_second
from tests.exports.conftest import Export, Renders
from tests.exports.test_sound import loudness_of
from tests.exports.timelines import Part, canvas, clip, gap, image, off_by

FPS = Fraction(30_000, 1001)
DISSOLVED, FADED = {"kind": "dissolve", "duration": 0.5}, {"kind": "fade", "duration": 0.4, "color": "#1E5AC8"}
SRT = "1\n00:00:00,500 --> 00:00:02,000\nHello\n\n2\n00:00:02,500 --> 00:00:04,000\nthere\n"


def document(
    thirty: Footage, other: Footage, pal: Footage, film: Footage, red: Path, blue: Path, voice: Path, music: Path
) -> Part:
    """9.5 s."""
    return {
        "canvas": canvas(fps="30000/1001", background={"kind": "image", "source": blue.name}),
        "track": [
            clip(thirty, 0.5, 2.5),  # 0 to 2
            clip(other, 1, 3, transition=DISSOLVED),  # 1.5 to 3.5
            image(red, 0.5),  # to 4
            clip(pal, 1, 2, speed=0.5, transition=FADED),  # to 6
            clip(film, 1, 2, hold=0.5, gainDb=-3),  # to 7.5
            gap(0.5),  # to 8
            {"kind": "still", "source": other.name, "at": 4, "duration": 0.5},  # to 8.5
            clip(thirty, 3, 3.5),  # and on, in the same reader
            clip(thirty, 3.8, 4.3),  # to 9.5
        ],
        "layers": [
            {
                "kind": "video",
                "source": film.name,
                "in": 2,
                "out": 3,
                "start": 0.6,
                "scale": 0.25,
                "position": {"x": 0.14, "y": 0.15},
                "mute": True,
                "border": {},
            },
            {
                "kind": "image",
                "source": red.name,
                "start": 2,
                "duration": 1,
                "scale": 0.1,
                "position": {"x": 0.06, "y": 0.94},
            },
            {"kind": "logo", "source": blue.name, "scale": 0.1},
            {
                "kind": "title",
                "text": "Title",
                "start": 4.5,
                "duration": 1,
                "place": "top",
                "style": {"size": 0.1},
                "enter": {"kind": "fade"},
            },
            {"kind": "lower_third", "name": "A", "role": "B", "start": 6.2, "duration": 1, "style": {"size": 0.05}},
            {"kind": "captions", "format": "srt", "text": SRT, "style": {"size": 0.07}},
            {"kind": "visualiser", "narration": "n", "scale": 0.3, "height": 0.2, "position": {"x": 0.5, "y": 0.86}},
        ],
        "narration": [{"id": "n", "source": voice.name, "start": 7.5, "in": 0.5}],
        "music": [{"source": music.name, "mode": "duck", "duckDb": 18, "gainDb": -12}],
    }


@pytest.fixture
def export(
    render: Renders,
    thirty: Footage,
    other: Footage,
    pal: Footage,
    film: Footage,
    red: Path,
    blue: Path,
    voice: Path,
    music: Path,
) -> Export:
    sources = (thirty, other, pal, film, red, blue, voice, music)
    return render(document(*sources), *sources)


def frame_at(seconds: float) -> int:
    return int(Fraction(str(seconds)) * FPS + Fraction(1, 2))


def test_everything_at_once(
    export: Export, thirty: Footage, other: Footage, pal: Footage, film: Footage, tools: Tools
) -> None:
    assert len(export.frames) == frame_at(9.5)
    _looks_right(export, thirty, other, pal, film)
    _is_laid_over(export, film)
    _sounds_right(export, tools)


def _looks_right(export: Export, thirty: Footage, other: Footage, pal: Footage, film: Footage) -> None:
    numbers = export.numbers
    a, b, c, d, e, f, g, h, i = (frame_at(each) for each in (1.5, 2, 3.5, 4, 6, 7.5, 8, 8.5, 9))
    first, second = thirty.part(b, FPS, in_=Fraction(1, 2)), other.part(c - a, FPS, in_=Fraction(1))
    assert numbers[:a] == first[:a]
    for k in range(b - a):
        share, off = share_of_second(luma_of_cells(export.frames[a + k]), first[a + k], second[k])
        assert share == pytest.approx(k / (b - a), abs=0.03)
        assert off < 12
    fade = 6
    assert numbers[b:c] == second[b - a :]
    assert numbers[c : c + 1] == [None]
    slow = pal.part(e - d, FPS, in_=Fraction(1), speed=Fraction(1, 2))
    assert numbers[d + fade : e] == slow[fade:]
    assert numbers[e : f - frame_at(0.5)] == film.part(f - e - frame_at(0.5), FPS, in_=Fraction(1))
    assert numbers[f - frame_at(0.5) : f] == [numbers[f - frame_at(0.5) - 1]] * frame_at(0.5)
    assert numbers[f:g] == [None] * (g - f)
    assert numbers[g:h] == [(2, 120)] * (h - g)
    assert numbers[h:i] == thirty.part(i - h, FPS, in_=Fraction(3))
    assert numbers[i:] == thirty.part(len(numbers) - i, FPS, in_=Fraction(19, 5))
    middle = export.frames[:, 60:120, 20:300]
    assert off_by(middle[c : d - fade], (200, 30, 60)) <= 6
    assert off_by(middle[d], (30, 90, 200)) <= 4
    assert off_by(middle[f + 1 : g], (30, 90, 200)) <= 6


def _is_laid_over(export: Export, film: Footage) -> None:
    start, end = frame_at(0.6), frame_at(1.6)
    placed = export.numbers_at((0.14 * 320 - 40, 0.15 * 180 - 22.5, 80, 45))
    assert placed[start - 1] is None
    assert placed[start:end] == film.part(end - start, FPS, in_=Fraction(2))
    assert placed[end] is None
    assert _spans(export, (4, 164, 34, 174), (128, 128, 128), until=frame_at(3.4)) == [(frame_at(2), frame_at(3))]
    # The logo's corner is 16 pixels and 9 lines from the canvas's.
    assert off_by(export.frames[:, 12:24, 276:300], (30, 90, 200)) <= 14
    titled = export.frames[frame_at(4.4) : frame_at(6), 4:40, 100:220].max(axis=(1, 2, 3)) > 180
    at = frame_at(4.4)
    assert not titled[: frame_at(4.5) - at + 1].any()
    assert titled[frame_at(4.9) - at : frame_at(5.5) - at].all()
    assert not titled[frame_at(5.5) - at :].any()
    captioned = _spans(export, (120, 158, 200, 174), (128, 128, 128), until=frame_at(3.4))
    assert captioned == [(frame_at(0.5), frame_at(2)), (frame_at(2.5), frame_at(3.4))]
    drawn = _spans(export, (115, 150, 205, 160), (128, 128, 128), since=frame_at(8) + 1)
    assert drawn[0][0] == frame_at(8) + 1
    assert drawn[-1][1] <= frame_at(9)


def _sounds_right(export: Export, tools: Tools) -> None:
    loudness, peak = loudness_of(export.path, tools)
    assert loudness == pytest.approx(-16, abs=1)
    assert peak <= -1.5 + 0.3
    heard = marks(export.sound)
    # Of 0.5 to 2.5 of the first, 1 to 3 of the second (at its beginning, faded), 1 to 2 of the fourth, and the voice.
    for expected in (0.5, 2.5, 6.0, 8.0):
        assert np.abs(np.array(heard) - expected).min() < 0.02, expected
    music = hz_of(30)
    speaking, alone = level(export.sound, music, 1, 3.3), level(export.sound, music, 7.15, 7.45)
    assert alone - speaking > 6  # on its way back up since 7.0


def _spans(
    export: Export,
    box: tuple[int, int, int, int],
    ground: tuple[int, int, int],
    since: int = 0,
    until: int | None = None,
) -> list[tuple[int, int]]:
    left, top, right, bottom = box
    part = export.frames[since:until, top:bottom, left:right].astype(int)
    inked = (np.abs(part - ground).max(axis=3) > 50).sum(axis=(1, 2)) > 4
    edges = np.flatnonzero(np.diff([0, *inked.astype(int), 0])) + since
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
