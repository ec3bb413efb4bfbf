"""Frame rates."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from tests.zoo.making import AAC, H264, NO_RUN_IN, SECONDS, SOUND, Maker, frames
from tests.zoo.truth import Case, Frame, Make, Picture, Sound, Truth, beeps_of, steady

GROUP = "Frame rates"


def _steady(rate: str, *options: str, seconds: int = 3) -> Make:
    """A constant rate."""

    def make(maker: Maker, path: Path) -> Truth:
        fps = Fraction(rate)
        count = int(seconds * fps)
        sound = ("-i", maker.wav(seconds))
        maker.encode(path, frames(count), *H264, *AAC, *options, rate=rate, inputs=sound)
        return Truth(Picture(steady(count, fps), float(count / fps), rate=fps), Sound(beeps_of(seconds), seconds))

    return make


def _uneven(ticks: Sequence[int], grid: int, *options: str, b_frames: int = 2, tick: str = "") -> Make:
    """Frames at these ticks of a grid; the sound goes on to 4 s. `tick` is the tick of frame N for ffmpeg."""

    def make(maker: Maker, path: Path) -> Truth:
        # For each frame the way from its number to its tick, as a sum of the jumps so far.
        jumps = [after - before - 1 for before, after in pairwise(ticks)]
        terms = "+".join(f"gte(N,{at})*{jump}" for at, jump in enumerate(jumps, 1) if jump)
        timed = f"setpts='{tick or f'N+{terms}'}'"
        coded = (*H264, "-bf", str(b_frames), "-fps_mode", "passthrough", *AAC, *options)
        maker.encode(path, frames(len(ticks)), *coded, rate=str(grid), filters=timed, inputs=("-i", maker.wav()))
        shown = tuple(Frame(at / grid, number) for number, at in enumerate(ticks))
        return Truth(Picture(shown, ticks[-1] / grid, rate=None), SOUND)

    return make


_SLIDES = [0, 30, 31, 68, 90]
_PHONE = [tick for tick in range(240) if tick % 4 not in (1, 3) and tick % 30 not in (8, 10, 12)]
_STALLS = [tick for tick in range(100) if not 20 < tick < 45 and not 60 < tick < 75]
_JITTER = [round(number * 1000 / 30) + (0, 4, 7, -9, -3)[number % 5] for number in range(115)]
_JITTERED = "round(N*1000/30)+4*eq(mod(N,5),1)+7*eq(mod(N,5),2)-9*eq(mod(N,5),3)-3*eq(mod(N,5),4)"

_CONSTANT = (
    "Any constant rate from 1 to 120 frames a second",
    "Exports show each frame at its time; the proxy has 30 a second.",
)
_TICKS = ("Times rounded to milliseconds or other ticks", "As the rate that is meant.")
_VARIABLE = (
    "A variable rate: slides, phones, screen recordings",
    "A frame stays on show until the next one comes, however long that takes.",
)

CASES = (
    Case("rate_23.976.mp4", GROUP, *_CONSTANT, _steady("24000/1001")),
    Case("rate_24.mp4", GROUP, *_CONSTANT, _steady("24")),
    Case("rate_29.97.mp4", GROUP, *_CONSTANT, _steady("30000/1001")),
    Case("rate_30.mp4", GROUP, *_CONSTANT, _steady("30")),
    Case("rate_50.mp4", GROUP, *_CONSTANT, _steady("50")),
    Case("rate_59.94.mp4", GROUP, *_CONSTANT, _steady("60000/1001", seconds=2)),
    Case("rate_60.mp4", GROUP, *_CONSTANT, _steady("60", seconds=2)),
    Case("rate_120.mp4", GROUP, *_CONSTANT, _steady("120", seconds=2)),
    Case("rate_12.5.mp4", GROUP, *_CONSTANT, _steady("25/2")),
    Case("rate_15.mp4", GROUP, *_CONSTANT, _steady("15")),
    Case("rate_1.mp4", GROUP, *_CONSTANT, _steady("1", seconds=SECONDS)),
    Case("rate_23.976.mkv", GROUP, *_TICKS, _steady("24000/1001", *NO_RUN_IN)),
    Case("rate_29.97.flv", GROUP, *_TICKS, _steady("30000/1001", *NO_RUN_IN)),
    Case("rate_60.mkv", GROUP, *_TICKS, _steady("60", *NO_RUN_IN, seconds=2)),
    Case("ticks_600.mov", GROUP, *_TICKS, _steady("30000/1001", "-video_track_timescale", "600")),
    Case("ticks_1000.mp4", GROUP, *_TICKS, _steady("30", "-video_track_timescale", "1000")),
    Case("slides.mp4", GROUP, *_VARIABLE, _uneven(_SLIDES, 25)),
    Case("slides.mkv", GROUP, *_VARIABLE, _uneven(_SLIDES, 25, "-c:a", "flac", b_frames=0)),
    Case("phone.mp4", GROUP, *_VARIABLE, _uneven(_PHONE, 60)),
    Case("stalls.mp4", GROUP, *_VARIABLE, _uneven(_STALLS, 25)),
    Case("stalls.ts", GROUP, *_VARIABLE, _uneven(_STALLS, 25, *NO_RUN_IN, "-muxdelay", "0", "-muxpreload", "0")),
    Case("jitter.mp4", GROUP, *_VARIABLE, _uneven(_JITTER, 1000, tick=_JITTERED)),
)
