"""Sources that are not as one would wish them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mediajobs_dagster.media.tools import Tools
from tests.clips import Clips
from tests.exports.barcodes import RATE, Footage, Studio, hz_of, level, marks, tone, write_wav
from tests.exports.conftest import Renders
from tests.exports.timelines import canvas, clip, gap, image, off_by
from tests.heif_pictures import LEFT, RIGHT, two_coloured, written
from tests.platform import Platform

FPS = Fraction(30)
BLUE = (30, 90, 200)


def test_sound_of_any_form(render: Renders, studio: Studio) -> None:
    """8 kHz mono, 44.1 kHz, 5.1 and none at all follow each other, each at its level and in time."""
    low = studio.clip("low.mp4", 12, seconds=2, sound=tone(12, 2, rate=8000, marks=False), sound_rate=8000)
    odd = studio.clip("odd.mp4", 13, seconds=2, sound=tone(13, 2, rate=44_100), sound_rate=44_100)
    centre = np.zeros((2 * RATE, 6), np.float32)
    centre[:, 2] = tone(14, 2)
    surround = studio.clip("surround.mp4", 14, seconds=2, sound=centre)
    silent = studio.clip("silent.mp4", 15, seconds=2, silent=True)
    sources = (low, odd, surround, silent)
    track = [clip(source, 0.5, 1.5) for source in (low, surround, silent, odd)]
    export = render({"track": track, "loudness": None}, *sources)
    assert export.numbers == [
        number for source in (low, surround, silent, odd) for number in source.part(30, FPS, in_=Fraction(1, 2))
    ]
    assert level(export.sound, low.hz, 0.1, 0.9) == pytest.approx(-14, abs=0.5)
    assert level(export.sound, surround.hz, 1.1, 1.45) == pytest.approx(-17, abs=0.5)  # a centre is 3 dB softer
    assert np.abs(export.sound[round(2.05 * RATE) : round(2.95 * RATE)]).max() < 1e-3
    assert level(export.sound, odd.hz, 3.1, 3.45) == pytest.approx(-14, abs=0.5)
    assert np.allclose(marks(export.sound), [1.5, 3.5], atol=0.02)


def test_sound_that_begins_late_or_ends_early(render: Renders, studio: Studio) -> None:
    """What is missing is silence, and what follows stays in time."""
    short = studio.clip("short_sound.mp4", 16, seconds=3, sound=tone(16, 1.5))
    late = studio.delayed(studio.clip("whole.mp4", 17, seconds=3), "late_sound.mp4", 0.7)
    export = render({"track": [clip(short, 0.5, 2.5), clip(late, 0, 3)], "loudness": None}, short, late)
    assert export.numbers == [*short.part(60, FPS, in_=Fraction(1, 2)), *late.part(90, FPS)]
    assert np.abs(export.sound[round(1.1 * RATE) : round(2.65 * RATE)]).max() < 2e-3
    assert np.allclose(marks(export.sound), [0.5, 2.7, 3.7, 4.7], atol=0.02)


def test_a_variable_rate_and_transport_streams(render: Renders, studio: Studio, uneven: Footage) -> None:
    """Slow, fast, held and layered over itself; and a stream whose times do not begin at 0."""
    stream = studio.clip("stream.ts", 19, seconds=3, rate="25", options=("-g", "25", "-bf", "2"), silent=True)
    track = [clip(uneven, 1.1, 1.6, speed=0.5), clip(stream, 1.5, 2.5), clip(uneven, 0.4, 3.4, speed=3)]
    layers = [
        {
            "kind": "video",
            "source": stream.name,
            "in": 0.4,
            "start": 0.5,
            "out": 1.4,
            "position": {"x": 0.5, "y": 0.86},
            "scale": 0.25,
        }
    ]
    export = render({"track": track, "layers": layers}, uneven, stream)
    expected = [
        *uneven.part(30, FPS, in_=Fraction(11, 10), speed=Fraction(1, 2)),
        *stream.part(30, FPS, in_=Fraction(3, 2)),
        *uneven.part(30, FPS, in_=Fraction(2, 5), speed=Fraction(3)),
    ]
    assert export.numbers == expected
    assert export.numbers_at((120, 132, 80, 45))[15:45] == stream.part(30, FPS, in_=Fraction(2, 5))


def test_images_turned_and_transparent(render: Renders, studio: Studio) -> None:
    """A photograph lies the way its EXIF says; where an image is transparent, what is behind it is seen."""
    turned, clear = studio.folder / "turned.jpg", studio.folder / "clear.png"
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[:, :80], pixels[:, 80:] = (220, 220, 220), (20, 20, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: what is left comes to the top
    Image.fromarray(pixels).save(turned, exif=exif, quality=95)
    alpha = np.zeros((90, 160, 4), np.uint8)
    alpha[:, :80] = (200, 30, 60, 255)
    alpha[:, 80:] = (255, 255, 255, 0)
    Image.fromarray(alpha).save(clear)
    document = {
        "canvas": canvas(180, 320, background="#1E5AC8"),
        "track": [image(turned, 0.2), image(clear, 0.2), gap(0.2)],
        "layers": [{"kind": "image", "source": clear.name, "start": 0.4, "scale": 0.5}],
    }
    frames = render(document, turned, clear).frames
    assert off_by(frames[2, :150], (220, 220, 220)) <= 6
    assert off_by(frames[2, 170:], (20, 20, 20)) <= 6
    assert off_by(frames[8, 114:206, 6:84], (200, 30, 60)) <= 6
    assert off_by(frames[8, 114:206, 96:], BLUE) <= 6
    assert off_by(frames[8, :104], BLUE) <= 6
    assert off_by(frames[14, 140:180, 52:84], (200, 30, 60)) <= 8
    assert off_by(frames[14, 140:180, 96:], BLUE) <= 8


@pytest.mark.parametrize("name", ["turned.heic", "turned.avif"])
def test_photos_of_phones_are_shown(render: Renders, studio: Studio, name: str) -> None:
    """As a JPEG would be: turned once, in their colours."""
    photo = written(studio.folder / name, two_coloured((180, 120)), orientation=6)
    frame = render({"canvas": canvas(120, 180), "track": [image(photo, 0.2)]}, photo).frames[2]
    assert off_by(frame[5:50], LEFT) <= 6
    assert off_by(frame[70:175], RIGHT) <= 6


def test_images_of_sixteen_bits(render: Renders, studio: Studio) -> None:
    """Their greys are what they are in eight."""
    path = studio.folder / "sixteen.png"
    greys = np.repeat(np.array([0, 64, 128, 255], np.uint16) * 257, 40)
    Image.fromarray(np.tile(greys, (90, 1))).save(path)
    frame = render({"track": [image(path, 0.2)]}, path).frames[3]
    for number, grey in enumerate((0, 64, 128, 255)):
        assert off_by(frame[:, 80 * number + 8 : 80 * number + 72], (grey, grey, grey)) <= 4


@pytest.mark.parametrize("text", ["it's: 100% \\n [a];b,c 'q' \"z\"", "%{pts} $(x) `y` {\\an8}<b>", "\\N:/=~#|!?*"])
def test_text_means_nothing_but_itself(render: Renders, blue: Path, text: str) -> None:
    """No sign in a text, or in a file's name, is taken for the language of filters."""
    odd = blue.with_name("it's a, [odd];name:%d\\.png")
    odd.write_bytes(blue.read_bytes())
    srt = f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n"
    layers = [
        {"kind": "title", "text": text, "duration": 0.1, "style": {"size": 0.05}},
        {"kind": "lower_third", "name": text, "role": text, "duration": 0.1},
        {"kind": "captions", "format": "srt", "text": srt},
    ]
    export = render({"track": [image(odd, 0.2)], "layers": layers}, odd)
    assert off_by(export.frames[1, 70:110], BLUE) > 100
    assert off_by(export.frames[4:, 70:110], BLUE) <= 6


def test_hdr_is_tone_mapped(render: Renders, clips: Clips) -> None:
    source = clips.ten_bit_422()
    export = render({"track": [{"kind": "clip", "source": source.name, "out": 0.2}]}, source)
    (note,) = export.manifest.notes
    assert note.endswith("is HDR and is tone-mapped.")
    assert 60 < export.frames.mean() < 200


@pytest.fixture
def untaught(tmp_path: Path, tools: Tools) -> Path:
    """An ffmpeg that cannot tone-map: the real one, which denies what that needs."""
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f'  *filter=scale*) "{tools.ffmpeg}" "$@" | grep -v transfer ;;\n'
        f'  *-filters*) "{tools.ffmpeg}" "$@" | grep -v -e zscale -e tonemap ;;\n'
        f'  *) exec "{tools.ffmpeg}" "$@" ;;\n'
        "esac\n"
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("allowed", [False, True])
def test_hdr_where_it_cannot_be_tone_mapped(
    open_platform: Callable[..., Platform], untaught: Path, tools: Tools, clips: Clips, allowed: bool
) -> None:
    """It is refused, unless washed-out colours are allowed."""
    platform = open_platform(ffmpeg_path=untaught, ffprobe_path=tools.ffprobe)
    source = clips.ten_bit_422()
    document = {"canvas": canvas(), "track": [{"kind": "clip", "source": source.name, "out": 0.2}]}
    manifest = Renders(platform).attempt(document, source, allow_untonemapped=allowed)
    if allowed:
        (note,) = manifest.notes
        assert note.endswith("is HDR and could not be tone-mapped.")
        assert manifest.outputs
    else:
        assert [error.code for error in manifest.errors] == ["HDR_UNSUPPORTED"]
        assert not manifest.outputs


def test_a_music_that_is_shorter_than_a_frame(render: Renders, studio: Studio) -> None:
    """It is looped all the same."""
    blip = write_wav(studio.folder / "blip.wav", tone(30, 0.02, marks=False))
    document = {"track": [gap(1)], "music": [{"source": blip.name, "gainDb": 0, "mode": "mix"}], "loudness": None}
    export = render(document, blip)
    assert len(export.frames) == 30
    assert level(export.sound, hz_of(30), 0.4, 0.6) > -22
