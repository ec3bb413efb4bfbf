"""What is heard: when to the sample, and how loud."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import RATE, Footage, Samples, Studio, hz_of, level, marks, tone, write_wav
from tests.exports.conftest import Renders
from tests.exports.timelines import clip, gap

VOICE, MUSIC = hz_of(20), hz_of(30)
PLAIN = -14.0
"""The level of a clip's tone, dB of full scale."""
SYNC = 0.02


def close(measured: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether each mark is where it should be, within 20 ms."""
    return len(measured) == len(expected) and np.allclose(measured, expected, atol=SYNC)


def test_marks_stay_with_their_frames(
    render: Renders, film: Footage, pal: Footage, ntsc_film: Footage, sixty: Footage, thirty: Footage
) -> None:
    """At every boundary of parts of five rates; between them a gap, a still, and cuts between frames."""
    track = [
        clip(film, 0.5, 2.5),
        clip(pal, 1.01, 3.03),
        clip(ntsc_film, "1001/24000", "51051/24000"),
        gap(0.31),
        clip(sixty, 0.333, 2.5),
        {"kind": "still", "source": pal.name, "at": 1, "duration": 0.41},
        clip(thirty, 1.99, 3.01),
        clip(thirty, 3.5, 4.5),
    ]
    export = render({"track": track}, film, pal, ntsc_film, sixty, thirty)
    expected: list[float] = []
    at = 0.0
    for part in track:
        length = float(part.get("duration", 0)) if part["kind"] != "clip" else 0.0  # type: ignore[arg-type]
        if part["kind"] == "clip":
            start, end = (float(Fraction(str(part[key]))) for key in ("in", "out"))
            length = end - start
            expected += [at + second - start for second in range(1, 5) if start <= second < end - 0.012]
        at += length
    assert close(marks(export.sound), expected)


def centre(sound: Samples, start: float, end: float) -> float:
    """Where the middle of what sounds between two times lies, weighed by its energy, seconds."""
    energy = (sound.mean(axis=1).astype(float) ** 2)[round(max(0, start) * RATE) : round(end * RATE)]
    return max(0, start) + float(energy @ np.arange(len(energy)) / energy.sum()) / RATE


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 0.75, 0.9, 1.5, 2, 3, 4])
@pytest.mark.parametrize("kind", ["clicks", "bursts"])
def test_sound_stays_in_time_at_every_speed(render: Renders, studio: Studio, speed: float, kind: str) -> None:
    """Clicks of 3 ms and bursts of 60 ms through all of a clip, which begins and ends in the middle of its source."""
    length = {"clicks": 0.003, "bursts": 0.06}[kind]
    at = 0.35 + np.arange(0, 8, 0.45) + np.random.default_rng(3).uniform(0, 0.1, 18)
    sound = np.random.default_rng(4).normal(0, 0.2, 9 * RATE)
    sound *= np.any(
        [(each <= np.arange(9 * RATE) / RATE) & (np.arange(9 * RATE) / RATE < each + length) for each in at], 0
    )
    source = studio.clip(f"{kind}.mp4", 22, seconds=9, sound=sound.astype(np.float32))
    heard = render({"track": [clip(source, 1.1, 7.3, speed=speed)], "loudness": None}, source).sound
    expected = [(each + length / 2 - 1.1) / speed for each in at if 1.15 < each < 7.2]
    measured = [centre(heard, each - 0.2 / speed, each + 0.2 / speed) for each in expected]
    assert np.abs(np.subtract(measured, expected)).max() < SYNC, np.subtract(measured, expected)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("speed", [0.5, 1.5, 4])
def test_sound_of_any_rate_stays_in_time_at_another_speed(
    render: Renders, studio: Studio, speed: float, rate: int
) -> None:
    """A burst each second, in sound that is not of the rate of exports."""
    at = np.arange(5 * rate) / rate
    noise = np.random.default_rng(4).normal(0, 0.2, 5 * rate)
    bursts = (noise * ((at % 1 > 0.5) & (at % 1 < 0.56))).astype(np.float32)
    source = studio.clip(f"rate_{rate}.mov", 23, seconds=5, sound=bursts, sound_rate=rate, sound_codec="pcm_s16le")
    heard = render({"track": [clip(source, 1.1, 4.3, speed=speed)], "loudness": None}, source).sound
    expected = [(second + 0.53 - 1.1) / speed for second in (1, 2, 3)]
    measured = [centre(heard, each - 0.3 / speed, each + 0.3 / speed) for each in expected]
    assert np.abs(np.subtract(measured, expected)).max() < SYNC, np.subtract(measured, expected)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.75, 1.5])
def test_marks_in_a_tone_stay_in_time(render: Renders, thirty: Footage, speed: float) -> None:
    """What changes the speed lays a tone together otherwise than silence."""
    heard = marks(render({"track": [clip(thirty, 0.5, 4.5, speed=speed)], "loudness": None}, thirty).sound)
    assert close(heard, [(second - 0.5) / speed + 0.005 / speed - 0.005 for second in (1, 2, 3, 4)])


def test_clips_gain_mute_and_fades(render: Renders, thirty: Footage, other: Footage, pal: Footage) -> None:
    """With `loudness: null` every level is what it was, and what the timeline says of it."""
    track = [
        clip(thirty, 0, 1),
        clip(other, 0, 1, gainDb=-12),
        clip(thirty, 1, 2, mute=True),
        clip(pal, 0, 1, gainDb=6, transition={"kind": "fade", "duration": 0.4}),
        clip(thirty, 2, 3, speed=2),
        clip(other, 2, 3, transition={"kind": "dissolve", "duration": 0.5}, speed=0.5),
    ]
    export = render({"track": track, "loudness": None}, thirty, other, pal)
    sound = export.sound
    assert level(sound, thirty.hz, 0.1, 0.9) == pytest.approx(PLAIN, abs=0.3)
    assert level(sound, other.hz, 1.1, 1.9) == pytest.approx(PLAIN - 12, abs=0.3)
    assert np.abs(sound[round(2.05 * RATE) : round(2.95 * RATE)]).max() < 1e-3
    assert level(sound, pal.hz, 3.3, 3.9) == pytest.approx(PLAIN + 6, abs=0.3)
    assert level(sound, pal.hz, 3.08, 3.12) == pytest.approx(PLAIN + 6 - 6, abs=1)  # in the middle of its fade
    # Half a second of one, all of it in the dissolve: equal power, so 3 dB less in the middle.
    assert level(sound, thirty.hz, 4.23, 4.27) == pytest.approx(PLAIN - 3, abs=1)
    assert level(sound, other.hz, 4.23, 4.27) == pytest.approx(PLAIN - 3, abs=1)
    assert level(sound, other.hz, 4.7, 5.8) == pytest.approx(PLAIN, abs=0.5)


def test_narration_starts_and_plays(render: Renders, voice: Path, thirty: Footage) -> None:
    document = {
        "track": [clip(thirty, 0, 4, mute=True)],
        "narration": [
            {"source": voice.name, "start": 0.533, "in": 0.5, "out": 1.5},
            {"source": voice.name, "start": 2, "in": 0, "gainDb": -6, "fadeIn": 0.5, "fadeOut": 0.5},
        ],
        "loudness": None,
    }
    sound = render(document, voice, thirty).sound
    assert close(marks(sound), [1.033, 2 + 0, 3]) or close(marks(sound), [1.033, 3])  # the one at 2 is faded in
    assert level(sound, VOICE, 0.6, 1.0) == pytest.approx(PLAIN, abs=0.3)
    assert level(sound, VOICE, 2.6, 2.95) == pytest.approx(PLAIN - 6, abs=0.3)
    assert level(sound, VOICE, 2.23, 2.27) == pytest.approx(PLAIN - 12, abs=1)
    assert level(sound, VOICE, 3.73, 3.77) == pytest.approx(PLAIN - 12, abs=1)
    loud = np.flatnonzero(np.abs(sound[: 2 * RATE]).max(axis=1) > 0.02)
    assert loud[0] / RATE == pytest.approx(0.533, abs=SYNC)
    assert loud[-1] / RATE == pytest.approx(1.533, abs=SYNC)


@pytest.mark.parametrize("depth", [6, 12, 18])
@pytest.mark.parametrize("gain", [0, -18])
def test_ducking(render: Renders, studio: Studio, music: Path, depth: int, gain: int) -> None:
    """Under speech of any level the music is softer by what was asked for, and back up after; it loops meanwhile."""
    speech = write_wav(studio.folder / "steady.wav", tone(20, 3, marks=False))
    document = {
        "track": [gap(7)],
        "narration": [{"source": speech.name, "start": 2, "gainDb": gain}],
        "music": [{"source": music.name, "mode": "duck", "duckDb": depth, "gainDb": -6}],
        "loudness": None,
    }
    sound = render(document, music, speech).sound
    assert level(sound, MUSIC, 0.5, 1.9) == pytest.approx(PLAIN - 6, abs=0.5)
    assert level(sound, MUSIC, 2.6, 4.9) == pytest.approx(PLAIN - 6 - depth, abs=1.5)
    assert level(sound, MUSIC, 3.0, 3.5) == pytest.approx(PLAIN - 6 - depth, abs=1.5)
    assert level(sound, MUSIC, 6.2, 6.6) == pytest.approx(PLAIN - 6, abs=1)
    assert level(sound, VOICE, 2.5, 4.5) == pytest.approx(PLAIN + gain, abs=0.5)


def test_music_replaces_mixes_and_fades(render: Renders, music: Path, thirty: Footage) -> None:
    document: dict[str, Any] = {
        "track": [clip(thirty, 0, 5)],
        "music": [
            {"source": music.name, "mode": "mix", "duration": 2, "gainDb": 0},
            {"source": music.name, "mode": "replace", "start": 2.5, "duration": 2, "gainDb": 0},
        ],
        "loudness": None,
    }
    sound = render(document, music, thirty).sound
    assert level(sound, thirty.hz, 0.5, 1.9) == pytest.approx(PLAIN, abs=0.3)
    assert level(sound, MUSIC, 0.5, 1.4) == pytest.approx(PLAIN, abs=0.3)
    assert level(sound, MUSIC, 0.16, 0.19) == pytest.approx(PLAIN - 6, abs=1)  # fades last 0.35 s
    assert level(sound, MUSIC, 1.81, 1.84) == pytest.approx(PLAIN - 6, abs=1)
    assert level(sound, MUSIC, 2.1, 2.4) < -60
    assert level(sound, MUSIC, 3, 4) == pytest.approx(PLAIN, abs=0.3)
    assert level(sound, thirty.hz, 3, 4) < -60
    assert level(sound, thirty.hz, 2.1, 2.45) == pytest.approx(PLAIN, abs=0.5)
    assert level(sound, thirty.hz, 4.6, 4.95) == pytest.approx(PLAIN, abs=0.5)


def test_opener_gives_way_to_speech(render: Renders, music: Path, voice: Path) -> None:
    document = {
        "track": [gap(5)],
        "narration": [{"source": voice.name, "start": 2}],
        "music": [{"source": music.name, "mode": "opener", "gainDb": 0}],
        "loudness": None,
    }
    sound = render(document, music, voice).sound
    assert level(sound, MUSIC, 0.5, 1.9) == pytest.approx(PLAIN, abs=0.5)
    assert level(sound, MUSIC, 2.16, 2.19) == pytest.approx(PLAIN - 6, abs=1.5)
    assert level(sound, MUSIC, 2.45, 4.9) < -60
    assert level(sound, VOICE, 2.5, 2.9) == pytest.approx(PLAIN, abs=0.5)


def loudness_of(path: Path, tools: Tools) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP), as ffmpeg measures them."""
    command = [tools.ffmpeg, "-nostdin", "-hide_banner", "-i", path, "-map", "0:a", "-af", "ebur128=peak=true"]
    said = subprocess.run([*command, "-f", "null", "-"], check=True, capture_output=True, text=True).stderr
    summary = said[said.rindex("Summary:") :]
    found = re.search(r"I:\s+(\S+) LUFS.*Peak:\s+(\S+) dBFS", summary, re.DOTALL)
    assert found
    return float(found[1]), float(found[2])


@pytest.mark.parametrize("kind", ["soft", "loud", "peaky"])
def test_loudness_and_true_peak(render: Renders, studio: Studio, tools: Tools, kind: str) -> None:
    """Speech-like noise comes to -16 LUFS, and its true peak stays below -1.5 dBTP but for what AAC adds."""
    noise = np.random.default_rng(1).normal(0, 1, 6 * RATE)
    shaped = np.convolve(noise, np.ones(24) / 24, "same") * (0.4 + 0.6 * np.sin(np.arange(6 * RATE) / RATE * 9) ** 2)
    peaks = np.zeros(6 * RATE)
    if kind == "peaky":
        peaks[RATE // 4 :: RATE // 2] = 1
        peaks = np.convolve(peaks, np.hanning(60), "same") * 0.5
    sound = (shaped * {"soft": 0.06, "loud": 1.4, "peaky": 0.3}[kind] + peaks).astype(np.float32)
    path = write_wav(studio.folder / f"{kind}.wav", sound)
    export = render({"track": [gap(6)], "narration": [{"source": path.name}]}, path)
    loudness, peak = loudness_of(export.path, tools)
    assert loudness == pytest.approx(-16, abs=1)
    assert peak <= -1.5 + 0.3


def test_what_is_nearly_silent_stays_soft(render: Renders, studio: Studio, tools: Tools) -> None:
    """More than 30 dB would only lift noise; and softer than wanted is then no fault of the export."""
    faint = write_wav(studio.folder / "faint.wav", tone(20, 3, level=0.001, marks=False))
    loudness, _ = loudness_of(render({"track": [gap(3)], "narration": [{"source": faint.name}]}, faint).path, tools)
    before, _ = loudness_of(faint, tools)
    assert loudness == pytest.approx(before + 30, abs=4)
    assert loudness < -20


def test_no_holes_at_cuts(render: Renders, studio: Studio) -> None:
    """Cuts between frames, sought and read on: neither the rounding to frames nor a decoder's start leaves silence."""
    steady = studio.clip("steady.mp4", 21, seconds=4, sound=tone(21, 4, marks=False))
    parts = [(1.003, 1.618), (0.507, 1.122), (2.25, 2.873), (2.88, 3.5), (3.51, 3.72)]
    export = render({"track": [clip(steady, *part) for part in parts], "loudness": None}, steady)
    mono = export.sound.mean(axis=1)
    mono = mono[: len(mono) // 240 * 240].reshape(-1, 240)  # 5 ms: two and a half periods
    softest = 20 * np.log10(np.sqrt((mono[:-4].astype(float) ** 2).mean(axis=1)).min() * np.sqrt(2))
    assert softest > PLAIN - 4


def test_video_layers_are_heard(render: Renders, thirty: Footage, other: Footage, pal: Footage) -> None:
    """Each from its first frame on, at its gain, unless it is mute; two at a time."""
    layers = [
        {"kind": "video", "source": other.name, "in": 0.7, "out": 2.3, "start": 0.5, "gainDb": -6},
        {"kind": "video", "source": pal.name, "in": 1.5, "out": 2.5, "start": 1.6},
        {"kind": "video", "source": pal.name, "start": 0.2, "out": 1.2, "mute": True},
    ]
    sound = render({"track": [gap(3)], "layers": layers, "loudness": None}, thirty, other, pal).sound
    assert close(marks(sound), [0.8, 1.8, 2.1])
    assert level(sound, other.hz, 0.9, 1.5) == pytest.approx(PLAIN - 6, abs=0.3)
    assert level(sound, pal.hz, 2.2, 2.55) == pytest.approx(PLAIN, abs=0.3)
    assert level(sound, pal.hz, 0.3, 1.1) < -60
    assert np.abs(sound[round(2.65 * RATE) :]).max() < 2e-3


def test_a_video_layer_is_heard_as_long_as_it_is_seen(render: Renders, studio: Studio) -> None:
    """Its sound goes on in its file, but not in the export."""
    longer = studio.clip("longer_sound.mp4", 23, seconds=1, sound=tone(23, 4, marks=False))
    layers = [{"kind": "video", "source": longer.name, "start": 0.5}]
    sound = render({"track": [gap(4)], "layers": layers, "loudness": None}, longer).sound
    assert level(sound, longer.hz, 0.6, 1.4) == pytest.approx(PLAIN, abs=0.3)
    assert np.abs(sound[round(1.55 * RATE) :]).max() < 2e-3


def test_a_fade_of_no_sample(render: Renders, voice: Path) -> None:
    """It is none."""
    narration = {"source": voice.name, "fadeIn": "1/1000000", "fadeOut": "1/1000000"}
    export = render({"track": [gap(2)], "narration": [narration], "loudness": None}, voice)
    assert level(export.sound, hz_of(20), 1.2, 1.8) == pytest.approx(-14, abs=0.5)
